"""``dmft audit``."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict
from pathlib import Path

import click

from dmft.commands import kinds
from dmft.evaluation.suspects import KINDS
from pipeline.common.files import replacing

SHOWN = 5
"""Suspects of a kind that are printed; the table has all."""


@click.command(short_help="Name records that deserve a look.")
@click.argument("cache", metavar="CACHE", type=kinds.CACHE)
@click.argument("runs", metavar="[RUN]...", nargs=-1, type=click.Path(path_type=Path))
@click.option("--protocol", help="A name or a file: near-duplicates and files across its folds.")
@click.option(
    "--nearer-than",
    type=click.FloatRange(0, 1),
    default=0.1,
    show_default=True,
    help="Near-duplicates: as part of the median distance of a record to its nearest.",
)
@click.option(
    "--kind",
    "kinds",
    multiple=True,
    type=click.Choice(list(KINDS)),
    help="Only these; repeatable.  [default: all]",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write all as a CSV, which 'dmft cache relabel' and 'drop --records' take.",
)
@click.option(
    "--html",
    "page",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write a page to look at: each suspect's signals beside what it is held against.",
)
@click.option(
    "--records",
    "n_each",
    type=click.IntRange(0),
    default=8,
    show_default=True,
    help="With --html: so many of each kind are drawn.",
)
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def audit(
    cache: Path,
    runs: tuple[Path, ...],
    protocol: str | None,
    nearer_than: float,
    kinds: tuple[str, ...],
    output: Path | None,
    page: Path | None,
    n_each: int,
    as_json: bool,
) -> None:
    """Name records of CACHE that deserve a look before a result is believed.

    Near-duplicates, halves of one trial and raw files on both sides of the split of --protocol;
    lengths and values out of the family of their class; and from the predictions of RUNs, which
    never saw these records: labels that all of them contradict with confidence, and records that
    all of them miss. CACHE may be a URL: it is read where it lies.

    \b
      dmft audit utd.zarr runs/* --protocol utd-loso -o suspects.csv --html suspects.html
    A suspicion is no proof: look at the page, tick what is to be changed and save that, or take
    lines out of the table, and then
      dmft cache relabel utd.zarr suspects.csv
    """
    import pandas as pd

    from dmft.data import open_cache
    from dmft.evaluation.audit import audit as run
    from dmft.evaluation.suspects import Suspect
    from dmft.protocols import choose_folds, load_protocol

    opened = open_cache(cache)
    folds = choose_folds(load_protocol(protocol), opened, "all") if protocol else ()
    found = run(opened, folds, runs, nearer_than=nearer_than)
    found = [each for each in found if not kinds or each.kind in kinds]
    if output is not None:
        table = pd.DataFrame([asdict(each) for each in found], columns=list(_columns(Suspect)))
        with replacing(output) as partial:
            table.to_csv(partial, index=False)
    n_bytes = 0
    if page is not None:
        from dmft.reports.suspects import write_suspects

        n_bytes = write_suspects(opened, found, page, n_each=n_each)
    if as_json:
        click.echo(json.dumps([asdict(each) for each in found], indent=2))
        return
    counts = Counter(each.kind for each in found)
    for kind, n in counts.items():
        click.echo(f"{n} {kind}")
        for each in [each for each in found if each.kind == kind][:SHOWN]:
            what = " ".join(part for part in (each.modality, each.other) if part)
            click.echo(f"  {each.record:16} {what:24} {each.score:8.3g}  {each.note}")
        if n > SHOWN:
            click.echo(f"  and {n - SHOWN} more")
    if not found:
        click.echo("nothing is suspect")
    if output is not None:
        click.echo(f"{output}: {len(found)} lines")
    if page is not None:
        click.echo(f"{page}: {n_bytes / 1e6:.2f} MB; open it in a browser")


def _columns(suspect: type) -> tuple[str, ...]:
    return tuple(suspect.__annotations__)
