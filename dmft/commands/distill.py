"""``dmft distill``."""

from __future__ import annotations

from pathlib import Path

import click

from dmft.commands import kinds, options
from dmft.commands.memory import memory_option, trust_option
from pipeline.common.every_command import print_config


@click.command(short_help="Distil a trained teacher into a student.")
@click.argument("cache", type=kinds.CACHE)
@click.option(
    "--teacher",
    "teachers",
    required=True,
    multiple=True,
    type=kinds.PATH,
    help="A teacher's run folder; given several times, they answer in turn: their mean is taught, "
    "at the price of one.",
)
@click.option(
    "--model",
    metavar="NAME",
    default="student",
    show_default=True,
    help="student, or a class of your own, as my_package.gru:GruFusion.",
)
@click.option(
    "--figures-of",
    type=kinds.PATH,
    help="Of a teacher on every record: the run of all folds whose figures say what to expect.",
)
@options.run_folder
@options.validation
@options.loss
@options.augment
@options.callbacks
@options.log
@click.option("--temperature", type=float, help="temp of Eq. (13). [default: the configuration's]")
@click.option("--hard-weight", type=float, help="w_CS of Eq. (15). [default: the configuration's]")
@click.option(
    "--seed", type=kinds.SEED, help="Source of everything random. [default: the teacher's]"
)
@options.configuration("the teacher's")
@options.changes("As student.layers=2; repeatable.")
@print_config
@options.device("train")
@options.threads("weights depend on it. [default: torch's choice]")
@memory_option
@trust_option
def distill(
    cache: Path,
    teachers: tuple[Path, ...],
    model: str,
    figures_of: Path | None,
    out: Path,
    validate: str,
    keep: str,
    patience: int,
    loss: str | None,
    augment: str | None,
    callbacks: tuple[str, ...],
    trackers: str,
    temperature: float | None,
    hard_weight: float | None,
    seed: int | None,
    config: str | None,
    changes: tuple[str, ...],
    print_config: bool,
    device: str,
    memory: str | None,
    trust: bool,
) -> None:
    """Train a student of CACHE on labels and on what a teacher predicts, and measure it.

    Protocol, fold, modalities and configuration are the teacher's; a teacher of several folds is
    distilled fold by fold. With --validate the people held out are those that the teacher was
    trained without, by the same option.
    """
    from contextlib import closing

    from dmft.config import RunConfig, change_config
    from dmft.runs.folder import fold_folders, read_info

    own = None if model == "student" else model
    folders = fold_folders(teachers[0])
    first = read_info(folders[0]).spec
    all_changes = (
        *changes,
        *([f"distill.temperature={temperature}"] if temperature is not None else []),
        *([f"distill.hard_weight={hard_weight}"] if hard_weight is not None else []),
    )
    its_own = change_config(first.config, all_changes)  # of the first fold: each has its teacher's
    settings = options.chosen_config(config, all_changes) if config else its_own
    if print_config:
        options.print_settings(settings, config or "default")
        return
    # PyTorch from here on, so that a wrong word is not answered seconds later.
    from dmft.commands.memory import open_within
    from dmft.commands.show import ProgressCallback, figures_text, held_out_lines, stage_lines
    from dmft.models.own import find_own
    from dmft.training.device import resolve_device
    from dmft.training.distill import distill as run
    from dmft.training.own_parts import find_augment, find_loss, own_callback
    from dmft.training.trackers import Callbacks, log_to

    device = resolve_device(device).type
    find_own(own)  # before the cache is read
    find_loss(loss)
    find_augment(augment)
    logged = settings if isinstance(settings, RunConfig) else None
    opened = open_within(cache, first.modalities, memory, device, trust=trust)
    progress = ProgressCallback(len(folders))
    told = (log_to(trackers, out, logged), *(own_callback(name, out) for name in callbacks))
    with closing(Callbacks(progress, *told)) as callback:
        figures = run(
            opened,
            teachers,
            out,
            model=own,
            loss=loss,
            augment=augment,
            figures_of=figures_of,
            validate=validate,
            keep=keep,
            patience=patience,
            config=settings if config else all_changes,
            seed=seed,
            device=device,
            callback=callback,
        )
    click.echo(figures_text(figures))
    for line in (*(held_out_lines(out) if validate else ()), *stage_lines(out)):
        click.echo(line)
    next_command = "evaluate" if figures.n_records else "export"
    click.echo(f"Next: dmft {next_command} {out}")
