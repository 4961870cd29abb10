"""``dmft export``."""

from __future__ import annotations

import json
from pathlib import Path

import click

from dmft.commands import kinds
from dmft.commands.memory import trust_option


@click.command(short_help="A run as ONNX, to use without PyTorch.")
@click.argument("run", type=kinds.RUN)
@click.option(
    "-o", "--output", required=True, type=click.Path(path_type=Path), help="The export's folder."
)
@click.option(
    "--cache",
    "cache_path",
    type=click.Path(path_type=Path),
    help="Check on the records of this cache.  [default: the one that the run was trained on]",
)
@click.option("--int8/--no-int8", default=True, show_default=True, help="Also write 8-bit weights.")
@trust_option
@click.option("--json", "as_json", is_flag=True, help="Print what export.json says.")
def export(
    run: Path, output: Path, cache_path: Path | None, int8: bool, trust: bool, as_json: bool
) -> None:
    """Export RUN into a folder of files that need neither this project nor PyTorch.

    \b
    model.onnx       encoded patches and presence to probabilities and votes
    model.int8.onnx  the same with 8-bit weights
    model.pt2        the same as a torch.export archive
    README.md        the model card, with figures
    export.json      what it is, and the hash of every other file

    Standardisation and voting are inside the graph. It is compared with the run on every record
    of the cache, and nothing is written if the two disagree.
    """
    from dmft.export.build import export as build

    def say(step: str) -> None:
        click.echo(f"{step} ...", err=True)

    info = build(run, output, cache_path=cache_path, int8=int8, trust=trust, progress=say)
    if as_json:
        click.echo(json.dumps(info.to_json(), indent=2))
        return
    for name, file in info.files.items():
        click.echo(f"{name:<18}{file.n_bytes / 1e6:>8.2f} MB{_figures(info.figures.get(name))}")
    kind = "made-up records" if info.figures["made_up"] else "records"
    click.echo(f"Checked on {info.figures['n_records']} {kind}.")
    click.echo(f"Next: dmft predict {output} FILES...")


def _figures(found: dict[str, float] | None) -> str:
    if not found:
        return ""
    test = f", test accuracy {found['accuracy']:.2%}" if "accuracy" in found else ""
    return (
        f"  same first place {found['same_top1']:.2%}, largest difference "
        f"{found['largest_difference']:.1e}{test}"
    )
