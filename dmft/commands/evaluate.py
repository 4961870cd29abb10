"""``dmft evaluate``."""

from __future__ import annotations

from pathlib import Path

import click

from dmft.commands import kinds, options
from dmft.commands.memory import memory_option, say_residency, trust_option


@click.command(short_help="Measure a run on its test fold.")
@click.argument("run", type=kinds.RUN)
@options.measured_cache("Measure on this cache. [default: the one that the run was trained on]")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, confusion matrix included.")
@options.json_output
@options.device("predict")
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
    from pipeline.common.progress_bar import ProgressBar
    from pipeline.common.settings import to_table

    device = resolve_device(device).type
    budget = memory_budget(memory, device)
    with ProgressBar() as bar:
        metrics = measure(
            run,
            cache_path=cache_path,
            device=device,
            memory=budget,
            trust=trust,
            on_cache=say_residency,
            progress=bar.follow("measuring", unit="folds"),
        )
    text = f"{figures_text(metrics)}\nNext: dmft report {run}"
    options.print_or_write(to_table(metrics), text, as_json=as_json, output=output)
