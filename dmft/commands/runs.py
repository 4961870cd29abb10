"""``dmft runs``."""

from __future__ import annotations

from pathlib import Path

import click

from dmft.commands import kinds

FORMATS = ("table", "csv", "json")


@click.command(short_help="List runs by what they are, and choose some.")
@click.argument("folders", nargs=-1, required=True, type=kinds.PATH)
@click.option(
    "--where",
    metavar="CONDITION",
    help="Only runs for which this holds, as \"model == 'teacher' and accuracy > 0.9\".",
)
@click.option("--sort", metavar="COLUMN", help="Order by this column, the largest first.")
@click.option(
    "--format", "form", type=click.Choice(FORMATS), default="table", show_default=True, help="How."
)
@click.option(
    "--json", "form", flag_value="json", show_default="off", help="The same as --format json."
)
def runs(folders: tuple[Path, ...], where: str | None, sort: str | None, form: str) -> None:
    """List the runs in and below FOLDERS: what each is, what it reached, and where it lies.

    Columns: name, model, modalities, protocol, folds, seed, accuracy, macro_f1, parameters, folder.
    Single folds of one run are one line. Exit code 1 if some could not be read.
    """
    import sys

    from dmft.reports.load import load_runs
    from dmft.reports.overview import choose, overview

    loaded, skipped = load_runs(folders)
    table = choose(overview(loaded), where=where, sort=sort)
    if form == "table":
        percent = "{:.2%}".format
        shown = table.to_string(
            index=False,
            formatters={"accuracy": percent, "macro_f1": percent, "parameters": "{:,}".format},
        )
        click.echo(shown if len(table) else "no run fits")
    elif form == "csv":
        click.echo(table.to_csv(index=False), nl=False)
    else:
        click.echo(table.to_json(orient="records", indent=2))
    for line in skipped:
        click.echo(f"not listed: {line}", err=True)
    sys.exit(1 if skipped else 0)
