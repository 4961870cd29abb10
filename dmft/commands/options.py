"""Options that several commands share: ``@options.device("train")``."""

from __future__ import annotations

import functools
from collections.abc import Callable
from json import dumps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dmft.commands.kinds import CACHE, PATH, SEED, Setting, ShippedName

if TYPE_CHECKING:
    from dmft.config import RunConfig

Decorator = Callable[[Callable[..., None]], Callable[..., None]]

protocol = click.option(
    "--protocol",
    required=True,
    type=ShippedName("protocols"),
    metavar="NAME|FILE",
    help="A shipped protocol (utd-loso, utd-50-50, mmact-cross-subject, -view, -scene, -session), "
    "or a TOML file.",
)


def configuration(
    shown_default: str = "default", default: str | None = None
) -> Callable[[Any], Any]:
    """``--config``; ``shown_default`` is what stands for it where it is not given."""
    return click.option(
        "--config",
        type=ShippedName("configs"),
        metavar="NAME|FILE",
        default=default,
        help=f"default, paper, paper-sizes, or a TOML file. [default: {shown_default}]",
    )


config = configuration(default="default")
run_folder = click.option("--out", required=True, type=PATH, help="The run's folder.")
fold = click.option(
    "--fold", default=None, help="Name or number of a fold, or 'all'. [default: first]"
)
modalities = click.option(
    "--modalities", default=None, help="Separated by commas. [default: all that the cache has]"
)
seed = click.option(
    "--seed", type=SEED, default=0, show_default=True, help="Source of everything random."
)
forbid_shared = click.option(
    "--forbid-shared",
    is_flag=True,
    help="Refuse folds of which a test record shares a raw file with a training record.",
)
log = click.option(
    "--log",
    "trackers",
    default="",
    metavar="NAMES",
    help="Also tell the training to these, separated by commas: csv (epochs.csv in the run), "
    "wandb, mlflow, trackio (folders beside it; nothing is sent unless WANDB_MODE, "
    "MLFLOW_TRACKING_URI or TRACKIO_SPACE_ID says so).",
)
loss = click.option(
    "--loss",
    metavar="NAME",
    help="A loss of your own on labels, as my_package:Focal, instead of training.loss.",
)
augment = click.option(
    "--augment",
    metavar="NAME",
    help="Changes of your own to training records, as my_package:Warp, before those of ours.",
)
callbacks = click.option(
    "--callback",
    "callbacks",
    multiple=True,
    metavar="NAME",
    help="A class of your own that is told how the training goes, as my_package:Notes; repeatable.",
)
json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
json_output = click.option("-o", "--output", type=PATH, help="Also write the JSON to a file.")


def model(help_text: str, default: str | None = "teacher") -> Callable[[Any], Any]:
    """``--model``, ours by name or a class of the user's."""
    return click.option(
        "--model", metavar="NAME", default=default, show_default=True, help=help_text
    )


def kind_of(name: str) -> tuple[str, str | None]:
    """What ``--model`` names: a kind of ours, or the user's own in the teacher's place."""
    return (name, None) if name in ("teacher", "student") else ("teacher", name)


def what_is_trained(
    *,
    on_all: str,
    model: Callable[[Any], Any],
    set_help: str,
    config: Callable[[Any], Any] = config,
) -> Decorator:
    """Cache, protocol, fold, modalities, model, seed, configuration and device: of whatever trains.

    Args:
        on_all: What ``--on all`` is for.
        model: The option ``--model``.
        set_help: What ``--set`` changes.
        config: The option ``--config``.
    """
    parts = (
        click.argument("cache", type=CACHE),
        protocol,
        fold,
        click.option(
            "--on",
            type=click.Choice(["folds", "all"]),
            default="folds",
            show_default=True,
            help=on_all,
        ),
        modalities,
        model,
        seed,
        config,
        changes(set_help),
        device("train"),
    )

    def decorated(command: Callable[..., None]) -> Callable[..., None]:
        for part in reversed(parts):
            command = part(command)
        return command

    return decorated


def validation(command: Callable[..., None]) -> Callable[..., None]:
    """``--validate``, ``--keep`` and ``--patience``, refused where they do not go together."""

    @click.option(
        "--validate",
        default="",
        metavar="ATTRIBUTE",
        help="Hold about a fifth of the training side's values of it (such as subject) out, and "
        "measure them after each epoch. No test record is looked at.",
    )
    @click.option(
        "--keep",
        type=click.Choice(["last", "best"]),
        default="last",
        show_default=True,
        help="With --validate: which epoch's weights are the model, the last or the best on those.",
    )
    @click.option(
        "--patience",
        type=click.IntRange(min=0),
        default=0,
        show_default=True,
        help="With --keep best: stop after so many epochs without a better one; 0 for never.",
    )
    @functools.wraps(command)
    def checked(validate: str, keep: str, patience: int, **options: Any) -> None:
        if keep != "last" and not validate:
            raise click.UsageError("--keep best goes with --validate, as --validate subject")
        if patience and keep != "best":
            raise click.UsageError("--patience goes with --keep best")
        command(validate=validate, keep=keep, patience=patience, **options)

    return checked


def measured_cache(help_text: str) -> Callable[[Any], Any]:
    """``--cache``, for what is by default the cache that a run was trained on."""
    return click.option("--cache", "cache_path", type=CACHE, help=help_text)


def device(what: str) -> Callable[[Any], Any]:
    """``--device``, where to do ``what``: a name for ``resolve_device``."""
    return click.option(
        "--device",
        type=click.Choice(["auto", "cpu", "cuda"]),
        default="auto",
        show_default=True,
        help=f"Where to {what}; auto takes a GPU where there is one.",
    )


def threads(help_text: str, default: int | None = None) -> Callable[[Any], Any]:
    """``--threads``, which is set at once and not handed to the command."""

    def set_threads(context: click.Context, _: click.Parameter, n_threads: int | None) -> None:
        if n_threads and not context.resilient_parsing:
            import torch

            torch.set_num_threads(n_threads)

    return click.option(
        "--threads",
        type=click.IntRange(min=1),
        default=default,
        show_default=True,
        callback=set_threads,
        expose_value=False,
        help=f"CPU threads; the last bits of the {help_text}",
    )


def changes(help_text: str) -> Callable[[Any], Any]:
    """``--set`` and ``--epochs``, which the command gets together as ``changes``."""

    def decorated(command: Callable[..., None]) -> Callable[..., None]:
        @click.option(
            "--set",
            "changes",
            multiple=True,
            type=Setting(),
            metavar="KEY=VALUE",
            help=help_text,
        )
        @click.option(
            "--epochs", type=click.IntRange(min=1), help="Short for --set training.epochs=N."
        )
        @functools.wraps(command)
        def with_changes(changes: tuple[str, ...], epochs: int | None, **options: Any) -> None:
            short = () if epochs is None else (f"training.epochs={epochs}",)
            command(changes=(*changes, *short), **options)

        return with_changes

    return decorated


def chosen_config(config: str, changes: tuple[str, ...]) -> RunConfig | Path:
    """The configuration, or the folder in which a search has one for each fold."""
    from dmft.config import has_config_a_fold, load_config

    if not has_config_a_fold(config):
        return load_config(config, changes)
    if changes:
        raise click.UsageError(
            f"{config} has a configuration for each fold, which --set and --epochs cannot change: "
            "name a fold's with --fold and --config, or give the changes to 'dmft tune'"
        )
    return Path(config)


def print_settings(settings: RunConfig | Path, config: str) -> None:
    """What ``--print-config`` prints, as what differs from what ``config`` stands on."""
    from dmft.config import RunConfig, config_text, shipped_base

    if not isinstance(settings, RunConfig):
        raise click.UsageError(f"{settings} has a configuration for each fold: name one of them")
    click.echo(config_text(settings, shipped_base(config)), nl=False)


def print_or_write(table: Any, text: str, *, as_json: bool, output: Path | None = None) -> None:
    """Print a table as JSON, or what it says to people; write the JSON to ``output`` if named."""
    as_text = dumps(table, indent=2)
    if output is not None:
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(as_text + "\n")
    click.echo(as_text if as_json else text)
