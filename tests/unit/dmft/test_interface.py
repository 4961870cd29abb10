"""``import dmft`` has what a notebook needs, and loads nothing heavy before it is used."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

import dmft
from dmft.config import change_config, make_config
from pipeline.contract import ConfigError, ContractError
from tests.factories import write_cache
from tests.small_runs import SMALL, same, train_student, weights, write_place
from tests.trained import shared_place


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache with gaps, and a student of all its folds beside it, trained for an epoch."""
    place = write_place(tmp_path_factory.mktemp("place"))
    train_student(
        place, dmft.open_cache(place / "cache.zarr"), place / "run", "training.epochs=1", fold="all"
    )
    return place


def test_every_name_is_there_and_documented():
    assert dir(dmft) == dmft.__all__ == sorted(dmft.__all__)
    for name in dir(dmft):
        assert getattr(dmft, name).__doc__


def test_importing_it_imports_neither_torch_nor_pandas_nor_zarr():
    code = "import sys, dmft; sys.exit(len({'torch', 'pandas', 'zarr'} & sys.modules.keys()))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_users_own_pipeline_is_named_where_it_is_in_the_way(tmp_path):
    (tmp_path / "pipeline.py").write_text("steps = []")
    code = "import dmft"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert f"{tmp_path / 'pipeline.py'} is imported as 'pipeline'" in done.stderr
    assert "rename that file" in done.stderr


def test_a_cache_shows_itself_in_a_line_and_its_records_as_a_table(tmp_path):
    cache = dmft.open_cache(write_cache(tmp_path / "c.zarr"))
    assert repr(cache) == (
        f"<Cache {tmp_path / 'c.zarr'}: utd-mhad, 48 records, skeleton (48, 16, 6), "
        "inertial (48, 32, 6)>"
    )
    frame = cache.to_frame()
    assert frame.index.tolist() == list(cache.record_ids)
    assert frame["label"].tolist() == cache.labels.tolist()
    assert {"class_name", "subject", "has_skeleton", "has_inertial"} <= set(frame)
    assert frame.groupby("subject")["has_inertial"].sum().tolist() == [12, 12, 12, 12]


def test_a_configuration_is_an_object_a_name_or_changes():
    default = dmft.load_config()
    assert make_config(None) == make_config("default") == make_config(default) == default
    nested = {"training": {"epochs": 3}, "encoder.width": 16}
    assert make_config(nested) == dmft.load_config("default", nested)
    assert make_config(nested) == change_config(default, ["training.epochs=3", "encoder.width=16"])
    assert make_config({"distill.temperature": 2.0}, base=make_config(nested)).encoder.width == 16
    assert make_config({"training": default.training}) == default


def test_every_wrong_change_is_named_at_once():
    with pytest.raises(ConfigError, match=r"(?s)epochs=3.*width"):
        dmft.load_config("default", ["epochs=3", "width"])
    with pytest.raises(ConfigError, match=r"(?s)2 problem.*encoder.wide .*training.epoch "):
        dmft.load_config("default", {"training.epoch": 3, "encoder": {"wide": 2}})
    with pytest.raises(ConfigError, match=r"'training\.epochs=3': wanted a list"):
        dmft.load_config("default", "training.epochs=3")


def test_selected_records_are_a_cache_with_a_fingerprint_of_its_own(trained):
    cache = dmft.open_cache(trained / "cache.zarr")
    some = cache.select("subject in (1, 3) and has_skeleton")
    frame = cache.to_frame()
    wanted = frame[frame["subject"].isin([1, 3]) & frame["has_skeleton"]]
    assert some.to_frame().equals(wanted)
    assert some.spec.fingerprint != cache.spec.fingerprint
    again = cache.select(wanted.index)
    assert again.spec == some.spec
    for name in cache.modalities:
        rows = [cache.record_ids.index(record) for record in some.record_ids]
        assert torch.equal(some.features[name], cache.features[name][rows])
    assert cache.select("label >= 0") is cache


@pytest.mark.parametrize(
    ("where", "wanted"),
    [
        ("person == 1", r"'person == 1' selects no records .*columns are label, class_name"),
        ("subject ==", r"'subject ==' selects no records"),
        ("subject == 9", r"'subject == 9' holds for none of the 32 records"),
        ("subject in @people", r"'@'"),
    ],
)
def test_a_condition_that_selects_nothing_is_refused(trained, where, wanted):
    with pytest.raises(ConfigError, match=wanted):
        dmft.open_cache(trained / "cache.zarr").select(where)


def test_unknown_ids_and_caches_on_the_disk_are_not_selected_from(trained):
    cache = dmft.open_cache(trained / "cache.zarr")
    with pytest.raises(ContractError, match="has no record nobody"):
        cache.select(["nobody", cache.record_ids[0]])
    on_disk = write_cache(trained / "large.zarr", records_per_chunk={"skeleton": 1, "inertial": 1})
    with pytest.raises(ConfigError, match="stays on the disk"):
        dmft.open_cache(on_disk, memory=20_000).select("subject == 1")


def test_a_run_on_selected_records_finds_them_again(trained, tmp_path):
    some = dmft.open_cache(trained / "cache.zarr").select("subject < 4")
    train_student(trained, some, tmp_path / "run", "training.epochs=1")
    metrics = dmft.load(tmp_path / "run").metrics
    assert dmft.evaluate(tmp_path / "run").folds == metrics.folds
    assert metrics.folds[0].cache_fingerprint == some.spec.fingerprint


def test_xarray_finds_records_by_their_id_and_absent_ones_are_nan(trained):
    cache = dmft.open_cache(trained / "cache.zarr")
    data = cache.to_xarray()
    row = cache.record_ids.index("a2_s2_t1")
    one = data.sel(record="a2_s2_t1")
    assert str(one["class_name"].values) == "class_1"
    assert int(one["subject"]) == 2
    assert np.array_equal(one["skeleton"], cache.features["skeleton"][row])
    assert np.isnan(one["inertial"]).all()
    assert not cache.features["inertial"][row].isnan().any()


def test_records_come_as_batches_of_what_the_model_reads(trained):
    cache = dmft.open_cache(trained / "cache.zarr")
    (fold,) = dmft.choose_folds(dmft.load_protocol(str(trained / "loso.toml")), cache, "subject-2")
    transform = dmft.make_features(cache, dmft.load_config(), fold.train)
    records = cache.dataset(fold, "test", transform)
    (batch,) = DataLoader(records, batch_size=100, collate_fn=records.collate)
    assert batch["record"] == [cache.record_ids[row] for row in fold.test.tolist()]
    assert torch.equal(batch["label"], cache.labels[fold.test])
    assert torch.equal(batch["present"], cache.present[fold.test])
    stored = {name: cache.features[name][fold.test] for name in cache.modalities}
    made = transform.apply(stored, cache.present[fold.test])
    for name in cache.modalities:
        assert torch.equal(batch["features"][name], made[name])
    assert records[-1]["record"] == batch["record"][-1]
    with pytest.raises(IndexError, match="record 8 of 8"):
        records[8]
    plain = cache.dataset(transform=lambda patches, present: {"x": patches["skeleton"].mean(1)})
    assert len(plain) == 32
    assert plain[0]["features"]["x"].shape == (6,)
    with pytest.raises(ConfigError, match="'valid'"):
        cache.dataset(fold, "valid")


def test_a_run_of_all_folds_predicts_each_record_by_the_fold_that_was_tested_on_it(trained):
    cache, run = dmft.open_cache(trained / "cache.zarr"), dmft.load(trained / "run")
    assert run.fold_names == [f"subject-{n}" for n in (1, 2, 3, 4)]
    frame = run.predict(cache)
    assert frame.index.tolist() == list(cache.record_ids)
    assert frame["label"].tolist() == cache.to_frame()["class_name"].tolist()
    assert (frame["predicted"] == frame["label"]).mean() == run.metrics.pooled_accuracy
    assert np.allclose(frame.filter(like="p_").sum(axis=1), 1)
    absent = frame.index[frame["reliability_skeleton"].isna()].tolist()
    assert absent == ["a1_s1_t1"]
    assert frame["reliability_inertial"].dropna().between(0, 1).all()
    assert run.confusion.to_numpy().sum() == 32
    assert set(run.epochs["fold"]) == set(run.fold_names)
    assert run.scores.query("what == 'fold'")["name"].tolist() == run.fold_names
    assert [each.fold_names for each in run] == [[name] for name in run.fold_names]


def test_one_fold_says_which_side_each_record_was_on(trained):
    run = dmft.load(trained / "run")["subject-3"]
    frame = run.predict()
    assert frame["side"].value_counts().to_dict() == {"train": 24, "test": 8}
    test = frame.query("side == 'test'")
    assert (test["predicted"] == test["label"]).mean() == run.metrics.accuracy
    assert run.predict(trained / "cache.zarr").equals(frame)
    assert isinstance(run.module, torch.nn.Module)


def test_several_models_are_not_taken_for_one(trained, tmp_path):
    run, other = dmft.load(trained / "run"), write_cache(tmp_path / "other.zarr", seed=1)
    with pytest.raises(ConfigError, match=r"holds 4 models, one a fold: choose one, as run\['subj"):
        run.predict(other)
    with pytest.raises(ConfigError, match="no fold 'subject-9': it has subject-1"):
        run["subject-9"]
    with pytest.raises(ContractError, match=r"several folds: name one of them \(fold-subject-1"):
        dmft.load_run(trained / "run")
    assert set(run[0].predict(other)["side"]) == {""}


def test_raw_files_are_predicted_as_a_table(tmp_path, tmp_path_factory):
    place = shared_place(tmp_path_factory)
    run = dmft.load(place.run)
    files = sorted(place.raw.rglob("a1_s1_t1*.mat"))
    broken = tmp_path / "a2_s1_t1_skeleton.mat"
    broken.write_bytes(b"nothing")
    frame = run.predict([*files, broken])
    cached = run.predict(place.cache)
    assert frame["predicted"].iloc[0] == cached["predicted"]["a1_s1_t1"]
    assert frame["predicted"].isna().tolist() == [False, True]
    assert frame["probability"].iloc[0] == pytest.approx(cached["probability"]["a1_s1_t1"])
    assert "a2_s1_t1_skeleton.mat" in frame["problem"].iloc[1]
    assert len(run.predict(raw=place.raw)) == 8


def test_changes_as_a_table_train_what_changes_as_texts_train(trained, tmp_path):
    cache, protocol = dmft.open_cache(trained / "cache.zarr"), str(trained / "loso.toml")
    changes = dict(change.split("=") for change in SMALL)
    table = {key: int(value) for key, value in changes.items()} | {"training.epochs": 1}
    dmft.train(cache, protocol, tmp_path / "run", kind="student", config=table, device="cpu")
    assert same(weights(tmp_path / "run"), weights(trained / "run/fold-subject-1"))
    dmft.train(cache, protocol, tmp_path / "teacher", config=table, device="cpu")
    dmft.distill(cache, tmp_path / "teacher", tmp_path / "taught", config={"student.layers": 1})
    assert dmft.load(tmp_path / "taught").info.spec.config.student.layers == 1
