"""``dmft robustness``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from dmft.commands import options
from dmft.commands.memory import memory_option, say_residency, trust_option

if TYPE_CHECKING:
    from dmft.evaluation.robustness import RobustnessReport


@click.command(short_help="Measure runs with a modality lost or failing.")
@click.argument("runs", metavar="RUN...", nargs=-1, required=True)
@options.measured_cache("Measure on this cache. [default: the one that the runs were trained on]")
@click.option(
    "--save/--no-save",
    default=True,
    show_default=True,
    help="Also write what is found into the runs' folders, where 'dmft report' finds it.",
)
@options.json
@options.json_output
@options.device("predict")
@options.threads("figures may depend on it.", default=1)
@memory_option
@trust_option
def robustness(
    runs: tuple[str, ...],
    cache_path: Path | None,
    save: bool,
    as_json: bool,
    output: Path | None,
    device: str,
    memory: str | None,
    trust: bool,
) -> None:
    """Print what each RUN still gets right when one modality is removed or fails at test time.

    A RUN is the folder of a run, of all its folds, or runs of an experiment, averaged:
    DIR#model=teacher. Give a teacher and its student to see them side by side. A modality that is
    removed is known to be absent; of the faults the model is not told. Faults with degrees are
    measured at a quarter, at half and at all of their size. Of two modalities at fault at once,
    what counts is how often the answer is wrong and sure of itself.
    """
    from dmft.data import memory_budget
    from dmft.evaluation.robustness import robustness as measure
    from dmft.experiments.compare import run_folders
    from dmft.training.device import resolve_device
    from pipeline.common.settings import to_table

    device = resolve_device(device).type
    budget = memory_budget(memory, device)
    reports = {}
    for run in runs:
        folders = run_folders(run)

        def tell(n_done: int, run: str = run, n_all: int = len(folders)) -> None:
            click.echo(f"{run}: {n_done} of {n_all} measured", err=True)

        reports[run] = measure(
            folders,
            cache_path=cache_path,
            device=device,
            memory=budget,
            trust=trust,
            save=save,
            on_cache=say_residency,
            on_run=tell if len(folders) > 1 else None,
        )
    tables = {run: to_table(report) for run, report in reports.items()}
    options.print_or_write(tables, robustness_text(reports), as_json=as_json, output=output)
    if save and cache_path is None and not as_json:
        folders_given = dict.fromkeys(run.partition("#")[0] for run in runs)
        click.echo(f"Next: dmft report {' '.join(folders_given)}")


def robustness_text(reports: dict[str, RobustnessReport]) -> str:
    """Return Markdown tables: a line a fault, a column a run, what it costs; and the suite."""
    from dmft.data.fault_words import FAULTS
    from dmft.evaluation.fault_scores import AND, CONDITIONS, INTACT, SURE_FROM, answers_left

    names = {run: f"{'/'.join(report.kinds)} ({run})" for run, report in reports.items()}
    rows = list(dict.fromkeys(fault for report in reports.values() for fault in report.faults))
    lines = ["| at test time | " + " | ".join(f"{name} | cost" for name in names.values()) + " |"]
    lines.append("| :--- |" + " ---: | ---: |" * len(names))
    for row in rows:
        cells = [row]
        for report in reports.values():
            if row not in report.faults:
                cells += ["-", "-"]
                continue
            score, intact = (report.faults[name].score(report.metric) for name in (row, INTACT))
            wrong = f"{report.faults[row].sure_wrong:.2%} sure and wrong"
            cost = wrong if AND in row else f"{intact - score:+.2%}"
            cells += [f"{score:.2%}", "" if row == INTACT else cost]
        lines.append("| " + " | ".join(cells) + " |")
    lines += ["", "| the suite | " + " | ".join(names.values()) + " |"]
    lines.append("| :--- |" + " ---: |" * len(names))
    for field, words in SUITE.items():
        values = [getattr(report.suite, field) for report in reports.values()]
        shown = ["-" if value is None else f"{value:.2%}" for value in values]
        lines.append(f"| {words} | " + " | ".join(shown) + " |")
    lines += ["", "| answers from | at test time | " + " | ".join(names.values()) + " |"]
    lines.append("| ---: | :--- |" + " ---: |" * len(names))
    for least in map(str, SURE_FROM):
        for words in CONDITIONS:
            parts = [answers_left(report.faults, words, least) for report in reports.values()]
            cells = ["-" if p is None else f"{p[0]:.1%} answered, {p[1]:.1%} wrong" for p in parts]
            lines.append(f"| {least} | {words} | " + " | ".join(cells) + " |")
    n_runs = ", ".join(str(report.n_runs) for report in reports.values())
    metrics = ", ".join(dict.fromkeys(report.metric for report in reports.values()))
    learnt_from = {fault for report in reports.values() for fault in report.learnt_from}
    unseen = [fault for fault in FAULTS if fault not in learnt_from]
    lines += [
        "",
        f"Figures are {metrics}, means over {n_runs} runs (folds and seeds); of a fault with "
        f"degrees, over its severities too. Never learnt from: {', '.join(unseen) or 'none'}.",
    ]
    lines += [f"{name}: {meaning}." for name, meaning in FAULTS.items()]
    lines.append("Teachers trained with augment.drop_modality lose less of a lost modality.")
    return "\n".join(lines)


SUITE = {
    "score": "mean over families of faults",
    "seen": "families that were learnt from",
    "unseen": "families never seen in training",
    "both_sure_wrong": "two at fault: wrong with a probability above 0.5",
}
"""Field of a suite's scores to words."""
