"""``dmft cache subset | drop | merge | relabel | compare | manifest | migrate``."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pipeline.common.every_command import Destination
from pipeline.common.progress_bar import ProgressBar
from pipeline.common.words import first_of, listed

if TYPE_CHECKING:
    from pipeline.contract import CacheSpec

WHERE = "Records by their columns, such as \"subject in (1, 3) and class_name != 'jog'\"."
_as_json = click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
_modalities = click.option(
    "--modalities", default="", help="Comma-separated, such as skeleton,inertial.  [default: all]"
)


def _print_made(spec: CacheSpec, location: str, as_json: bool) -> None:
    if as_json:
        content = {
            "cache": location,
            "n_records": spec.n_records,
            "modalities": list(spec.modalities),
            "fingerprint": spec.fingerprint,
        }
        click.echo(json.dumps(content, indent=2))
        return
    click.echo(
        f"{location}: {spec.n_records} records with {', '.join(spec.modalities)}, fingerprint "
        f"{spec.fingerprint[:12]}"
    )


@click.command()
@click.argument("location", metavar="CACHE")
@click.argument("out", metavar="OUT", cls=Destination)
@click.option("--where", help=f"{WHERE}  [default: all]")
@_modalities
@_as_json
def subset(location: str, out: str, where: str | None, modalities: str, as_json: bool) -> None:
    """Write some records and modalities of CACHE to OUT, another cache.

    CACHE is not touched. Run the same command again after any interruption. Columns: record,
    label, class_name, the attributes (as subject; subject_name where they stand for names), and
    has_MODALITY.

    \b
      dmft cache subset utd.zarr few.zarr --where "subject in (1, 3) and class_name != 'jog'"
      dmft cache subset utd.zarr inertial.zarr --modalities inertial --where "has_inertial == True"
    """
    from pipeline.cache.edit.subset import subset as run

    with ProgressBar() as bar:
        progress = bar.follow("copying", "rows")
        spec = run(location, out, where=where, modalities=listed(modalities), on_progress=progress)
    _print_made(spec, out, as_json)


@click.command()
@click.argument("location", metavar="CACHE")
@click.option("--where", help=WHERE)
@click.option(
    "--records",
    "table",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A CSV with a column 'record' instead, as 'dmft audit' writes it.",
)
@click.option("--dry-run", is_flag=True, help="Name the records and change nothing.")
@_as_json
def drop(
    location: str, where: str | None, table: Path | None, dry_run: bool, as_json: bool
) -> None:
    """Take records out of CACHE, in place: no byte of them is left in it.

    The cache says afterwards that something was dropped and when, not what. Raw files, copies of
    the cache and runs that were trained on it are not touched. Give the next encode the manifest
    that 'dmft cache manifest' writes.

    \b
      dmft cache drop utd.zarr --where "subject == 7" --dry-run
      dmft cache drop utd.zarr --where "subject == 7"
    """
    from pipeline.cache.edit.drop import drop as run
    from pipeline.cache.edit.relabel import read_record_ids
    from pipeline.cache.edit.source import open_source
    from pipeline.cache.edit.subset import chosen
    from pipeline.contract import ConfigError

    if (where is None) == (table is None):
        raise ConfigError("say which records: either --where CONDITION or --records TABLE.csv")
    if dry_run:
        source = open_source(location)
        ids = (
            chosen(source, where) if where is not None else tuple(read_record_ids(table or Path()))
        )
        source.check_known(ids)
        click.echo("\n".join(ids))
        click.echo(f"{len(ids)} of {len(source.rows)} records. Nothing was changed.", err=True)
        return
    named = read_record_ids(table) if table is not None else ()
    spec, n_dropped = run(location, where=where, record_ids=named)
    if not as_json:
        click.echo(f"{n_dropped} records dropped" if n_dropped else "finished what was interrupted")
    _print_made(spec, location, as_json)
    if not as_json:
        click.echo(f"Next: dmft cache manifest {location} -o MANIFEST, for the next encode")


@click.command()
@click.argument("locations", metavar="CACHE... OUT", nargs=-1, required=True, cls=Destination)
@click.option(
    "--as",
    "names",
    multiple=True,
    metavar="NAME",
    help="A name for each CACHE in turn, to tell equal ids and paths apart; repeat it.",
)
@click.option(
    "--apart",
    multiple=True,
    metavar="COLUMN",
    help="An attribute whose equal numbers are different things in each, as subject; repeatable.",
)
@_modalities
@_as_json
def merge(
    locations: tuple[str, ...],
    names: tuple[str, ...],
    apart: tuple[str, ...],
    modalities: str,
    as_json: bool,
) -> None:
    """Write the records of several CACHEs to OUT, one cache.

    They must be of one data set and encoded alike; where they are not, every difference is listed.
    Classes are joined by name. With --as, ids become NAME-ID and paths NAME/PATH: the raw trees as
    they would lie beside each other.

    \b
      dmft cache merge lab1.zarr lab2.zarr both.zarr --as lab1 --as lab2 --apart subject
    """
    from pipeline.cache.edit.merge import merge as run
    from pipeline.contract import ConfigError

    if len(locations) < 3:
        raise ConfigError("wanted two caches or more, and then the place for the result")
    with ProgressBar() as bar:
        spec, remarks = run(
            locations[:-1],
            locations[-1],
            names=names,
            apart=apart,
            modalities=listed(modalities),
            on_progress=bar.follow("copying", "rows"),
        )
    for remark in remarks:
        click.echo(f"note: {remark}", err=True)
    _print_made(spec, locations[-1], as_json)


@click.command()
@click.argument("location", metavar="CACHE")
@click.argument(
    "table", metavar="TABLE", type=click.Path(exists=True, dir_okay=False, path_type=Path)
)
@_as_json
def relabel(location: str, table: Path, as_json: bool) -> None:
    """Give records of CACHE other labels, in place, as the CSV file TABLE says.

    TABLE has the columns record, old_label and new_label, and any others; lines without a new
    label are passed over. Labels are class names. Where one record is not called what old_label
    says, nothing is changed. What labels were is kept in the cache's provenance.

    \b
      dmft audit utd.zarr runs/* -o suspects.csv
      dmft cache relabel utd.zarr suspects.csv
    """
    from pipeline.cache.edit.relabel import read_changes
    from pipeline.cache.edit.relabel import relabel as run

    spec, n_changed = run(location, read_changes(table))
    if not as_json:
        click.echo(f"{n_changed} records relabelled")
    _print_made(spec, location, as_json)
    if not as_json:
        click.echo(f"Next: dmft cache manifest {location} -o MANIFEST, for the next encode")


@click.command()
@click.argument("first", metavar="A")
@click.argument("second", metavar="B")
@click.option(
    "--tolerance",
    type=click.FloatRange(0),
    default=0.0,
    show_default=True,
    help="Relative distance up to which a record's patches count as the same.",
)
@_as_json
def compare(first: str, second: str, tolerance: float, as_json: bool) -> None:
    """Say in what the caches A and B differ: records, labels, encodings, numbers.

    Exit code 1 if they do. Records are the same where their ids are.
    """
    from pipeline.cache.edit.compare import compare as run

    found = run(first, second, tolerance=tolerance)
    if as_json:
        click.echo(json.dumps({"is_same": found.is_same, **asdict(found)}, indent=2))
        sys.exit(0 if found.is_same else 1)
    click.echo(f"{found.n_common} records in both")
    for where, ids in ((first, found.only_first), (second, found.only_second)):
        if ids:
            click.echo(f"{len(ids)} records in {where} alone: {first_of(ids, 5)}")
    for where, names in (
        (first, found.modalities_only_first),
        (second, found.modalities_only_second),
    ):
        if names:
            click.echo(f"modalities in {where} alone: {', '.join(names)}")
    if found.labels:
        shown = first_of([f"{i} ({a} and {b})" for i, a, b in found.labels], 5)
        click.echo(f"{len(found.labels)} records of other classes: {shown}")
    if found.attributes:
        shown = first_of(found.attributes, 5)
        click.echo(f"{len(found.attributes)} records with other attributes: {shown}")
    for name, each in found.modalities.items():
        parts = [f"{each.n_equal} equal bit for bit"]
        parts += [f"{each.n_close} within {tolerance:g}"] if each.n_close else []
        if each.beyond:
            parts.append(
                f"{len(each.beyond)} apart by up to {each.largest:.3g} ({first_of(each.beyond, 3)})"
            )
        if each.presence:
            parts.append(f"{len(each.presence)} not in both ({first_of(each.presence, 3)})")
        click.echo(f"{name:10} {', '.join(parts)}")
        if each.encoding:
            click.echo(f"{'':10} encoded otherwise: {each.encoding}")
    click.echo("the same" if found.is_same else "they differ")
    sys.exit(0 if found.is_same else 1)


@click.command()
@click.argument("location", metavar="CACHE")
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="Where to write it.",
)
@click.option("--force", is_flag=True, show_default="off", help="Write over an existing file.")
def manifest(location: str, output: Path, force: bool) -> None:
    """Write the list of CACHE's records as a manifest: what the next encode is given."""
    from pipeline.cache.edit.source import open_source
    from pipeline.manifests import save_manifest

    if output.exists() and not force:
        raise click.UsageError(f"{output} exists: choose another file, or write over it by --force")
    records = open_source(location).manifest
    save_manifest(records, output)
    click.echo(f"{output}: {len(records.records)} records of {records.dataset}")


@click.command()
@click.argument("location", metavar="CACHE")
@_as_json
def migrate(location: str, as_json: bool) -> None:
    """Bring CACHE, of an earlier version of this software, up to this one, in place.

    Nothing is encoded and no recording is needed: patches and ledgers stay as they are. A later
    schema version is stored where there is one, and what earlier versions did not write is added.

    \b
      dmft cache migrate utd.zarr
    """
    from pipeline.cache.edit.migrate import migrate as run

    done = run(location)
    if as_json:
        content = {
            "cache": location,
            "before": done.before,
            "after": done.after,
            "added": done.added,
            "fingerprint": done.spec.fingerprint,
        }
        click.echo(json.dumps(content, indent=2))
        return
    if done.before != done.after:
        click.echo(f"schema version {done.before} is now {done.after}")
    if done.added:
        click.echo(f"{len(done.added)} objects added: {first_of(done.added, 5)}")
    if done.before == done.after and not done.added:
        click.echo(f"{location} is up to date: schema version {done.after}")


COMMANDS = (subset, drop, merge, relabel, compare, manifest, migrate)
