"""``dmft figures``."""

from __future__ import annotations

from pathlib import Path

import click


@click.command(short_help="Draw runs for a paper, as PDF or SVG.")
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("figures"),
    show_default=True,
    help="Folder for the figures.",
)
@click.option(
    "--format",
    "formats",
    type=click.Choice(["pdf", "svg", "png"]),
    multiple=True,
    default=["pdf"],
    show_default=True,
    help="Kind of file; repeatable.",
)
def figures(runs: tuple[Path, ...], output: Path, formats: tuple[str, ...]) -> None:
    """Draw what RUNS have found: accuracy, confusion matrices, classes, training curves.

    RUNS are run folders, or folders that hold some. Needs matplotlib: pip install 'dmft[report]'.
    """
    import shlex
    import sys

    from dmft.reports.figures import write_figures
    from dmft.reports.load import load_runs

    loaded, skipped = load_runs(runs)
    for path in write_figures(loaded, output, formats):
        click.echo(str(path))
    for line in skipped:
        click.echo(f"not shown: {line}", err=True)
    click.echo(f"Next: dmft report {shlex.join(map(str, runs))}")
    sys.exit(1 if skipped else 0)
