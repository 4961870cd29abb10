"""``dmft bench``."""

from __future__ import annotations

import json
from pathlib import Path

import click


@click.command(short_help="What runs cost: time, bytes, memory.")
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--seconds",
    type=click.FloatRange(min=0, min_open=True),
    default=1.0,
    show_default=True,
    help="Least time that each model is measured for, at each batch size.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def bench(runs: tuple[Path, ...], seconds: float, as_json: bool) -> None:
    """Measure RUNS on one core, each in PyTorch, as ONNX and with 8-bit weights.

    Time is from encoded patches to the vote: of one record alone (median and 99th percentile),
    and as records a second in batches of 1 and 32. Memory is the process's peak, and what the
    model added to its libraries.
    """
    from dataclasses import asdict

    from dmft.export.bench import BATCHES
    from dmft.export.bench import bench as measure

    costs = measure(runs, seconds=seconds)
    if as_json:
        click.echo(json.dumps([asdict(cost) for cost in costs], indent=2))
        return
    width = max(len(cost.model) for cost in costs) + 2
    rates = "".join(f"{f'batch {n}/s':>13}" for n in BATCHES)
    click.echo(
        f"{'model':<{width}}{'median ms':>10}{'p99 ms':>9}{rates}{'file MB':>9}{'peak MB':>9}"
        f"{'model MB':>9}{'parameters':>12}{'M mult-adds':>12}"
    )
    for cost in costs:
        rates = "".join(f"{cost.records_per_s[str(n)]:>13,.0f}" for n in BATCHES)
        added = (cost.peak_bytes - cost.base_bytes) / 1e6
        click.echo(
            f"{cost.model:<{width}}{cost.median_ms:>10.2f}{cost.p99_ms:>9.2f}{rates}"
            f"{cost.model_bytes / 1e6:>9.2f}{cost.peak_bytes / 1e6:>9.0f}{added:>9.0f}"
            f"{cost.n_parameters:>12,}{cost.multiply_adds / 1e6:>12.1f}"
        )
