"""``dmft evaluate``."""

from __future__ import annotations

import json
from pathlib import Path

import click

from dmft.commands.memory import memory_option, say_residency, trust_option


@click.command(short_help="Measure a run on its test fold.")
@click.argument("run", type=click.Path(path_type=Path))
@click.option(
    "--cache",
    "cache_path",
    type=click.Path(path_type=Path),
    help="Measure on this cache. [default: the one that the run was trained on]",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON, confusion matrix included.")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), help="Also write the JSON to a file."
)
@click.option(
    "--device",
    type=click.Choice(["auto", "cpu", "cuda"]),
    default="auto",
    show_default=True,
    help="Where to predict; auto takes a GPU where there is one.",
)
@memory_option
@trust_option
def evaluate(
    run: Path,
    cache_path: Path | None,
    as_json: bool,
    output: Path | None,
    device: str,
    memory: str | None,
    trust: bool,
) -> None:
    """Print the figures of RUN on its test records: the whole, each modality, each stream.

    Beside the accuracy stands that of one nearest neighbour on the same features.
    """
    from dmft.commands.show import figures_text
    from dmft.data import memory_budget
    from dmft.evaluation.evaluate import evaluate as measure
    from dmft.training.device import resolve_device
    from pipeline.common.settings import to_table

    chosen = resolve_device(device).type
    budget = memory_budget(memory, chosen)
    metrics = measure(
        run,
        cache_path=cache_path,
        device=chosen,
        memory=budget,
        trust=trust,
        on_cache=say_residency,
    )
    text = json.dumps(to_table(metrics), indent=2)
    if output is not None:
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(text + "\n")
    click.echo(text if as_json else f"{figures_text(metrics)}\nNext: dmft report {run}")
