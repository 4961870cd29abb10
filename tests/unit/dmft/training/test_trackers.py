"""Trainings told to trackers, by the trackers' own packages writing to a folder."""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import pytest

import dmft
from dmft.training.trackers import Callbacks, log_to
from pipeline.contract import ConfigError
from tests.small_runs import Callback, PowerCutError, small, train_student, write_place


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_place(tmp_path_factory.mktemp("place"))


def train(place: Path, out: Path, callback: Callbacks, fold: str | None = None) -> None:
    """Three epochs of a small student."""
    cache = dmft.open_cache(place / "cache.zarr")
    train_student(place, cache, out, callback=callback, fold=fold)  # type: ignore[arg-type]


def lines(path: Path) -> list[tuple[str, str]]:
    """Fold and epoch of each line."""
    with path.open(newline="") as file:
        return [(row["fold"], row["epoch"]) for row in csv.DictReader(file)]


def test_a_csv_has_a_line_an_epoch_also_after_a_power_cut(place, tmp_path):
    out = tmp_path / "run"
    with pytest.raises(PowerCutError):
        train(place, out, Callbacks(log_to("csv", out), Callback(stop_after=2)))
    assert lines(out / "epochs.csv") == [("subject-1", "1"), ("subject-1", "2")]
    train(place, out, log_to("csv", out))
    assert lines(out / "epochs.csv") == [("subject-1", str(n)) for n in (1, 2, 3)]
    whole = tmp_path / "whole"
    train(place, whole, log_to(["csv"], whole), fold="all")
    assert len(lines(whole / "epochs.csv")) == 12


@pytest.mark.slow
def test_mlflow_holds_the_figures_of_each_epoch(place, tmp_path, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    mlflow = pytest.importorskip("mlflow", reason="the mlflow extra is not installed")
    train(place, tmp_path / "run", log_to("mlflow", tmp_path / "run", small()))
    client = mlflow.MlflowClient((tmp_path / "mlruns").as_uri())
    (run,) = client.search_runs([client.get_experiment_by_name("dmft").experiment_id])
    assert run.data.params["training.epochs"] == "3"
    assert run.info.status == "FINISHED"
    history = client.get_metric_history(run.info.run_id, "train/loss")
    assert [each.value for each in history] == dmft.load(tmp_path / "run").epochs["loss"].tolist()
    accuracy = dmft.load(tmp_path / "run").metrics.accuracy
    assert run.data.metrics["test/accuracy"] == accuracy


@pytest.mark.slow
def test_wandb_writes_a_run_and_sends_nothing(place, tmp_path, monkeypatch):
    monkeypatch.delenv("WANDB_MODE", raising=False)
    wandb = pytest.importorskip("wandb", reason="the wandb extra is not installed")
    train(place, tmp_path / "run", log_to("wandb", tmp_path / "run", small()))
    wandb.teardown()  # its service writes what it holds
    (written,) = (tmp_path / "wandb").glob("offline-run-*/run-*.wandb")
    content = written.read_bytes()
    for text in (b"train/loss", b"test/accuracy", b"training.epochs"):
        assert text in content


@pytest.mark.slow
def test_trackio_holds_the_figures_of_each_epoch_and_prints_no_result(
    place, tmp_path, monkeypatch, capsys
):
    for name in ("TRACKIO_SPACE_ID", "TRACKIO_SERVER_URL", "TRACKIO_PROJECT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path / "trackio"))
    pytest.importorskip("trackio", reason="the trackio extra is not installed")
    from trackio.sqlite_storage import SQLiteStorage

    out = tmp_path / "run"
    with pytest.raises(PowerCutError):
        train(place, out, Callbacks(log_to("trackio", out, small()), Callback(stop_after=2)))
    train(place, out, log_to("trackio", out, small()))
    assert capsys.readouterr().out == ""
    assert SQLiteStorage.get_runs("dmft") == ["run subject-1"], "one run, gone on with"
    logs = SQLiteStorage.get_logs("dmft", "run subject-1")
    losses = {each["step"]: each["train/loss"] for each in logs if "train/loss" in each}
    assert list(losses) == [1, 2, 3]
    assert list(losses.values()) == dmft.load(out).epochs["loss"].tolist()
    assert logs[-1]["test/accuracy"] == dmft.load(out).metrics.accuracy
    assert (tmp_path / "trackio").is_dir()


def test_unknown_and_absent_trackers_are_named(tmp_path, monkeypatch):
    with pytest.raises(ConfigError, match=r"'wandbb' is not known: wanted csv.*mean 'wandb'"):
        log_to("csv, wandbb", tmp_path)
    monkeypatch.setitem(sys.modules, "mlflow", None)
    with pytest.raises(ConfigError, match=r"tracker mlflow needs .*pip install 'dmft\[mlflow\]'"):
        log_to("mlflow", tmp_path)


def test_what_is_broken_off_is_closed():
    class Closing(Callback):
        """Notes that it was closed."""

        closed = False

        def close(self) -> None:
            self.closed = True

    first = Closing()
    Callbacks(first, Callback()).close()
    assert first.closed
