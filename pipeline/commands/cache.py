"""``dmft cache``: look into a feature cache, verify it, and make another of it."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import click

from pipeline.commands import cache_edit, cache_export
from pipeline.common.suggesting import SuggestingGroup
from pipeline.common.words import first_of, text_of


@contextmanager
def _or_damaged(location: str) -> Iterator[None]:
    """Say that a cache is damaged, whatever it is that a damaged one trips.

    Raises:
        ContractError: reading it raised something that no whole cache raises.
    """
    from pipeline.contract import ContractError, DmftError

    try:
        yield
    except (DmftError, OSError, MemoryError):
        raise
    except Exception as error:
        what = f"{type(error).__name__}: {error}"[:200]
        raise ContractError(
            f"{location} is damaged ({what}): 'dmft cache verify {location}' names what is, and "
            "'dmft encode' with the same arguments and --check-stored mends it"
        ) from error


@click.group(cls=SuggestingGroup, context_settings={"help_option_names": ["-h", "--help"]})
def cache() -> None:
    """Look into a feature cache, verify it, edit it.

    subset, drop, merge and relabel encode nothing and read no recording: what they make is what
    encoding that list of records would make, bit for bit.
    """


@cache.command()
@click.argument("location", metavar="CACHE")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def info(location: str, as_json: bool) -> None:
    """Show what is in CACHE at a glance: records, modalities, encoding, provenance."""
    from pipeline.cache.verify import count_states
    from pipeline.cache.writer import CacheStore

    with _or_damaged(location):
        store = CacheStore.read(location)
        counts = count_states({name: store.entries(name) for name in store.spec.modalities})
        n_bytes = sum(store.objects.sizes().values())
    if as_json:
        content = {**store.spec.to_json(), "counts": counts, "n_bytes": n_bytes}
        click.echo(json.dumps(content, indent=2))
        return
    spec = store.spec
    click.echo(f"{location}: {spec.state}, {spec.n_records} records of {spec.dataset}, ", nl=False)
    click.echo(f"{len(spec.classes)} classes, {n_bytes / 1e6:,.1f} MB")
    named = spec.provenance.get("description", {}).get("values", {})
    for name in spec.columns:
        values = sorted({record.attributes.get(name, -1) for record in store.records})
        shown = first_of([text_of(value, named.get(name, ())) for value in values], 12)
        click.echo(f"  {name:10} {len(values):4} values: {shown}")
    for name, modality in spec.modalities.items():
        state = ", ".join(f"{n} {what}" for what, n in counts[name].items())
        click.echo(
            f"  {name:10} (N, {modality.n_patches}, {modality.n_features}) {modality.dtype}, "
            f"{state}"
        )
        settings = ", ".join(f"{k} {v}" for k, v in modality.encoding.items() if len(str(v)) < 20)
        click.echo(f"  {'':10} {settings}")
    click.echo(f"  fingerprint {spec.fingerprint or '(not complete)'}")


@cache.command()
@click.argument("location", metavar="CACHE")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def status(location: str, as_json: bool) -> None:
    """Show how far the encode of CACHE is, also while it runs."""
    from pipeline.encode.progress import read_status

    with _or_damaged(location):
        progress = read_status(location)
    if as_json:
        click.echo(json.dumps(progress, indent=2))
        return
    for name, count in progress["modalities"].items():
        click.echo(
            f"{name:10} {count['done']:6} done {count['absent']:5} absent {count['failed']:5} "
            f"failed {count['pending']:6} pending"
        )
    if progress["running"]:
        left, waits = progress["seconds_left"], progress["not_begun"]
        known = f"about {left:.0f} s left" if left is not None else "time left not known yet"
        if waits:
            known += f": nothing of {', '.join(waits)} is stored"
        click.echo(f"running: {rate_text(progress['rate'])}, {known}")
    else:
        click.echo(f"not running; the cache is {progress['state']}")


def rate_text(rate: float) -> str:
    """Records a second, or seconds a record where that says more."""
    if not rate:
        return "no record done yet"
    return f"{rate:.1f} records a second" if rate >= 1 else f"{1 / rate:.1f} s a record"


@cache.command()
@click.argument("location", metavar="CACHE")
@click.option("--quick", "how", flag_value="quick", default="quick", help="States and sizes.")
@click.option("--full", "how", flag_value="full", help="Every byte against its checksum.")
@click.option(
    "--source",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Also compare the raw files in this tree with what was encoded.",
)
@click.option("--recompute", type=int, default=0, help="Encode so many random records again.")
@click.option("--weights", help="For --recompute of colour and depth.  [default: as recorded]")
@click.option(
    "--seed", type=click.IntRange(0), default=0, show_default=True, help="Chooses the records."
)
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def verify(
    location: str,
    how: str,
    source: Path | None,
    recompute: int,
    weights: str | None,
    seed: int,
    as_json: bool,
) -> None:
    """Verify CACHE: its state, its checksums, its raw files, its numbers.

    Exit code 1 if anything is wrong. Every finding names the object and the records it hits.
    """
    from pipeline.cache.verify import verify as verify_cache
    from pipeline.contract import ConfigError
    from pipeline.encode.recheck import Recheck, recheck

    started = time.monotonic()
    if recompute and source is None:
        raise ConfigError("--recompute encodes raw files again: give their tree with --source RAW")
    report = verify_cache(location, full=how == "full")
    outside = Recheck()
    if source:
        outside = recheck(report, str(source), n_records=recompute, weights=weights, seed=seed)
    findings = report.findings + outside.findings
    if as_json:
        content = {
            "state": report.state,
            "counts": report.counts,
            "n_objects": report.n_objects,
            "n_bytes": report.n_bytes,
            "n_sources": outside.n_sources,
            "n_recomputed": outside.n_recomputed,
            "findings": [asdict(finding) for finding in findings],
        }
        click.echo(json.dumps(content, indent=2))
        sys.exit(1 if findings else 0)
    for name, count in report.counts.items():
        click.echo(f"{name:10} " + ", ".join(f"{n} {what}" for what, n in count.items()))
    for finding in findings:
        shown = ", ".join(finding.record_ids[:5])
        more = f" and {len(finding.record_ids) - 5} more" if len(finding.record_ids) > 5 else ""
        records = f" [{shown}{more}]" if shown else ""
        click.echo(f"{finding.kind}: {finding.where}: {finding.message}{records}", err=True)
    looked = [f"{report.n_objects} objects"]
    looked += [f"{report.n_bytes / 1e6:,.1f} MB read"] if how == "full" else ["sizes only"]
    looked += [f"{outside.n_sources} raw files"] if source else []
    looked += [f"{outside.n_recomputed} records encoded again"] if recompute else []
    verdict = f"{len(findings)} problems" if findings else "all is well"
    click.echo(f"{verdict}: {', '.join(looked)}, {time.monotonic() - started:.1f} s")
    sys.exit(1 if findings else 0)


@cache.command()
@click.argument("location", metavar="CACHE")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("view.html"),
    show_default=True,
    help="Where to write the page.",
)
@click.option("--records", default=12, show_default=True, help="How many records to draw.")
@click.option(
    "--record",
    "named",
    multiple=True,
    metavar="ID",
    help="Draw this record first; repeatable, beside --records.",
)
@click.option(
    "--raw",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="The raw recordings: also draw a few frames of colour and depth, which no cache holds.",
)
def view(
    location: str, output: Path, records: int, named: tuple[str, ...], raw: Path | None
) -> None:
    """Write what is in CACHE as one HTML page: counts, gaps, ranges, outliers, a few records.

    The page needs no network and no other file. Suspect records are also printed.
    """
    from pipeline.view import write_view

    with _or_damaged(location):
        n_bytes, suspects = write_view(location, output, n_shown=records, named=named, raw=raw)
    for odd in suspects:
        click.echo(
            f"suspect: {odd.record_id}: {odd.what} is {odd.value:.3g}, "
            f"the median is {odd.median:.3g}",
            err=True,
        )
    click.echo(f"{output}: {n_bytes / 1e6:.2f} MB, {len(suspects)} suspects")
    click.echo(f"Next: open {output} in a browser")


for _command in (*cache_edit.COMMANDS, cache_export.export):
    cache.add_command(_command)
