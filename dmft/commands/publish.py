"""``dmft publish`` and ``dmft fetch``: a cache or a run brought to another place, and back."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dmft.commands import kinds, options
from pipeline.common.every_command import Destination

if TYPE_CHECKING:
    from pipeline.common.publishing import Listing
    from pipeline.common.stores import Store

SHOWN = 10
"""Damaged objects that are named."""


@click.command(short_help="Bring a cache or a run to a folder or an object store.")
@click.argument("source")
@click.argument("destination", cls=Destination)
@click.option(
    "--replace", is_flag=True, help="Put it in the place of another that is published there."
)
@options.json
def publish(source: str, destination: str, replace: bool, as_json: bool) -> None:
    """Bring SOURCE, a finished cache or run, to DESTINATION.

    DESTINATION is a folder, s3://, gs://, az://, or Hugging Face's hub: hf://datasets/USER/NAME for
    a cache, hf://USER/NAME for a run.

    A run goes with a model card, README.md: what it is for, its data, its figures with intervals,
    and its limits. Words of your own in the run's README.md are kept instead.

    Every object is held against its checksum as it is read. What is there already is not sent
    again: run the same command again after any interruption, or after the cache has grown (with
    --replace). The list of checksums goes last, and nothing is fetched without it.

    \b
      dmft publish utd.zarr s3://bucket/utd.zarr
      dmft publish RUN /mnt/shared/run
      dmft publish utd.zarr hf://datasets/USER/NAME
    """
    from pipeline.common.progress_bar import ProgressBar
    from pipeline.common.publishing import publish as run
    from pipeline.common.publishing import publish_to_hub
    from pipeline.common.stores import open_store

    started = time.monotonic()
    is_hub = destination.startswith("hf://")
    target = None if is_hub else open_store(destination)
    store, listing = _published(source, open_store(source))
    with ProgressBar() as bar:
        follow = bar.follow("publishing", "objects")
        if target is None:
            done = publish_to_hub(store, listing, destination, replace=replace, on_progress=follow)
        else:
            done = run(store, listing, target, replace=replace, on_progress=follow)
    seconds = time.monotonic() - started
    if as_json:
        _print_json(asdict(done), source, destination, seconds)
        return
    click.echo(
        f"{done.kind} of {done.n_objects} objects, {done.n_bytes / 1e6:,.1f} MB: {done.n_sent} "
        f"sent, {done.sent_bytes / 1e6:,.1f} MB, {seconds:.1f} s"
    )
    click.echo(f"Next: dmft fetch {destination} FOLDER")


@click.command(short_help="Bring a published cache or run into a folder, verified.")
@click.argument("source")
@click.argument("out", type=kinds.PATH, cls=Destination)
@options.json
def fetch(source: str, out: Path, as_json: bool) -> None:
    """Bring SOURCE, a published cache or run, into the folder OUT.

    SOURCE is a folder, s3://, gs://, az://, hf:// or https://; a finished cache that was encoded
    there is one too. Every object is held against the list of checksums before it is put in place,
    and nothing is written outside OUT. What is there already is not fetched again. Exit code 1
    where something is damaged at the source: then OUT passes for nothing.

    \b
      dmft fetch s3://bucket/utd.zarr utd.zarr
      dmft train utd.zarr --protocol utd-loso --model teacher --out RUN
    """
    from pipeline.common.progress_bar import ProgressBar
    from pipeline.common.publishing import fetch as run
    from pipeline.common.stores import open_store, served_at

    started = time.monotonic()
    with ProgressBar() as bar:
        done = run(
            open_store(served_at(source)), out, on_progress=bar.follow("fetching", "objects")
        )
    seconds = time.monotonic() - started
    if as_json:
        _print_json(asdict(done), source, str(out), seconds)
    else:
        click.echo(
            f"{done.kind} of {done.n_objects} objects, {done.n_bytes / 1e6:,.1f} MB: "
            f"{done.n_fetched} fetched, {done.fetched_bytes / 1e6:,.1f} MB, {seconds:.1f} s"
        )
    if done.damaged:
        for key in done.damaged[:SHOWN]:
            click.echo(f"damaged: {source}/{key} is missing or not what the list says", err=True)
        click.echo(
            f"{len(done.damaged)} of {done.n_objects} objects are damaged at the source, so {out} "
            f"is no {done.kind} yet: publish it there again, and run the same command again",
            err=True,
        )
        sys.exit(1)
    if not as_json and done.kind == "cache":
        click.echo(f"Next: dmft train {out} --protocol NAME --model teacher --out RUN")
    elif not as_json:
        click.echo(f"Next: dmft evaluate {out} --cache CACHE, or dmft predict {out} --raw RAW")


def _published(source: str, store: Store) -> tuple[Store, Listing]:
    """What is to be published, and its checksums.

    Raises:
        ContractError: it is neither a finished cache nor a finished run.
    """
    from pipeline.common.publishing import read_listing
    from pipeline.common.stores import Folder
    from pipeline.contract import ContractError

    listing = read_listing(store) if store.read("zarr.json") is not None else None
    if listing is not None and listing.kind == "cache":
        return store, listing
    runs = ("run.json", "folds.json")
    if isinstance(store, Folder) and any(store.read(name) is not None for name in runs):
        from dmft.reports.card import MARK, run_card
        from dmft.runs.published import published_run

        return published_run(store.path, run_card(store.path), mark=MARK)
    raise ContractError(
        f"{source} is neither a finished cache nor a run: a cache has its list of checksums once "
        "'dmft encode' has ended, and a run lies in a folder and has a run.json"
    )


def _print_json(done: dict[str, Any], source: str, destination: str, seconds: float) -> None:
    table = {"source": source, "destination": destination, **done, "seconds": round(seconds, 3)}
    click.echo(json.dumps(table, indent=2))
