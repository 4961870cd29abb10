"""``dmft tables``."""

from __future__ import annotations

from pathlib import Path

import click

OWN = ("models", "fusion", "folds", "people", "calibration")
"""Tables that the paper does not have."""


@click.command(short_help="The paper's tables, ours beside the published figures.")
@click.argument("results", metavar="DIR", type=click.Path(path_type=Path))
@click.option(
    "--table",
    "only",
    multiple=True,
    type=click.Choice([*"12345678", *OWN]),
    help="Only this; repeatable.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["markdown", "csv", "latex"]),
    default="markdown",
    show_default=True,
    help="What is printed; all three are written.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="Folder of the files. [default: DIR/tables]",
)
def tables(results: Path, only: tuple[str, ...], form: str, output: Path | None) -> None:
    """Print Tables 1 to 8 from the results in DIR, which 'dmft experiment' wrote.

    Each of our figures is a mean over folds and seeds with its spread over both. Tables without
    any result of ours are named, with the experiment that makes them, and not printed. Five more
    are written and printed when asked for: every model (networks of your own too), kinds of fusion,
    each fold, each person, calibration.
    """
    from dmft.experiments.results import RUNS_FOLDER, read_results
    from dmft.reports.published import load_published
    from dmft.reports.render import render, write_tables
    from dmft.reports.tables import build_tables

    built = build_tables(load_published(), read_results(results))
    names = {each if each in OWN else f"table-{each}" for each in only}
    chosen = [table for table in built if not names or table.name in names]
    folder = output or results / "tables"
    files = write_tables(chosen, folder)
    shown = [table for table in chosen if names or (table.has_ours and table.name not in OWN)]
    click.echo("\n".join(render(table, form) for table in shown), nl=False)
    for table in chosen:
        if not table.has_ours:
            wanted = " or ".join(f"'dmft experiment {name}'" for name in table.experiments)
            click.echo(f"{table.name} has nothing of ours yet: {wanted} makes it.", err=True)
    for name in sorted(names - {table.name for table in built}):
        click.echo(f"{name} has nothing yet: the results in {results} hold none of it.", err=True)
    click.echo(f"{len(files)} files are in {folder}.", err=True)
    click.echo(f"Next: dmft report {results / RUNS_FOLDER}", err=True)
