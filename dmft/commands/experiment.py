"""``dmft experiment``."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dmft.commands import kinds, options
from dmft.commands.memory import trust_option
from pipeline.common.cores import n_cores
from pipeline.common.progress_bar import ProgressBar

if TYPE_CHECKING:
    from dmft.experiments import PlannedRow, Result


TOGETHER_ON_GPU = 16


def parse_together(context: click.Context, parameter: click.Parameter, text: str) -> int | None:
    """Return the largest number of trainings computed as one; None for the device to say."""
    if text in ("auto", "off"):
        return None if text == "auto" else 1
    if not text.isdecimal() or int(text) < 1:
        raise click.BadParameter(f"{text!r}: wanted auto, off or a positive number")
    return int(text)


@click.command(short_help="Train a whole grid of models, resumably.")
@click.argument("file", metavar="FILE", required=False, type=kinds.ShippedName("experiments"))
@click.option("--cache", type=kinds.CACHE, help="The feature cache.  [required]")
@click.option(
    "--out",
    type=kinds.PATH,
    help="Folder of results; several experiments may share one.  [required]",
)
@click.option(
    "--workers",
    type=click.IntRange(min=0),
    help="Trainings at a time, a process and a thread each; 0 for this process alone. "
    "[default: one a core; 1 on a GPU]",
)
@click.option(
    "--scheduler",
    metavar="ADDRESS",
    help="Train on the workers of this Dask cluster, which see --cache and --out under the "
    "same paths, instead of in processes here. Needs pip install 'dmft[encode]'.",
)
@click.option(
    "--together",
    default="auto",
    show_default=True,
    metavar="auto|off|N",
    help="Trainings of one shape that a process computes as one: auto takes "
    "16 on a GPU, which one small model leaves idle, and none on a CPU, where it gains nothing.",
    callback=parse_together,
)
@click.option(
    "--modalities",
    multiple=True,
    help="Only this set of the file's, separated by commas; repeatable. [default: all sets]",
)
@click.option(
    "--protocol",
    "protocols",
    multiple=True,
    type=kinds.ShippedName("protocols"),
    metavar="NAME",
    help="Only this protocol of the file's; repeatable. [default: all]",
)
@click.option("--seeds", help="Instead of the file's, separated by commas.")
@click.option(
    "--config",
    type=kinds.ShippedName("configs"),
    metavar="NAME|FILE",
    help="Instead of the file's: default, paper, paper-sizes, or a TOML file.",
)
@options.changes("Beside the file's; repeatable.")
@options.device("train")
@options.forbid_shared
@trust_option
@click.option("--list", "only_list", is_flag=True, help="Show what would be done, and stop.")
def experiment(
    file: str | None,
    cache: Path | None,
    out: Path | None,
    workers: int | None,
    scheduler: str | None,
    together: int | None,
    modalities: tuple[str, ...],
    protocols: tuple[str, ...],
    seeds: str | None,
    config: str | None,
    changes: tuple[str, ...],
    device: str,
    trust: bool,
    forbid_shared: bool,
    only_list: bool,
) -> None:
    """Train every model of FILE on CACHE; without FILE, name the experiments that are shipped.

    FILE is a TOML file or the name of a shipped experiment. Rows that are finished are not
    trained again; the same command goes on where it was stopped.
    """
    from dmft.experiments import load_experiment, plan_rows, run_experiment, shipped_experiments

    if file is None:
        for name in shipped_experiments():
            click.echo(f"{name:<24}{load_experiment(name).description}")
        return
    for value, name in ((cache, "--cache"), (out, "--out")):
        if value is None and not (only_list and name == "--out"):
            raise click.UsageError(f"{name} is missing: wanted 'dmft experiment FILE {name} ...'")
    assert cache is not None
    from dmft.data.cache import open_columns
    from dmft.experiments.grid import override
    from dmft.training.device import resolve_device

    asked = override(
        load_experiment(file),
        seeds=seeds,
        config=config,
        changes=changes,
        modalities=modalities,
        protocols=protocols,
    )
    device = resolve_device(device).type
    rows = plan_rows(asked, open_columns(cache, trust=trust), device, may_share=not forbid_shared)
    if only_list:
        for row in rows:
            click.echo(f"{row.folder}  {row.title}")
        click.echo(f"{len(rows)} rows.", err=True)
        return
    assert out is not None
    if scheduler is not None and workers is not None:
        raise click.UsageError(
            "--scheduler and --workers exclude each other: a cluster has the workers that it has"
        )
    if workers is None:
        workers = 1 if device == "cuda" else n_cores()
    if together is None:
        together = TOGETHER_ON_GPU if device == "cuda" else 1
    try:
        with closing(RowProgress(rows)) as callback:
            outcome = run_experiment(
                rows,
                cache,
                out,
                experiment=asked.name,
                n_workers=workers,
                together=together,
                scheduler=scheduler,
                trust=trust,
                callback=callback,
            )
    except KeyboardInterrupt:
        n_done = callback.n_found + callback.n_done
        click.echo(
            f"\nStopped with {n_done} of {len(rows)} rows finished. Nothing is lost: "
            "run the same command to go on.",
            err=True,
        )
        sys.exit(130)
    click.echo(
        f"{len(rows)} rows: {outcome.n_done} trained, {outcome.n_found} finished before, "
        f"{len(outcome.failures)} failed."
    )
    if outcome.failures:
        click.echo("Next: the same command again, which tries the failed rows once more.")
        sys.exit(1)
    click.echo(f"Next: dmft tables {out}")


class RowProgress:
    """How an experiment goes: a bar of epochs on a terminal, a line a row that begins or ends."""

    def __init__(self, rows: Sequence[PlannedRow]) -> None:
        """Number the folds of each model among all rows, those that are finished too."""
        self.bar = ProgressBar()
        self.n_rows = self.n_found = self.n_done = 0
        self.epochs: dict[str, int] = {}
        self.folds: dict[str, str] = {}
        models: dict[tuple[object, ...], list[PlannedRow]] = {}
        for row in rows:
            what = row.model_name, row.fusion, row.fusion_tokens, row.protocol.name, row.modalities
            models.setdefault((*what, row.seed, row.recipe), []).append(row)
        for of_model in models.values():
            for number, row in enumerate(of_model, start=1):
                if len(of_model) > 1:
                    self.folds[row.key] = f", fold {number} of {len(of_model)}"

    def start(self, rows: Sequence[PlannedRow], n_found: int) -> None:
        """Begin."""
        self.n_rows, self.n_found = len(rows), n_found
        if n_found:
            self.bar.say(f"{n_found} rows are finished already, {len(rows)} are left.")
        total = sum(row.config.training.epochs for row in rows)
        self.bar.start(f"{len(rows)} rows", total=total, unit="epochs")

    def epoch(self, row: PlannedRow, done: int) -> None:
        """Move the bar; of a row that has just begun say so."""
        fold, n_epochs = self.folds.get(row.key, ""), row.config.training.epochs
        if row.key not in self.epochs:
            after = f" after epoch {done}" if done else ""
            self.bar.say(f"begun: {row.title}{fold}{after}")
        self.epochs[row.key] = done
        note = f"{fold}, epoch {done} of {n_epochs}".removeprefix(", ")
        self.bar.update(sum(self.epochs.values()), note=note)

    def end(self, row: PlannedRow, result: Result) -> None:
        """Say how a row went."""
        self._finish(
            row,
            f"{row.title}: {result.metric} {result.score:.2%}, "
            f"{result.seconds_per_epoch:.2f} s an epoch",
        )

    def failed(self, row: PlannedRow, why: str) -> None:
        """Say why a row failed."""
        self._finish(row, f"FAILED {row.title}: {why}")

    def _finish(self, row: PlannedRow, line: str) -> None:
        self.n_done += 1
        self.epochs[row.key] = row.config.training.epochs
        self.bar.update(sum(self.epochs.values()))
        left = "" if self.bar.is_drawn else self.bar.left
        self.bar.say(f"[{self.n_done}/{self.n_rows}] {line}{', ' if left else ''}{left}")

    def close(self) -> None:
        """Take the bar away, also after an error."""
        self.bar.close()
