"""``dmft report``."""

from __future__ import annotations

from pathlib import Path

import click

from dmft.commands import kinds


@click.command(short_help="Show runs on one page, to read in a browser or to send.")
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("report.html"),
    show_default=True,
    help="Where to write the page.",
)
@click.option(
    "--cache",
    type=kinds.CACHE,
    help="Where the runs' cache is now. [default: where it was; the report needs none]",
)
@click.option(
    "--draw",
    "n_drawn",
    type=click.IntRange(min=0),
    default=32,
    show_default=True,
    help="Wrong records that are drawn with their signals, where the cache is at hand.",
)
@click.option(
    "--inside",
    is_flag=True,
    show_default="off",
    help="Also ask the models, whose weights and cache have to be there: a map of the records as "
    "they see them, and their attention over time in the records that are drawn.",
)
@click.option(
    "--map",
    "map_by",
    type=click.Choice(["pca", "umap"]),
    default="pca",
    show_default=True,
    help="With --inside: principal components, or UMAP (pip install 'dmft[umap]').",
)
@click.option("--title", help="Heading of the page. [default: the protocol's name]")
def report(
    runs: tuple[Path, ...],
    output: Path,
    cache: Path | None,
    n_drawn: int,
    inside: bool,
    map_by: str,
    title: str | None,
) -> None:
    """Write what RUNS have found as one HTML page that needs no network and no other file.

    RUNS are run folders, or folders that hold some; single folds of one run are put together, and
    runs that differ in the seed alone are averaged. Where the runs' cache is at hand the page also
    says which person fails, and draws the records that most runs get wrong. Exit code 1 if some
    runs could not be shown.
    """
    import sys

    from dmft.reports.load import load_runs
    from dmft.reports.page.html import write_report
    from pipeline.common.progress_bar import ProgressBar

    if map_by != "pca" and not inside:
        raise click.UsageError(f"--map {map_by} goes with --inside")
    loaded, skipped = load_runs(runs)
    with ProgressBar() as bar:
        n_bytes = write_report(
            loaded,
            output,
            skipped=skipped,
            title=title,
            cache=cache,
            n_drawn=n_drawn,
            inside=inside,
            map_by=map_by,
            progress=bar.follow("asking models", unit="models"),
        )
    for line in skipped:
        click.echo(f"not shown: {line}", err=True)
    click.echo(f"{output}: {len(loaded)} runs, {n_bytes / 1e6:.2f} MB")
    click.echo(f"Next: open {output} in a browser")
    sys.exit(1 if skipped else 0)
