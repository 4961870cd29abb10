"""What a report asks of models: a map of class tokens, and attention over time."""

import dataclasses

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from dmft.data import open_cache
from dmft.reports.compare import settings_of
from dmft.reports.inside import RIGHT, TRAINED, WRONG, class_tokens, look_inside
from dmft.reports.inside import principal_components as components
from dmft.reports.load import load_runs
from dmft.runs.trained import load_run
from tests.trained import shared_place


@pytest.fixture(scope="module", params=["student", "teacher"])
def place(request, tmp_path_factory):
    return shared_place(tmp_path_factory, kind=request.param)


def test_the_map_is_of_what_the_heads_classify(place):
    run, cache = load_run(place.run), open_cache(place.cache)
    rows = torch.arange(len(cache))
    tokens = torch.from_numpy(class_tokens(run, cache, rows)).float()
    logits = run.ask(cache, rows).logits
    from_tokens = [
        part for name in run.spec.modalities for part in run.model.heads[name].children()
    ][:2]
    widths = [head.linear.in_features for head in from_tokens]
    for branch, (head, part) in enumerate(
        zip(
            from_tokens, tokens.split([*widths, tokens.shape[1] - sum(widths)], dim=1), strict=False
        )
    ):
        assert torch.allclose(head.linear(part), logits[:, 0, branch], atol=1e-5)


def test_every_record_of_the_fold_has_its_place_and_what_became_of_it(place):
    runs, _ = load_runs([place.run])
    cache = open_cache(place.cache)
    (fold,) = runs[0].folds
    drawn = list(fold.predictions["record"])
    told = []
    found, lines = look_inside(
        settings_of(runs), {cache.spec.fingerprint: cache}, drawn, lambda *far: told.append(far)
    )
    assert lines == []
    assert told == [(0, 1)]
    (made,) = found["maps"]
    states = dict(zip(made["records"], made["states"], strict=True))
    assert sorted(states) == sorted(cache.record_ids)
    right = dict(zip(fold.predictions["record"], fold.predictions["correct"], strict=True))
    for record, state in states.items():
        assert state == (TRAINED if record not in right else RIGHT if right[record] else WRONG)
    assert set(found["attention"]) == set(drawn)
    for of_record in found["attention"].values():
        assert {each["modality"] for each in of_record} == set(runs[0].info.spec.modalities)
        for each in of_record:
            assert sum(each["weights"]) == pytest.approx(1, abs=0.01)


def test_looking_changes_no_answer_and_leaves_nothing_behind(place):
    runs, _ = load_runs([place.run])
    run, cache = load_run(place.run), open_cache(place.cache)
    rows = torch.arange(len(cache))
    before = run.ask(cache, rows).logits
    class_tokens(run, cache, rows)
    look_inside(settings_of(runs), {cache.spec.fingerprint: cache}, list(cache.record_ids))
    assert torch.equal(run.ask(cache, rows).logits, before)
    for branch in run.model.mstt.values():
        layer = list(branch.temporal.layers)[-1].attention
        assert layer.attend is F.scaled_dot_product_attention


def test_a_model_that_is_gone_is_a_line(place, tmp_path):
    runs, _ = load_runs([place.run])
    cache = open_cache(place.cache)
    folds = tuple(
        dataclasses.replace(fold, folder=tmp_path / "gone", predictions=fold.predictions)
        for fold in runs[0].folds
    )
    gone = dataclasses.replace(runs[0], folds=folds)
    found, lines = look_inside(settings_of([gone]), {cache.spec.fingerprint: cache}, [])
    assert found == {"maps": [], "attention": {}}
    assert len(lines) == 1
    assert str(tmp_path / "gone") in lines[0]


def test_principal_components_are_numpys_and_keep_their_sign():
    values = np.random.default_rng(0).normal(size=(30, 5)) * [5, 3, 1, 1, 1]
    places, explained = components(values)
    variances = np.sort(np.linalg.eigvalsh(np.cov(values.T)))[::-1]
    assert places.var(axis=0, ddof=1) == pytest.approx(variances[:2])
    assert explained == pytest.approx(variances[:2] / variances.sum())
    assert np.abs(places).max(axis=0) == pytest.approx(places.max(axis=0))
    assert components(np.ones((3, 1)))[0] == pytest.approx(np.zeros((3, 2)))
