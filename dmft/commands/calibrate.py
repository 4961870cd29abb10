"""``dmft calibrate``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from dmft.commands import kinds, options
from dmft.commands.memory import memory_option, trust_option

if TYPE_CHECKING:
    from dmft.evaluation.calibration import Calibration, SetScores


@click.command(short_help="Teach a run when to say that it does not know.")
@click.argument("run", type=kinds.RUN)
@click.option(
    "--coverage",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    default=0.9,
    show_default=True,
    help="Part of new records whose class is to be in its set.",
)
@click.option(
    "--by",
    default="",
    help="Attribute of which one value after another is held out, such as subject. "
    "[default: what the protocol keeps apart]",
)
@options.measured_cache("Use this cache. [default: the one that the run was trained on]")
@options.json
@options.json_output
@options.device("train")
@options.threads("weights depend on it.", default=1)
@memory_option
@trust_option
def calibrate(
    run: Path,
    coverage: float,
    by: str,
    cache_path: Path | None,
    as_json: bool,
    output: Path | None,
    device: str,
    memory: str | None,
    trust: bool,
) -> None:
    """Learn how sure RUN must be for its answer to be trusted, and keep that with it.

    The run's recipe is trained again without one person of its training side after another, and
    asked about that person: as many trainings as there are people. No test record is looked at.
    Afterwards 'dmft predict' and exports of the run give calibrated probabilities and, for each
    recording, the set of activities that holds the right one as often as --coverage says. An empty
    set means that nothing fits. Another --coverage later trains nothing.
    """
    from dmft.data import memory_budget
    from dmft.evaluation.calibration import set_scores
    from dmft.evaluation.evaluate import RunCaches
    from dmft.evaluation.predictions import read_predictions
    from dmft.runs.folder import PREDICTIONS_FILE, fold_folders, read_info
    from dmft.training.calibrate import calibrate as learn
    from dmft.training.device import resolve_device
    from pipeline.common.progress_bar import ProgressBar
    from pipeline.common.settings import to_table

    device = resolve_device(device).type
    caches = RunCaches(cache_path, memory=memory_budget(memory, device), trust=trust)
    tables, lines = {}, []
    for folder in fold_folders(run):
        with ProgressBar() as bar:
            made = learn(
                folder,
                coverage=coverage,
                by=by,
                caches=caches,
                device=device,
                on_group=bar.follow(f"{folder.name}: holding out", unit="groups"),
            )
        scores = None
        if (folder / PREDICTIONS_FILE).exists():
            classes = read_info(folder).spec.classes
            tested = read_predictions(folder / PREDICTIONS_FILE, len(classes))
            if len(tested.records):
                scores = set_scores(made, tested.probabilities, tested.labels)
        tables[str(folder)] = {
            "calibration": to_table(made),
            "test": None if scores is None else to_table(scores),
        }
        lines.append(calibration_text(folder.name, made, scores))
    lines.append(f"Next: dmft predict {run} FILES")
    options.print_or_write(tables, "\n".join(lines), as_json=as_json, output=output)


def calibration_text(name: str, made: Calibration, scores: SetScores | None) -> str:
    """What was learnt, and what it is worth on the test side, in a few lines."""
    lines = [
        f"{name}: {made.n_groups} values of {made.by} held out, {made.n_records} records, accuracy "
        f"{made.accuracy:.2%}",
        f"  temperature {made.temperature:.2f}, calibration error {made.calibration_error:.2%}",
        f"  {made.coverage:.0%} sets: every activity with a probability from {made.threshold:.3f}",
    ]
    if made.threshold == 0:
        lines.append("  too few records for so high a coverage: a set holds every activity")
    if scores is not None:
        sure = scores.accuracy_when_sure
        lines.append(
            f"  on the test side: coverage {scores.coverage:.1%}, mean size "
            f"{scores.mean_size:.2f}, unsure of {scores.unsure:.1%}"
            + ("" if sure is None else f", else right in {sure:.1%}")
            + f", calibration error {scores.calibration_error:.2%}"
        )
    return "\n".join(lines)
