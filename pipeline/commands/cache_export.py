"""``dmft cache export``: a cache in formats that other programs read."""

from __future__ import annotations

from pathlib import Path

import click

from pipeline.common.every_command import Destination
from pipeline.common.progress_bar import ProgressBar


@click.command()
@click.argument("location", metavar="CACHE")
@click.argument("out", metavar="OUT", type=click.Path(path_type=Path), cls=Destination)
@click.option(
    "--to",
    "form",
    required=True,
    type=click.Choice(["npz", "csv", "webdataset", "hf-datasets"]),
    help="One .npz or .csv file a modality, shards of tar files, or Parquet for Hugging Face.",
)
@click.option(
    "--licence",
    default="",
    help="Of the data, for the card: a name or an address.  [default: as the cache says]",
)
def export(location: str, out: Path, form: str, licence: str) -> None:
    """Write CACHE to the new folder OUT in another format, with a card and checksums.

    Beside the patches there are records.csv and records.parquet, a data card (README.md) with
    counts and how to load it, croissant.json and SHA256SUMS.

    \b
      dmft cache export utd.zarr utd-features --to npz --licence CC-BY-4.0
    """
    from pipeline.cache.export import export as run

    with ProgressBar() as bar:
        n_bytes = run(
            location, out, form, licence=licence, on_progress=bar.follow("exporting", "rows")
        )
    click.echo(f"{out}: {n_bytes / 1e6:,.1f} MB; README.md says how to load it")
