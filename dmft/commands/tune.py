"""``dmft tune``."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dmft.commands import kinds, options
from dmft.commands.memory import trust_option
from pipeline.common.cores import n_cores
from pipeline.common.every_command import print_config
from pipeline.common.progress_bar import ProgressBar

if TYPE_CHECKING:
    from dmft.experiments import PlannedRow, Result
    from dmft.tuning.found import Tuning
    from dmft.tuning.objective import Worth


@click.command(short_help="Choose settings by people held out inside the training side.")
@click.option(
    "--space",
    required=True,
    type=kinds.PATH,
    metavar="FILE",
    help="TOML: keys of --set, each with a list of values or { low = .., high = .. }.",
)
@click.option("-o", "--out", required=True, type=kinds.PATH, help="The search's folder.")
@options.what_is_trained(
    on_all="all: choose by every record, for 'dmft train --on all'; no figure is left to quote.",
    model=options.model(
        "teacher, student, or a class of your own, as my_package.gru:GruFusion. [default: teacher; "
        "student with --teacher]",
        default=None,
    ),
    set_help="What the search begins with, beside --config; repeatable.",
    config=options.configuration("default, or the teachers'"),
)
@click.option(
    "--teacher",
    type=kinds.ShippedName("configs"),
    metavar="NAME|FILE|RUN",
    help="Choose settings of a distilled student, whose teachers are of this configuration, or of "
    "that of a run. They are trained anew without those held out.",
)
@click.option(
    "--trials", type=click.IntRange(min=1), default=30, show_default=True, help="In all, per fold."
)
@click.option(
    "--held-out",
    "n_held_out",
    type=click.IntRange(min=2),
    default=4,
    show_default=True,
    help="Trainings a trial: groups of people that are held out in turn, at most one each.",
)
@click.option(
    "--by",
    default="",
    help="Attribute whose values are held out whole, such as subject. "
    "[default: what the protocol keeps apart]",
)
@click.option(
    "--workers",
    type=click.IntRange(min=0),
    help="Processes that train a trial's groups; 0 for this process alone. What is found does not "
    "depend on it. [default: one a core; 0 on a GPU]",
)
@print_config
@options.json
@trust_option
def tune(
    cache: Path,
    protocol: str,
    space: Path,
    out: Path,
    fold: str | None,
    on: str,
    trials: int,
    n_held_out: int,
    by: str,
    modalities: str | None,
    model: str | None,
    teacher: str | None,
    seed: int,
    config: str | None,
    changes: tuple[str, ...],
    workers: int | None,
    device: str,
    print_config: bool,
    as_json: bool,
    trust: bool,
) -> None:
    """Try settings on the training side of a fold of CACHE, and write down the best.

    Each trial is trained without some of the training people and measured on them, in turn. No test
    record is in a training, a figure or a choice, so the test side still says what the choice is
    worth. The same command goes on where it was stopped, and more --trials add some.

    \b
    In space.toml:
      "training.learning_rate" = { low = 1e-4, high = 1e-2, log = true }
      "encoder.width" = [16, 32, 64]
    \b
    Then, and for a configuration each of all folds with --fold all in both:
      dmft tune CACHE --protocol utd-50-50 --space space.toml --out tuned
      dmft train CACHE --protocol utd-50-50 --config tuned/config.toml --out teacher
    """
    from dmft.config import load_config, shipped_base
    from dmft.protocols import fold_rules, load_protocol
    from pipeline.common.words import listed

    if teacher is not None and model == "teacher":
        raise click.UsageError("--teacher goes with a student, or a model of your own: --model")
    model = model or ("teacher" if teacher is None else "student")
    kind, network = options.kind_of(model)
    if teacher is not None:
        kind = "distilled"
    rules, base = load_protocol(protocol), shipped_base(config or "default")
    over_the_teachers = teacher is not None and config is None
    start = changes if over_the_teachers else load_config(config or "default", changes)
    if print_config:
        if isinstance(start, tuple):
            raise click.UsageError("--print-config with --teacher: name a --config too")
        options.print_settings(start, config or "default")
        return
    # PyTorch from here on, so that a wrong word is not answered seconds later.
    from dmft.data.cache import open_columns
    from dmft.experiments.plan import described
    from dmft.runs.folder import claim_folds
    from dmft.training.device import resolve_device
    from dmft.tuning.search import tune as search

    device = resolve_device(device).type
    columns = open_columns(cache, trust=trust)
    opened = described(columns, listed(modalities or "") or tuple(columns.spec.modalities))
    names = [rule.name for rule in fold_rules(rules, opened)]
    each: list[tuple[str | None, Path]] = [(fold, out)]
    if fold == "all" and on != "all":
        each = list(zip(names, claim_folds(out, names), strict=True))
    if workers is None:
        workers = 0 if device == "cuda" else n_cores()
    found: list[Tuning] = []
    try:
        with closing(TrialProgress()) as callback:
            for name, folder in each:
                callback.title = "" if name is None else name
                found.append(
                    search(
                        opened,
                        rules,
                        space,
                        folder,
                        kind=kind,
                        model=network,
                        teacher=teacher,
                        config=start,
                        base=base,
                        fold=name,
                        on=on,
                        by=by,
                        n_held_out=n_held_out,
                        trials=trials,
                        seed=seed,
                        device=device,
                        n_workers=workers,
                        trust=trust,
                        callback=callback,
                    )
                )
    except KeyboardInterrupt:
        click.echo("\nStopped. Nothing is lost: run the same command to go on.", err=True)
        sys.exit(130)
    lines = [tuning_text(each) for each in found]
    chosen_for = "--fold all" if fold == "all" else found[0].fold
    if on == "all":
        chosen_for = "--on all"
    lines.append(
        next_commands(
            *(cache, protocol, out),
            chosen_for=chosen_for,
            n_folds=len(names),
            how=[] if modalities is None else ["--modalities", modalities],
            model=model,
            teacher=teacher,
        )
    )
    tables = [each.table() for each in found]
    table = {each["fold"]: each for each in tables} if len(tables) > 1 else tables[0]
    options.print_or_write(table, "\n".join(lines), as_json=as_json)


def next_commands(
    cache: Path,
    protocol: str,
    out: Path,
    *,
    chosen_for: str,
    n_folds: int,
    how: Sequence[str],
    model: str,
    teacher: str | None,
) -> str:
    """What to do with what was chosen, and what not.

    Args:
        cache: What it was chosen on.
        protocol: By its rule.
        out: The search's folder.
        chosen_for: A fold's name; ``--fold all`` or ``--on all``.
        n_folds: Of the protocol.
        how: Options that a training is to have as well.
        model: What ``--model`` named.
        teacher: What ``--teacher`` named.
    """
    from dmft.runs.folder import is_run

    lines, which, chosen = [], chosen_for, out / "config.toml"
    if chosen_for == "--fold all":
        chosen = out
    elif chosen_for != "--on all":
        which = f"--fold {chosen_for}"
        if n_folds > 1:
            lines.append(
                f"Chosen for 1 of {n_folds} folds, {chosen_for}: people of the other folds' test "
                "sides were looked at, so it is for this fold alone. --fold all chooses for each."
            )
    train = " ".join(("dmft train", str(cache), "--protocol", protocol, which, *how))
    if teacher is None:
        own = "" if model == "teacher" else f" --model {model}"
        return "\n".join((*lines, f"Next: {train}{own} --config {chosen} --out {out}-run"))
    next_one, own = "Next:", "" if model == "student" else f" --model {model}"
    if not is_run(Path(teacher)):
        lines.append(f"Next: {train} --config {teacher} --out {out}-teacher")
        teacher, next_one = f"{out}-teacher", "then:"
    distill = f"dmft distill {cache} --teacher {teacher}{own}"
    return "\n".join((*lines, f"{next_one} {distill} --config {chosen} --out {out}-student"))


def tuning_text(found: Tuning) -> str:
    """What was found, in a few lines."""
    n_failed = int(found.trials["failed"].ne("").sum())
    failed = f", {n_failed} failed" if n_failed else ""
    title = "as configured"
    lines = [
        f"{found.protocol}, {found.fold}: {len(found.trials)} trials{failed}, each {found.metric} "
        f"on {len(found.held_out)} groups held out of the training side",
        f"  {title:<28}{found.value_before:8.2%}  {_by_fold(found.before)}",
    ]
    if found.best_trial is None:
        lines.append("  no trial is better")
    else:
        better = sum(found.best[name] > found.before[name] for name in found.best)
        lines += [
            f"  {f'best, trial {found.best_trial}':<28}{found.value:8.2%}  {_by_fold(found.best)}",
            f"  better on {better} of {len(found.best)} groups; flattered, for it was chosen by "
            "this figure: the test side says what it is worth",
        ]
    lines.append(f"  {'setting':<28}{'chosen':>12}  part in how trials differ")
    for key in sorted(found.chosen, key=lambda name: -found.importance.get(name, 0.0)):
        value, part = found.chosen[key], found.importance.get(key)
        shown = f"{value:.4g}" if isinstance(value, float) else str(value)
        lines.append(
            f"  {key:<28}{shown:>12}  {'too few trials' if part is None else f'{part:.0%}'}"
        )
    lines.append(f"  written: {found.folder / 'config.toml'}, trials.csv, tuning.json")
    return "\n".join(lines)


def _by_fold(scores: Mapping[str, float]) -> str:
    return " ".join(f"{score:.1%}" for score in scores.values())


class TrialProgress:
    """How a search goes: a bar of trainings on a terminal, and a line a trial."""

    def __init__(self) -> None:
        """Nothing is begun yet."""
        self.bar, self.title = ProgressBar(), ""
        self.n_done, self.n_trials, self.n_left = 0, 0, 1
        self.parts: dict[str, float] = {}

    def trials(self, done: int, total: int) -> None:
        """Begin."""
        self.n_done, self.n_trials = done, total
        if 0 < done < total:
            self.bar.say(f"{done} trials are finished already, {total - done} are left.")
        title = f"{self.title}: trials" if self.title else "trials"
        self.bar.start(title, total=total, done=min(done, total))

    def start(self, rows: Sequence[PlannedRow], n_found: int) -> None:
        """A trial begins."""
        self.parts, self.n_left = {}, max(len(rows), 1)

    def epoch(self, row: PlannedRow, done: int) -> None:
        """Say how far the trial is."""
        self.parts[row.key] = done / row.config.training.epochs
        self.bar.update(self.n_done, note=f"this one {sum(self.parts.values()) / self.n_left:.0%}")

    def end(self, row: PlannedRow, result: Result) -> None:
        """A training of a trial is over."""
        self.epoch(row, row.config.training.epochs)

    def failed(self, row: PlannedRow, why: str) -> None:
        """The trial says it."""

    def trial(self, number: int, params: Mapping[str, Any], worth: Worth, best: float) -> None:
        """Say how a trial went."""
        self.n_done += 1
        settings = ", ".join(
            f"{key.rpartition('.')[2]} {f'{v:.3g}' if isinstance(v, float) else v}"
            for key, v in params.items()
        )
        went = f"FAILED: {worth.why_not}" if worth.why_not else f"{worth.mean:.2%}"
        self.bar.update(self.n_done)
        left = "" if self.bar.is_drawn else self.bar.left
        self.bar.say(
            f"[{self.n_done}/{self.n_trials}] {went} (best {best:.2%}) with {settings}"
            f"{', ' if left else ''}{left}"
        )

    def close(self) -> None:
        """Take the bar away, also after an error."""
        self.bar.close()
