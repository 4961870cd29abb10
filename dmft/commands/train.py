"""``dmft train``."""

from __future__ import annotations

from pathlib import Path

import click

from dmft.commands import kinds, options
from dmft.commands.memory import memory_option, trust_option
from pipeline.common.every_command import print_config


@click.command(short_help="Train a teacher or a student on a cache.")
@options.run_folder
@options.what_is_trained(
    on_all="all: one model on every record, to use; nothing is left to measure it on.",
    model=options.model(
        "teacher, student (trained on labels alone here), or a class of your own, as "
        "my_package.gru:GruFusion."
    ),
    set_help="As encoder.width=32; repeatable.",
)
@options.validation
@click.option(
    "--figures-of",
    type=kinds.PATH,
    help="With --on all: the run of all folds whose figures say what to expect.",
)
@options.loss
@options.augment
@options.callbacks
@options.log
@options.forbid_shared
@print_config
@options.threads("weights depend on it. [default: torch's choice]")
@memory_option
@trust_option
def train(
    cache: Path,
    protocol: str,
    fold: str | None,
    on: str,
    figures_of: Path | None,
    modalities: str | None,
    validate: str,
    keep: str,
    patience: int,
    model: str,
    seed: int,
    out: Path,
    loss: str | None,
    augment: str | None,
    callbacks: tuple[str, ...],
    trackers: str,
    forbid_shared: bool,
    config: str,
    changes: tuple[str, ...],
    print_config: bool,
    device: str,
    memory: str | None,
    trust: bool,
) -> None:
    """Train a model on the training side of a fold of CACHE, and measure it on the test side.

    The weights are those of the last epoch, or of the best one on people held out of the training
    side (--validate subject --keep best): nothing is chosen on test records. The same command again
    goes on where an interrupted training stopped. CACHE may be a URL such as s3://bucket/utd.zarr,
    which is read in place.

    \b
    The usual order: all folds for the figures, then one model on every record to use.
      dmft train CACHE --protocol utd-loso --fold all --out teacher
      dmft train CACHE --protocol utd-loso --on all --figures-of teacher --out final
      dmft predict final FILES...
    """
    from contextlib import closing

    from dmft.config import RunConfig
    from dmft.protocols import fold_rules, load_protocol
    from pipeline.common.words import listed

    if figures_of is not None and on != "all":
        raise click.UsageError("--figures-of goes with --on all")
    rules, settings = load_protocol(protocol), options.chosen_config(config, changes)
    kind, network = options.kind_of(model)
    if print_config:
        options.print_settings(settings, config)
        return
    # PyTorch from here on, so that a wrong word is not answered seconds later.
    from dmft.commands.memory import open_within
    from dmft.commands.show import ProgressCallback, figures_text, held_out_lines, stage_lines
    from dmft.models.own import find_own
    from dmft.training.device import resolve_device
    from dmft.training.own_parts import find_augment, find_loss, own_callback
    from dmft.training.trackers import Callbacks, log_to
    from dmft.training.train import train as run

    device = resolve_device(device).type
    find_own(network)  # before the cache is read
    find_loss(loss)
    find_augment(augment)
    names = listed(modalities or "")
    opened = open_within(cache, names or None, memory, device, trust=trust)
    n_folds = len(fold_rules(rules, opened))
    logged = settings if isinstance(settings, RunConfig) else None
    progress = ProgressCallback(n_folds if fold == "all" else 1)
    told = (log_to(trackers, out, logged), *(own_callback(name, out) for name in callbacks))
    with closing(Callbacks(progress, *told)) as callback:
        figures = run(
            opened,
            rules,
            out,
            kind=kind,
            model=network,
            loss=loss,
            augment=augment,
            config=settings,
            fold=fold,
            on=on,
            figures_of=figures_of,
            validate=validate,
            keep=keep,
            patience=patience,
            seed=seed,
            device=device,
            may_share=not forbid_shared,
            callback=callback,
        )
    click.echo(figures_text(figures))
    for line in (*(held_out_lines(out) if validate else ()), *stage_lines(out)):
        click.echo(line)
    if on == "all":
        click.echo(f"Next: dmft export {out} -o {out}-exported")
        return
    if fold is None and n_folds > 1:
        click.echo(
            f"This is 1 of {n_folds} folds of {rules.name}, the first. --fold all trains them all: "
            "their mean is the figure to quote."
        )
    if model != "student":
        click.echo(f"Next: dmft distill {cache} --teacher {out} --out {out}-student")
    else:
        click.echo(f"Next: dmft evaluate {out}")
