"""A browser that the tests of a module share, and a report to look at."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from dmft.config import load_config
from dmft.data import open_cache
from dmft.evaluation.robustness import robustness
from dmft.reports.load import load_runs
from dmft.reports.page.html import write_report
from dmft.runs.folder import fold_folders
from dmft.training.distill import distill
from dmft.training.train import train
from tests.e2e.browser import Browser, find_browser, started
from tests.factories import write_cache
from tests.trained import built_once

SMALL = ("encoder.width=8", "encoder.feed_forward=8", "training.epochs=2")


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    chromium = find_browser()
    if chromium is None:
        pytest.skip("no Chromium on this machine")
    with started(chromium, tmp_path_factory.mktemp("profile")) as found:
        yield found


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of :func:`write_runs_and_report`, built once for all test processes."""
    return built_once(tmp_path_factory, "report-in-browser", write_runs_and_report) / "report.html"


def write_runs_and_report(folder: Path) -> None:
    """Write a teacher, a raw student of two seeds and a distilled one, on 27 classes."""
    write_cache(folder / "cache.zarr", n_subjects=2, n_classes=27, n_trials=1, noise=1.5)
    (folder / "p.toml").write_text('name = "p"\n[leave_one_out]\nattribute = "subject"\n')
    cache, runs = open_cache(folder / "cache.zarr"), folder / "runs"
    config, protocol = load_config("default", SMALL), str(folder / "p.toml")
    for kind in ("teacher", "student"):
        train(cache, protocol, runs / kind, kind=kind, config=config, fold="all", device="cpu")
    train(cache, protocol, runs / "seed-1", kind="student", config=config, seed=1, device="cpu")
    distill(cache, [runs / "teacher"], runs / "distilled", config=config, device="cpu")
    robustness(fold_folders(runs / "distilled"), save=True)
    write_report(load_runs([runs])[0], folder / "report.html", inside=True)
