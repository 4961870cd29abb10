"""How large the report is and how soon it opens: one run of 27 classes, forty, and two hundred.

    python -m tests.benchmarks.bench_report

Trains two small models for one epoch, copies them as eight folds each, then shows them as one run
and, under other seeds and settings, as forty and two hundred runs, in a headless Chromium. Takes a
few minutes. Times are the browser's own: from the request to the end of the page's load event,
figures drawn; and what the page's thread computed meanwhile, which other programs hardly change.
"""

from __future__ import annotations

import dataclasses
import shutil
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from dmft.config import load_config
from dmft.data import open_cache
from dmft.evaluation.metrics import read_metrics
from dmft.evaluation.predictions import read_predictions, write_predictions
from dmft.reports.load import Measured, load_runs
from dmft.reports.page.html import write_report
from dmft.runs.files import write_json
from dmft.runs.folder import (
    FOLDS_FILE,
    METRICS_FILE,
    PREDICTIONS_FILE,
    read_info,
    write_info,
)
from dmft.training.train import train
from pipeline.common.settings import to_table
from tests.e2e.browser import Browser, find_browser, started
from tests.factories import write_cache

SMALL = ("encoder.width=8", "encoder.feed_forward=8", "training.epochs=1")
N_SEEDS, N_FOLDS, N_OPENED = 5, 8, 5
LOADED = "performance.getEntriesByType('navigation')[0].loadEventEnd"
SORTED = "document.querySelectorAll('#runs-table th button')[5].click()"
SWITCHED = (
    "{const s = document.getElementById('run');"
    "s.value = s.length - 1; s.dispatchEvent(new Event('change'))}"
)


def trained(folder: Path) -> tuple[Measured, ...]:
    """A teacher and a student on a fold of 27 classes, copied as if it were eight people's."""
    write_cache(folder / "c.zarr", n_subjects=2, n_classes=27, n_trials=4, noise=1.0)
    cache, config = open_cache(folder / "c.zarr"), load_config("default", SMALL)
    for kind in ("teacher", "student"):
        out = folder / "runs" / kind
        train(cache, "utd-loso", out / "fold", kind=kind, config=config, device="cpu")
        names = [f"subject-{number + 1}" for number in range(N_FOLDS)]
        for name in names:
            shutil.copytree(out / "fold", out / f"fold-{name}")
            rename(out / f"fold-{name}", name)
        shutil.rmtree(out / "fold")
        write_json(out / FOLDS_FILE, {"folds": names})
    return load_runs([folder / "runs"])[0]


def rename(folder: Path, fold: str) -> None:
    """Make a fold's folder that of another, with records of its own."""
    info = read_info(folder)
    rule = dataclasses.replace(info.spec.fold, name=fold)
    spec = dataclasses.replace(info.spec, fold=rule)
    write_info(folder, dataclasses.replace(info, spec=spec))
    votes = read_predictions(folder / PREDICTIONS_FILE, len(info.spec.classes))
    records = tuple(f"{record}_of_{fold}" for record in votes.records)
    write_predictions(folder / PREDICTIONS_FILE, dataclasses.replace(votes, records=records))
    metrics = read_metrics(folder / METRICS_FILE, info.spec.classes)
    (measured,) = metrics.folds
    metrics = dataclasses.replace(metrics, folds=(dataclasses.replace(measured, fold=fold),))
    write_json(folder / METRICS_FILE, to_table(metrics))


def many(runs: Sequence[Measured], n: int) -> list[Measured]:
    """The runs again and again, as if of other settings and seeds."""
    found = []
    for run in runs:
        for setting in range(n // len(runs) // N_SEEDS):
            for seed in range(N_SEEDS):
                infos = [
                    dataclasses.replace(
                        fold.info, spec=dataclasses.replace(fold.info.spec, seed=seed)
                    )
                    for fold in run.folds
                ]
                folds = tuple(
                    dataclasses.replace(fold, info=info)
                    for fold, info in zip(run.folds, infos, strict=True)
                )
                name, of = f"{run.name}-{setting}/seed-{seed}", f"{run.setting}{setting}"
                found.append(dataclasses.replace(run, name=name, setting=of, folds=folds))
    return found


def milliseconds(browser: Browser, action: str) -> float:
    """What an action in the page takes, its layout included."""
    began, ended = "const t = performance.now();", "document.body.offsetHeight"
    timed = f"(() => {{{began} {action}; {ended}; return performance.now() - t}})()"
    return float(browser.run(timed))


def main() -> None:
    """Print a line for each page."""
    executable = find_browser()
    assert executable is not None, "wanted a Chromium on the path"
    with tempfile.TemporaryDirectory() as name, started(executable, Path(name) / "b") as browser:
        runs = trained(Path(name))
        for what, shown in (
            ("1 run", runs[:1]),
            ("40 runs", many(runs, 40)),
            ("200 runs", many(runs, 200)),
        ):
            page = Path(name) / "report.html"
            began = time.perf_counter()
            n_bytes = write_report(shown, page)
            line = f"{what:8} {n_bytes / 1e6:5.2f} MB, written in "
            line += f"{time.perf_counter() - began:.2f} s, opens in "
            loads, computed = [], []
            browser.send("Performance.enable", timeDomain="threadTicks")
            for _ in range(N_OPENED):
                browser.open(page)
                loads.append(float(browser.run(LOADED)))
                spent = browser.send("Performance.getMetrics")["metrics"]
                computed += [
                    1000 * each["value"] for each in spent if each["name"] == "TaskDuration"
                ]
            line += f"{min(loads):.0f} ms at best ({min(computed):.0f} computed)"
            if len(shown) > 1:
                line += f", sorts in {milliseconds(browser, SORTED):.0f} ms"
                line += f", changes the run in {milliseconds(browser, SWITCHED):.0f} ms"
            print(line, flush=True)
            assert browser.complaints == [], browser.complaints


if __name__ == "__main__":
    main()
