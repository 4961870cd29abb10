"""``dmft train``."""

from __future__ import annotations

from pathlib import Path

import click

from dmft.commands import options
from dmft.commands.memory import memory_option, trust_option


@click.command(short_help="Train a teacher or a student on a cache.")
@click.argument("cache", type=options.CACHE)
@click.option("--protocol", required=True, help="A shipped protocol's name, or a TOML file.")
@click.option("--fold", default=None, help="Name or number of a fold, or 'all'. [default: first]")
@click.option(
    "--modalities", default=None, help="Separated by commas. [default: all that the cache has]"
)
@click.option(
    "--model",
    metavar="NAME",
    default="teacher",
    show_default=True,
    help="teacher, student (trained on labels alone here), or a class of your own, as "
    "my_package.gru:GruFusion.",
)
@click.option(
    "--seed", type=options.SEED, default=0, show_default=True, help="Source of everything random."
)
@options.run_folder
@options.forbid_shared
@click.option(
    "--config", default="default", show_default=True, help="default, paper, or a TOML file."
)
@options.changes("As encoder.width=32; repeatable.")
@options.device("train")
@options.threads("weights depend on it. [default: torch's choice]")
@memory_option
@trust_option
def train(
    cache: Path,
    protocol: str,
    fold: str | None,
    modalities: str | None,
    model: str,
    seed: int,
    out: Path,
    forbid_shared: bool,
    config: str,
    changes: tuple[str, ...],
    device: str,
    memory: str | None,
    trust: bool,
) -> None:
    """Train a model on the training side of a fold of CACHE, and measure it on the test side.

    The weights are those of the last epoch: nothing is chosen on test records. The same command
    again goes on where an interrupted training stopped.
    """
    from contextlib import closing

    from dmft.commands.memory import open_within
    from dmft.commands.show import ProgressCallback, figures_text
    from dmft.config import load_config
    from dmft.models.own import find_own
    from dmft.training.train import train as run

    settings, is_ours = load_config(config, changes), model in ("teacher", "student")
    if not is_ours:
        find_own(model)  # before the cache is read
    names = [name.strip() for name in (modalities or "").split(",") if name.strip()]
    opened = open_within(cache, names or None, memory, device, trust=trust)
    with closing(ProgressCallback()) as callback:
        figures = run(
            opened,
            protocol,
            out,
            kind=model if is_ours else "teacher",
            model=None if is_ours else model,
            config=settings,
            fold=fold,
            seed=seed,
            device=device,
            may_share=not forbid_shared,
            callback=callback,
        )
    click.echo(figures_text(figures))
    if model != "student":
        click.echo(f"Next: dmft distill {cache} --teacher {out} --out {out}-student")
    else:
        click.echo(f"Next: dmft evaluate {out}")
