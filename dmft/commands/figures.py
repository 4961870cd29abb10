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
@click.option(
    "--paper",
    is_flag=True,
    show_default="off",
    help="Draw Figures 4a to 4h, 5 and 6 of the paper, by these names, each a mean over seeds.",
)
def figures(runs: tuple[Path, ...], output: Path, formats: tuple[str, ...], paper: bool) -> None:
    """Draw what RUNS have found: accuracy, confusion matrices, classes, training curves.

    RUNS are run folders, or folders that hold some, such as an experiment's. Needs matplotlib: pip
    install 'dmft[report]'. Classes are drawn by F1 where the protocol quotes F1.
    """
    import shlex
    import sys

    from dmft.reports.figures import write_figures, write_paper_figures
    from dmft.reports.load import load_runs
    from pipeline.common.progress_bar import ProgressBar
    from pipeline.contract import ContractError

    loaded, skipped = load_runs(runs)
    missing: list[str] = []
    later: list[Path] = []
    with ProgressBar(plain_every_s=None) as bar:
        told = bar.follow("drawing", unit="files")

        def name_it(path: Path) -> None:
            """Print the file, or once the bar is gone, which would take the line to itself."""
            if bar.is_drawn:
                later.append(path)
            else:
                click.echo(path)

        if paper:
            written, missing = write_paper_figures(loaded, output, formats, name_it, told)
            if not written:
                listed = "\n  ".join(missing)
                raise ContractError(f"no figure of the paper can be drawn:\n  {listed}")
        else:
            write_figures(loaded, output, formats, name_it, told)
    for path in later:
        click.echo(path)
    for line in missing:
        click.echo(f"not drawn: {line}", err=True)
    for line in skipped:
        click.echo(f"not shown: {line}", err=True)
    click.echo(f"Next: dmft report {shlex.join(map(str, runs))}")
    sys.exit(1 if skipped else 0)
