"""Protocols: reading, folds of a cache, and every rule that is refused."""

from dataclasses import replace

import pytest
import torch

from dmft.data import open_cache
from dmft.protocols import FoldRule, Protocol, choose_folds, fold_rules, load_protocol
from pipeline.contract import ConfigError, ContractError
from tests.factories import write_cache

FIFTY = """
name = "fifty"
dataset = "utd-mhad"
[[folds]]
name = "odd-even"
train = {subject = [1, 3]}
test = {subject = [2, 4]}
[[folds]]
name = "by-trial"
train = {subject = [1, 2, 3, 4], trial = [1]}
test = {trial = [2, 3]}
"""
LEAVE_ONE_OUT = 'name = "loso"\n[leave_one_out]\nattribute = "subject"\n'


@pytest.fixture
def cache(tmp_path):
    return open_cache(write_cache(tmp_path / "c.zarr", modalities={"inertial": (8, 3)}))


def protocol(tmp_path, text):
    file = tmp_path / "protocol.toml"
    file.write_text(text)
    return load_protocol(str(file))


def test_a_fold_takes_the_records_that_fit_every_attribute_of_its_rule(cache, tmp_path):
    fold = choose_folds(protocol(tmp_path, FIFTY), cache, "by-trial")[0]
    assert {cache.record_ids[i][-1] for i in fold.train} == {"1"}
    assert len(fold.train) == 16
    assert len(fold.test) == 32


def test_a_fold_is_chosen_by_name_by_number_or_the_first(cache, tmp_path):
    rules = protocol(tmp_path, FIFTY)
    for which, name in ((None, "odd-even"), ("1", "by-trial"), ("odd-even", "odd-even")):
        assert [fold.name for fold in choose_folds(rules, cache, which)] == [name]
    assert len(choose_folds(rules, cache, "all")) == 2


def test_leaving_one_out_makes_a_fold_of_every_value(cache, tmp_path):
    folds = choose_folds(protocol(tmp_path, LEAVE_ONE_OUT), cache, "all")
    assert [fold.name for fold in folds] == [f"subject-{s}" for s in (1, 2, 3, 4)]
    assert sorted(row for fold in folds for row in fold.test.tolist()) == list(range(len(cache)))


def test_the_split_hash_is_of_the_records_not_of_the_rule(cache, tmp_path):
    first = choose_folds(protocol(tmp_path, FIFTY), cache, "0")[0]
    spelt = FIFTY.replace("[1, 3]", "[3, 1, 99]")
    same = choose_folds(protocol(tmp_path, spelt), cache, "0")[0]
    other = choose_folds(protocol(tmp_path, FIFTY.replace("[2, 4]", "[2]")), cache, "0")[0]
    assert first.split_hash == same.split_hash != other.split_hash


def test_an_unknown_protocol_is_named():
    with pytest.raises(ConfigError, match="protocol 'utd-51-49' is neither a file nor one of"):
        load_protocol("utd-51-49")


def test_a_protocol_that_is_not_toml_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"protocol\.toml is not valid TOML"):
        protocol(tmp_path, "name = ")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('name = "x"\nfoldz = []\n' + LEAVE_ONE_OUT[14:], "foldz is not a setting"),
        ('name = "x"\n', "no folds: wanted one of folds, leave_one_out, group"),
        (
            FIFTY + '[leave_one_out]\nattribute = "subject"\n',
            "folds and leave_one_out: wanted one of",
        ),
        (LEAVE_ONE_OUT.replace("loso", "x") + 'metrics = "f1"\n', "metrics is not a setting"),
        ('metric = "f1"\n' + LEAVE_ONE_OUT, "metric is 'f1': wanted accuracy or macro_f1"),
        (FIFTY.replace("by-trial", "odd-even"), r"folds are named \['odd-even', 'odd-even'\]"),
        (FIFTY.replace("[1, 3]", "[]"), r"train is \{'subject': \(\)\}: wanted values"),
        (FIFTY.replace("{subject = [2, 4]}", "{}"), r"test is \{\}: wanted values"),
        (
            FIFTY.replace("[2, 4]", "[2.5]"),
            r"folds\[0\]\.test\.subject\[0\] is 2\.5: wanted a whole",
        ),
        ("[leave_one_out]\nattribute = 'subject'\n", "name is missing"),
    ],
)
def test_a_wrong_protocol_is_refused_saying_where(tmp_path, text, message):
    with pytest.raises(ConfigError, match=message):
        protocol(tmp_path, text)


def test_an_empty_side_is_refused(cache, tmp_path):
    rules = protocol(tmp_path, FIFTY.replace("[2, 4]", "[20]"))
    with pytest.raises(ContractError, match=r"the test side subject in \[20\] is empty"):
        choose_folds(rules, cache, "odd-even")


def test_a_record_on_both_sides_is_refused(cache, tmp_path):
    rules = protocol(tmp_path, FIFTY.replace("[2, 4]", "[3, 4]"))
    with pytest.raises(
        ContractError, match=r"12 record\(s\) are on both sides, such as 'a1_s3_t1'"
    ):
        choose_folds(rules, cache, None)


def test_an_unknown_attribute_is_refused_with_those_there_are(cache, tmp_path):
    for text in (FIFTY.replace("subject", "camera"), LEAVE_ONE_OUT.replace("subject", "camera")):
        with pytest.raises(ContractError, match=r"selects by 'camera' .* columns subject, trial"):
            choose_folds(protocol(tmp_path, text), cache, None)


def test_an_unknown_fold_is_refused_with_those_there_are(cache, tmp_path):
    with pytest.raises(
        ConfigError, match="no fold '7': wanted one of odd-even, by-trial, a number"
    ):
        choose_folds(protocol(tmp_path, FIFTY), cache, "7")


def test_a_protocol_for_another_data_set_is_refused(cache, tmp_path):
    rules = protocol(tmp_path, FIFTY.replace("utd-mhad", "mmact"))
    with pytest.raises(ContractError, match=r"is for 'mmact' and .* holds 'utd-mhad'"):
        fold_rules(rules, cache)


def test_one_value_cannot_be_left_out(tmp_path):
    cache = open_cache(write_cache(tmp_path / "c.zarr", n_subjects=1))
    with pytest.raises(ContractError, match=r"has only \[1\]: wanted at least two"):
        choose_folds(protocol(tmp_path, LEAVE_ONE_OUT), cache, None)


@pytest.mark.parametrize(
    "name", ["../../evil", "a/b", "a\\b", "", ".", "..", ".hidden", "-rf", "a\0b", "x" * 121, "a\n"]
)
def test_a_fold_whose_name_is_a_path_is_refused(name):
    """It wrote outside --out."""
    with pytest.raises(ConfigError, match=r"fold .* cannot be the name of a file"):
        FoldRule(name=name, train={"subject": (1,)}, test={"subject": (2,)})


def test_a_fold_that_means_little_is_warned_of(cache, caplog):
    is_tested = torch.from_numpy(cache.columns["subject"] == 4)
    labels = torch.where(is_tested, 2, cache.labels % 2)
    rule = FoldRule(name="odd", train={"subject": (1, 2, 99)}, test={"subject": (4,)})
    choose_folds(Protocol(name="p", folds=(rule,)), replace(cache, labels=labels), None)
    assert "the train side names subject [99], which no record of" in caplog.text
    assert "1 of the 1 test classes are never trained on and cannot be recognised" in caplog.text
    assert "the test side has one class, class_2: its figures say little" in caplog.text
    caplog.clear()
    usual = FoldRule(name="usual", train={"subject": (1, 2)}, test={"subject": (4,)})
    choose_folds(Protocol(name="p", folds=(usual,)), cache, None)
    assert not caplog.text


def described(cache):
    """The cache as of a described data set whose subjects have names."""
    values = {"values": {"subject": ["zero", "anna", "bert", "cleo", "dora"]}}
    return replace(cache, spec=replace(cache.spec, provenance={"description": values}))


def test_groups_are_laid_out_whole_into_some_folds(cache, tmp_path):
    text = 'name = "k"\ngroup = "subject"\n[group_folds]\nattribute = "subject"\nk = 3\n'
    folds = choose_folds(protocol(tmp_path, text), cache, "all")
    assert [fold.name for fold in folds] == ["subject-1", "subject-2", "subject-3"]
    assert sorted(row for fold in folds for row in fold.test.tolist()) == list(range(len(cache)))
    for fold in folds:
        tested = set(cache.columns["subject"][fold.test].tolist())
        assert not tested & set(cache.columns["subject"][fold.train].tolist())
    with pytest.raises(
        ContractError, match=r"wants 5 folds of whole subjects and .* has 4: wanted at"
    ):
        choose_folds(protocol(tmp_path, text.replace("3", "5")), cache, None)
    with pytest.raises(ConfigError, match="k is 1: wanted at least 2 folds"):
        protocol(tmp_path, text.replace("3", "1"))


def test_lists_of_test_values_are_folds(cache, tmp_path):
    text = 'name = "h"\n[hold_out]\nattribute = "subject"\ntest = [[1, 2], ["bert"]]\n'
    folds = choose_folds(protocol(tmp_path, text), described(cache), "all")
    assert [fold.name for fold in folds] == ["subject-1+2", "subject-bert"]
    assert [fold.rule.test for fold in folds] == [{"subject": (1, 2)}, {"subject": (2,)}]
    with pytest.raises(ContractError, match=r"h names subject 'bert': .* has numbers there"):
        choose_folds(protocol(tmp_path, text), cache, None)
    with pytest.raises(ConfigError, match=r"test is \[\[\]\]: wanted lists of values"):
        protocol(tmp_path, text.replace('[1, 2], ["bert"]', "[]"))


def test_texts_stand_in_rules_and_in_the_names_of_folds(cache, tmp_path):
    own = described(cache)
    names = [fold.name for fold in choose_folds(protocol(tmp_path, LEAVE_ONE_OUT), own, "all")]
    assert names == ["subject-anna", "subject-bert", "subject-cleo", "subject-dora"]
    rules = protocol(tmp_path, FIFTY.replace("[2, 4]", '["bert", 4]'))
    assert choose_folds(rules, own, None)[0].rule.test == {"subject": (2, 4)}
    with pytest.raises(ContractError, match=r"names subject 'eve': .* has zero, anna, bert"):
        choose_folds(protocol(tmp_path, FIFTY.replace("[2, 4]", '["eve"]')), own, None)


def test_a_column_may_say_the_fold(cache, tmp_path):
    text = 'name = "c"\n[column]\nattribute = "trial"\n'
    folds = choose_folds(protocol(tmp_path, text), cache, "all")
    assert len(folds) == len(set(cache.columns["trial"].tolist()))
    sides = {"description": {"values": {"trial": ["none", "test", "train"]}}}
    own = replace(cache, spec=replace(cache.spec, provenance=sides))
    (fold,) = choose_folds(protocol(tmp_path, text), own, "all")
    assert (fold.rule.train, fold.rule.test) == ({"trial": (2,)}, {"trial": (1,)})


def test_a_group_on_both_sides_is_refused(cache, tmp_path):
    text = 'name = "g"\ngroup = "subject"\n[leave_one_out]\nattribute = "trial"\n'
    with pytest.raises(
        ContractError, match="fold trial-1: subject 1, 2, 3, 4 is on both sides, 4 in"
    ):
        choose_folds(protocol(tmp_path, text), cache, None)
