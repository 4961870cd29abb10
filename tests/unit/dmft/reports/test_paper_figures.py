"""The paper's figures: of the right runs, means over seeds, F1 where F1 is quoted; and names."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from cli import dmft
from dmft.config import load_config
from dmft.data import open_cache
from dmft.evaluation.metrics import ModalityMetrics, Scores
from dmft.experiments import load_experiment
from dmft.reports.figures import write_figures, write_paper_figures
from dmft.reports.load import load_runs
from dmft.reports.names import run_names
from dmft.reports.paper_figures import PaperFigure, by_class, draw, load_paper_figures
from dmft.training.train import train
from pipeline.contract import ConfigError, ContractError
from tests.factories import write_cache

pytest.importorskip("matplotlib", reason="the extra 'report' is not installed")
SMALL = ("encoder.width=8", "encoder.feed_forward=8", "training.epochs=1")
PAPER = {f"figure-4{letter}" for letter in "abcdefgh"} | {"figure-5", "figure-6"}
DIAGONAL, HALF = ((4, 0, 0), (0, 4, 0), (0, 0, 0)), ((2, 2, 0), (0, 4, 0), (0, 0, 0))
HASH = "0123456789abcdef"


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("paper")
    write_cache(folder / "cache.zarr", n_subjects=2, n_classes=3, n_trials=1)
    cache, how = open_cache(folder / "cache.zarr"), {"device": "cpu"}
    for name, seed, n_epochs in ((0, 0, 1), (1, 1, 1), (2, 0, 2)):
        config = load_config("default", [*SMALL, f"training.epochs={n_epochs}"])
        out = folder / "runs" / f"{HASH[:-1]}{name}"
        train(cache, "utd-50-50", out, config=config, seed=seed, **how)
    return folder


@pytest.fixture(scope="module")
def runs(place):
    """Teachers S+I on utd-50-50 of two seeds."""
    loaded, _ = load_runs([place / "runs" / f"{HASH[:-1]}{n}" for n in (0, 1)])
    return loaded


def remade(run, *, protocol, metric="accuracy", modalities=None, confusion, **spec):
    """A run as if it were of another protocol and had these confusions."""
    info = run.info
    names = modalities or info.spec.modalities
    shape = next(iter(info.spec.stored.values()))
    fold = run.folds[0]
    scores = Scores(accuracy=0.5, macro_f1=0.25)
    own = ModalityMetrics(
        accuracy=0, macro_f1=0, n_records=8, spatial=scores, temporal=scores, confusion=HALF
    )
    source = replace(info.source, protocol=replace(info.source.protocol, name=protocol))
    changed = replace(info.spec, stored=dict.fromkeys(names, shape), **spec)
    metrics = replace(
        run.metrics,
        metric=metric,
        accuracy=0.75,
        macro_f1=0.5,
        confusion=confusion,
        modalities=dict.fromkeys(names, own),
    )
    folds = (replace(fold, info=replace(info, spec=changed, source=source)),)
    return replace(run, folds=folds, metrics=metrics, setting=f"{protocol} {spec.get('kind')}")


def test_every_figure_of_the_paper_is_made_by_the_experiments_that_it_names():
    figures = load_paper_figures()
    assert {figure.name for figure in figures} >= PAPER
    for figure in figures:
        for name in figure.experiments:
            grids = load_experiment(name).grids
            assert any(
                figure.protocol in grid.protocols
                and figure.modalities in grid.modalities
                and figure.model in grid.models
                for grid in grids
            ), f"{name} makes no {figure.wanted}"


def test_a_figure_is_the_mean_over_seeds_of_the_percent_of_each_class(runs):
    both = [
        remade(run, protocol="utd-50-50", confusion=confusion)
        for run, confusion in zip(runs, (DIAGONAL, HALF), strict=True)
    ]
    figure = next(f for f in load_paper_figures() if f.name == "figure-4a")
    (drawn,) = draw(figure, [*both, remade(runs[0], protocol="utd-loso", confusion=HALF)])
    np.testing.assert_allclose(drawn.matrix[:2], [[75, 25, 0], [0, 100, 0]])
    assert np.isnan(drawn.matrix[2]).all(), "a class without records is no 0 %"
    assert drawn.title == (
        "teacher S+I, utd-50-50",
        "accuracy 75.00 %",
        "1 fold, mean of 2 seeds",
    )
    assert (drawn.name, drawn.classes[0]) == ("figure-4a", "class 0")


def test_classes_are_measured_by_f1_where_the_protocol_quotes_it(runs, tmp_path):
    how = {"metric": "macro_f1", "modalities": ("rgb", "inertial"), "confusion": HALF}
    run = remade(runs[0], protocol="mmact-cross-subject", **how)
    figure = next(f for f in load_paper_figures() if f.name == "figure-6")
    (drawn,) = draw(figure, [run])
    assert list(drawn.by_class) == ["all modalities", "rgb", "inertial"]
    np.testing.assert_allclose(drawn.by_class["rgb"], [200 / 3, 80, np.nan])
    np.testing.assert_allclose(by_class(HALF, "accuracy"), [50, 100, np.nan])
    assert (drawn.measure, drawn.title[1]) == ("F1", "macro F1 50.00 %")
    written, missing = write_paper_figures([run], tmp_path, ["svg"])
    assert {path.name for path in written} == {"figure-4g.svg", "figure-6.svg"}
    assert ">F1 (%)<" in (tmp_path / "figure-6.svg").read_text()
    assert missing[0] == (
        "figure-4a: no run is a teacher S+I on utd-50-50; make some: dmft experiment table-5-utd"
    )
    plain = write_figures([run], tmp_path / "plain", ["svg"])
    assert f"class-F1-{run.name.replace(' ', '-')}.svg" in {path.name for path in plain}


def test_two_recipes_are_two_figures_and_late_fusion_is_none(place, tmp_path):
    asked = ["figures", str(place / "runs"), "--paper", "-o", str(tmp_path), "--format", "svg"]
    done = CliRunner().invoke(dmft, asked, catch_exceptions=False)
    assert done.exit_code == 0
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == [f"figure-4a-default-training-epochs-{n}.svg" for n in (1, 2)]
    assert "not drawn: figure-4b: no run is a distilled S+I on utd-50-50" in done.stderr
    (late,), _ = load_runs([place / "runs" / f"{HASH[:-1]}0"])
    config = load_config("default", [*SMALL, "teacher.fusion_layers=0"])
    spec = replace(late.info.spec, config=config)
    late = replace(late, folds=(replace(late.folds[0], info=replace(late.info, spec=spec)),))
    assert not load_paper_figures()[0].is_of(late)


def test_seeds_that_lack_folds_count_only_where_none_has_all(runs):
    whole = remade(runs[0], protocol="utd-50-50", confusion=DIAGONAL)
    half = remade(runs[1], protocol="utd-50-50", confusion=HALF)
    (fold,) = whole.folds
    rule = replace(fold.info.spec.fold, name="another")
    info = replace(fold.info, spec=replace(fold.info.spec, fold=rule))
    whole = replace(whole, folds=(fold, replace(fold, info=info)))
    (drawn,) = draw(load_paper_figures()[0], [whole, half])
    assert drawn.title[2] == "2 folds, mean of 1 seed"
    assert drawn.matrix[0, 0] == 100


def test_runs_of_which_no_figure_can_be_drawn_are_told_what_is_wanted(place, tmp_path):
    (tmp_path / "own.toml").write_text('name = "own"\n[leave_one_out]\nattribute = "subject"\n')
    cache, config = open_cache(place / "cache.zarr"), load_config("default", SMALL)
    train(cache, str(tmp_path / "own.toml"), tmp_path / "run", config=config, device="cpu")
    asked = ["figures", str(tmp_path / "run"), "--paper", "-o", str(tmp_path / "f")]
    with pytest.raises(ContractError, match=r"(?s)no figure .* drawn:\n  figure-4a: .*figure-6: "):
        CliRunner().invoke(dmft, asked, catch_exceptions=False)
    assert not (tmp_path / "f").exists()


def test_a_figure_of_no_kind_or_model_is_refused():
    right = {"name": "f", "kind": "confusion", "protocol": "p", "modalities": ("rgb",)}
    for key, value, known in (("kind", "pie", "confusion"), ("model", "elder", "teacher")):
        with pytest.raises(ConfigError, match=f"{key} is '{value}': wanted one of {known}"):
            PaperFigure(**{**right, "model": "teacher", "experiments": (), key: value})


def test_what_an_experiment_named_by_a_hash_is_named_in_words(runs, place):
    assert [run.name for run in runs] == ["teacher S+I seed 0", "teacher S+I seed 1"]
    three, _ = load_runs([place / "runs"])
    names = [run.name for run in three]
    seed_0 = "teacher S+I seed 0, default, training.epochs"
    assert sorted(names) == [f"{seed_0} 1", f"{seed_0} 2", "teacher S+I seed 1"]
    info = runs[0].info
    other = replace(
        info, source=replace(info.source, protocol=replace(info.source.protocol, name="p"))
    )
    assert run_names([info, other, info, info], [None, None, None, Path("mine")]) == [
        "teacher S+I seed 0, utd-50-50",
        "teacher S+I seed 0, p",
        "teacher S+I seed 0, utd-50-50 (2)",
        "mine",
    ]
