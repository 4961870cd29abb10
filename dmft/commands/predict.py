"""``dmft predict``."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dmft.commands import kinds

if TYPE_CHECKING:
    from dmft.recognise.live import Row
    from dmft.recognise.predict import Prediction
    from dmft.recognise.recogniser import Recogniser
    from dmft.recognise.recordings import Grouped
    from dmft.recognise.timeline import Moment

SHOWN_PROBLEMS = 5


@click.command(short_help="Raw recordings to activities.")
@click.argument("run", type=kinds.RUN)
@click.argument("files", nargs=-1)
@click.option(
    "--raw",
    type=click.Path(path_type=Path),
    help="A raw tree, or its archives: FILES are relative to it, and none means all of it.",
)
@click.option(
    "--table",
    "trials",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A table of trials of a described data set, one recording a row; no label is needed.",
)
@click.option(
    "--weights",
    help="Of the network that colour and depth pass; by modality as rgb=imagenet,depth=FILE.  "
    "[default: those that the run names]",
)
@click.option(
    "--top",
    type=click.IntRange(min=1),
    default=3,
    show_default=True,
    help="Activities to list for each recording.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON: everything, and all activities.")
@click.option(
    "--sliding",
    is_flag=True,
    help="Give a timeline of long recordings; '-' reads a pipe.",
)
@click.option(
    "--window", "window_s", default=3.5, show_default=True, help="Seconds under a sliding window."
)
@click.option(
    "--step", "step_s", default=0.5, show_default=True, help="Seconds from a window to the next."
)
@click.option("--follow", is_flag=True, help="With --sliding: go on as a file of rows grows.")
@click.option(
    "--idle",
    "idle_s",
    default=60.0,
    show_default=True,
    help="With --follow: end after so many seconds without a new row.",
)
def predict(
    run: Path,
    files: tuple[str, ...],
    raw: Path | None,
    trials: Path | None,
    weights: str | None,
    top: int,
    as_json: bool,
    sliding: bool,
    window_s: float,
    step_s: float,
    follow: bool,
    idle_s: float,
) -> None:
    """Recognise the activities in FILES with RUN, a run folder or an export of one.

    FILES are raw recordings, any of the run's modalities, of one or many recordings: those in one
    folder whose names differ in the modality alone belong together. Each is encoded as the run's
    cache was. A file that cannot be read is named, the others go on, and the exit code is 1.

    Of a described data set, FILES are told apart by its patterns; MODALITY=FILE, or
    MODALITY.STREAM=FILE, says what a file of one recording is, whatever its name.

    \b
    Two files of one recording:
      dmft predict run a1_s7_t1_skeleton.mat a1_s7_t1_inertial.mat
    Everything in a raw tree:
      dmft predict run --raw RAW --json
    A live stream, one JSON object a row:
      sensor | dmft predict run --sliding -
    """
    from dmft.recognise.predict import grouped_for, predict_grouped
    from dmft.recognise.recogniser import load_recogniser

    if trials is not None and (files or raw is None):
        raise click.UsageError("--table names the files, and wants their tree with --raw.")
    if not files and raw is None:
        raise click.UsageError("Name files, or a raw tree with --raw.")
    if follow and not sliding:
        raise click.UsageError("--follow goes with --sliding.")
    # The encoder also logs what fails; here every failure is told of once, by its file.
    logging.getLogger("pipeline.encode.records").addHandler(logging.NullHandler())
    model = load_recogniser(run, weights=weights)
    slide = _Sliding(model=model, window_s=window_s, step_s=step_s, as_json=as_json)
    if sliding and any(_is_rows(file) for file in files):
        if len(files) > 1 or raw is not None:
            raise click.UsageError("A stream of rows is read alone: name one.")
        sys.exit(slide.rows(files[0], follow, idle_s))
    if follow:
        raise click.UsageError("--follow reads rows: name one .jsonl file.")
    grouped = grouped_for(model, files, raw=raw, trials=trials)
    for name in grouped.ignored:
        click.echo(f"{name}: not used, its name says no modality that {run} knows", err=True)
    if sliding:
        sys.exit(slide.files(grouped))
    found = predict_grouped(model, grouped)
    failures = [*grouped.failures, *(pair for each in found for pair in each.failures)]
    if as_json:
        content = {
            "recordings": [each.to_json() for each in found],
            "failures": [{"file": file, "reason": reason} for file, reason in failures],
        }
        click.echo(json.dumps(content, indent=2))
    else:
        for each in found:
            _print(each, top)
    for file, reason in failures:
        click.echo(f"{file}: {reason}", err=True)
    sys.exit(1 if failures else 0)


DOUBTED = 0.5
"""Reliability below which a modality is pointed out."""


def _print(prediction: Prediction, top: int) -> None:
    if prediction.activity is None:
        click.echo(f"{prediction.recording}: no answer, none of its files could be read")
        return
    click.echo(f"{prediction.recording}  ({', '.join(prediction.files)})")
    for name, probability in list(prediction.probabilities.items())[:top]:
        votes = "  ".join(f"{m} {vote[name]:.1%}" for m, vote in prediction.votes.items())
        click.echo(f"  {name:<20}{probability:>8.1%}   {votes}")
    if prediction.credible is not None and len(prediction.credible) != 1:
        several = f"one of {', '.join(prediction.credible)}" if prediction.credible else "none fits"
        click.echo(f"  not sure: {several}")
    doubted = [f"{m} {share:.0%}" for m, share in prediction.reliability.items() if share < DOUBTED]
    if doubted:
        click.echo(f"  hardly believed: {', '.join(doubted)}")


def _is_rows(file: str) -> bool:
    return file == "-" or file.endswith(".jsonl")


@dataclass(slots=True, kw_only=True)
class _Sliding:
    """Prints timelines, shows the first of what was passed over and counts it."""

    model: Recogniser
    window_s: float
    step_s: float
    as_json: bool
    n_problems: int = 0

    def problem(self, message: str) -> None:
        self.n_problems += 1
        if self.n_problems <= SHOWN_PROBLEMS:
            click.echo(message, err=True)

    def exit_code(self) -> int:
        if self.n_problems > SHOWN_PROBLEMS:
            click.echo(f"... and {self.n_problems - SHOWN_PROBLEMS} more", err=True)
        return 1 if self.n_problems else 0

    def rows(self, file: str, follow: bool, idle_s: float) -> int:
        """Show a file or pipe of rows as it comes; return the exit code."""
        from dmft.recognise.live import MAX_LINE_BYTES, read_lines, read_rows

        lines = (
            iter(lambda: sys.stdin.buffer.readline(MAX_LINE_BYTES + 1), b"")
            if file == "-"
            else read_lines(Path(file), follow=follow, idle_s=idle_s)
        )
        known, dataset = self.model.shapes, self.model.dataset
        noted = self.model.noted
        rows = read_rows(
            lines, dataset=dataset, modalities=known, on_problem=self.problem, noted=noted
        )
        try:
            self._show(rows, live=follow or file == "-")
        except KeyboardInterrupt:
            click.echo("Stopped.", err=True)
            return 130
        return self.exit_code()

    def files(self, grouped: Grouped) -> int:
        """Show recordings one after the other; return the exit code."""
        from dmft.recognise.live import rows_of

        for file, reason in grouped.failures:
            self.problem(f"{file}: {reason}")
        for recording in grouped.recordings:
            rows = rows_of(
                recording,
                dataset=self.model.dataset,
                on_problem=self.problem,
                noted=self.model.noted,
            )
            if not self.as_json:
                click.echo(recording.id)
            self._show(rows, recording=recording.id)
        return self.exit_code()

    def _show(
        self, rows: Iterable[Row], *, live: bool = False, recording: str | None = None
    ) -> None:
        """Print windows as they come (live, or as JSON), and activities as they end."""
        from dmft.recognise.live import Slicer
        from dmft.recognise.timeline import moments, timeline

        named = {} if recording is None else {"recording": recording}

        def told(found: Iterator[Moment]) -> Iterator[Moment]:
            for moment in found:
                if self.as_json:
                    click.echo(json.dumps(moment.to_json() | named))
                elif live:
                    name, probability = next(iter(moment.probabilities.items()))
                    click.echo(f"  now {moment.end_s:8.1f} s  {name:<20}{probability:>6.1%}")
                sys.stdout.flush()
                yield moment

        slicer = Slicer(window_s=self.window_s, step_s=self.step_s, on_problem=self.problem)
        windows = slicer.windows(rows)
        for activity in timeline(told(moments(self.model, windows, self.problem))):
            if self.as_json:
                click.echo(json.dumps(activity.to_json() | named))
            else:
                span = f"{activity.start_s:8.1f} to {activity.end_s:8.1f} s"
                click.echo(f"{span}  {activity.activity:<20}{activity.probability:>6.1%}")
            sys.stdout.flush()
