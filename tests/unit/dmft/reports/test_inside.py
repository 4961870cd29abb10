"""What a report asks of models: a map of class tokens, and attention over time."""

import dataclasses
import sys

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from dmft.data import open_cache
from dmft.reports.compare import settings_of
from dmft.reports.inside import RIGHT, TRAINED, WRONG, class_tokens, look_inside
from dmft.reports.load import load_runs
from dmft.reports.page.html import render_report
from dmft.reports.placing import placing
from dmft.reports.placing import principal_components as components
from dmft.runs.trained import load_run
from pipeline.contract import ConfigError
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
    page = render_report(runs, inside=(found, []))
    assert "in their first two principal components" in page
    without_axes = {**found, "maps": [{**made, "explained": None}]}
    page = render_report(runs, inside=(without_axes, []))
    assert "laid out by UMAP, which keeps neighbours together" in page
    assert "principal components" not in page.partition('<h2 id="map">')[2].partition("<h2")[0]
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


def test_umap_keeps_neighbours_together_and_gives_the_same_map_again():
    pytest.importorskip("umap", reason="the extra umap is not installed: it brings numba")
    random = np.random.default_rng(0)
    groups = [random.normal(size=(20, 8)) + 30 * k for k in range(3)]
    place = placing("umap")
    places, explained = place(np.concatenate(groups))
    assert explained is None
    assert places.shape == (60, 2)
    middles = [places[20 * k : 20 * k + 20].mean(axis=0) for k in range(3)]
    for k, middle in enumerate(middles):
        own = np.linalg.norm(places[20 * k : 20 * k + 20] - middle, axis=1).max()
        assert own < min(np.linalg.norm(middle - other) for other in middles if other is not middle)
    assert (place(np.concatenate(groups))[0] == places).all()
    assert place(groups[0][:3])[0].shape == (3, 2)


def test_a_map_that_cannot_be_made_is_refused_before_a_model_is_asked(monkeypatch):
    monkeypatch.setitem(sys.modules, "umap", None)
    with pytest.raises(ConfigError, match=r"a map by umap needs .*pip install 'dmft\[umap\]'"):
        look_inside([], {}, [], map_by="umap")
    with pytest.raises(ConfigError, match="map is 'tsne': wanted pca or umap"):
        look_inside([], {}, [], map_by="tsne")
