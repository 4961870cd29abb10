"""``dmft encode``: raw recordings to a feature cache."""

from __future__ import annotations

import importlib.util
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pipeline.commands.failures import failure_lines
from pipeline.common.every_command import print_config
from pipeline.common.progress_bar import ProgressBar
from pipeline.common.settings import flatten, read_toml, shipped_names, to_table, toml_text
from pipeline.common.words import listed
from pipeline.encoders.stage_names import ADVICE

if TYPE_CHECKING:
    from pipeline.encode.dry_run import DryRun
    from pipeline.encode.job import Summary
    from pipeline.encode.plan import Plan

PEOPLE = ("subject", "person", "participant", "patient", "child", "user", "who")
"""What the column is called that protocols mostly go by."""


@click.command()
@click.argument("manifest", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--raw",
    required=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="The raw tree that the manifest's paths lie in: folders or the archives as downloaded.",
)
@click.option(
    "--out", required=True, help="The cache: a folder, or a URL such as s3://bucket/utd.zarr."
)
@click.option(
    "--modalities",
    default="",
    help="Comma-separated, such as skeleton,inertial.  [default: all of the manifest]",
)
@click.option(
    "--config",
    help="Windows, strides, patches and normalisation: a TOML file, or paper.  [default: measured "
    "defaults]",
)
@click.option(
    "--set",
    "changes",
    multiple=True,
    metavar="KEY=VALUE",
    help="One setting of --config, as rgb.every=2; repeatable.",
)
@print_config
@click.option(
    "--weights",
    default="imagenet",
    show_default=True,
    help="Of the network for frames: imagenet, a .safetensors, .pth, .onnx or .pt2 FILE, or "
    "random:SEED; by modality as rgb=imagenet,depth=FILE.",
)
@click.option(
    "--device",
    type=click.Choice(["auto", "cpu", "cuda"]),
    default="auto",
    show_default=True,
    help="Where the network runs.",
)
@click.option(
    "--workers",
    "n_workers",
    type=click.IntRange(min=0),
    help="Worker processes; 0 stays in this process.  [default: one a core, or one a GPU; none for "
    "as long as starting them would take longer]",
)
@click.option("--scheduler", help="Address of a running Dask scheduler, such as tcp://host:8786.")
@click.option(
    "--dashboard",
    default="127.0.0.1:0",
    show_default=True,
    metavar="HOST:PORT",
    help="Where Dask's dashboard listens; 0.0.0.0:8787 shows it to everyone on the network.",
)
@click.option("--retry-failed", is_flag=True, help="Try quarantined records again.")
@click.option("--fail-fast", is_flag=True, help="Stop at the first record that fails.")
@click.option(
    "--check-stored",
    is_flag=True,
    help="Read everything stored again first; what is damaged is encoded again.",
)
@click.option(
    "--replace",
    is_flag=True,
    help="Encode modalities again that the cache holds in another encoding, dropping those.",
)
@click.option(
    "--despite-edits",
    is_flag=True,
    help="Add records or change labels, though some were dropped from the cache or relabelled.",
)
@click.option(
    "--licence",
    default="",
    help="Of the recordings, for the cache's data card: a name or an address.",
)
@click.option(
    "--dry-run",
    is_flag=True,
    help="Say what would be done and how much room it takes; encode and change nothing.",
)
@click.option(
    "--measure",
    is_flag=True,
    help="With --dry-run: encode three recordings of each modality, to tell how long all take.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the closing summary as JSON.")
def encode(
    manifest: Path,
    raw: Path,
    out: str,
    modalities: str,
    config: str | None,
    changes: tuple[str, ...],
    print_config: bool,
    dry_run: bool,
    measure: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Encode the recordings of MANIFEST into a feature cache.

    Run the same command again after any interruption: it goes on where it was. What has not
    changed is not encoded again. A record that cannot be encoded is listed with its reason and
    marked in the cache; the others are finished, and the exit code is 1.

    \b
    Skeleton and inertial only, in seconds:
      dmft encode utd.jsonl --raw RAW --out utd.zarr --modalities skeleton,inertial
    Colour and depth too, on the GPU if there is one:
      dmft encode utd.jsonl --raw RAW --out utd.zarr
    What it would take, without doing it; --measure also tells how long:
      dmft encode utd.jsonl --raw RAW --out utd.zarr --dry-run --measure
    """
    from pipeline.encode.job import Callbacks, rehearse
    from pipeline.encode.job import encode as run
    from pipeline.encode.options import EncodeOptions
    from pipeline.encoders.config import load_config
    from pipeline.encoders.described import own_encodings
    from pipeline.manifests import load_manifest

    started = time.monotonic()
    wanted = load_manifest(manifest)
    asked = EncodeOptions(
        config=load_config(config, changes, own_encodings(wanted.described)),
        modalities=listed(modalities),
        **options,
    )
    if print_config:
        sections = {m: to_table(asked.config.of(m)) for m in asked.modalities or wanted.modalities}
        click.echo(toml_text(flatten(sections)), nl=False)
        return
    if measure and not dry_run:
        raise click.UsageError("--measure goes with --dry-run")
    if dry_run:
        _print_dry_run(rehearse(wanted, str(raw), out, asked, measure=measure), as_json, measure)
        return
    display = _Display()
    callbacks = Callbacks(
        on_repair=display.repair,
        on_plan=display.plan,
        on_progress=display.advance,
        on_dashboard=display.dashboard,
    )
    try:
        with display:
            summary = run(wanted, str(raw), out, asked, callbacks)
    except KeyboardInterrupt:
        click.echo("\nStopped. What is done is kept: run the same command to go on.", err=True)
        sys.exit(130)
    seconds = time.monotonic() - started
    if as_json:
        click.echo(json.dumps(_as_json(summary, seconds), indent=2))
    else:
        _print(summary, seconds, out)
    sys.exit(1 if summary.failures or summary.stopped else 0)


class _Display(ProgressBar):
    """What an encode tells while it goes, on standard error."""

    def repair(self, n_findings: int) -> None:
        """Say what a check of everything stored found."""
        verdict = f"{n_findings} objects are not what was written" if n_findings else "all is well"
        self.say(f"stored: {verdict}")

    def plan(self, plan: Plan) -> None:
        """Say what there is to do, and begin."""
        for name, n in plan.counts.items():
            parts = {"done": n.n_done, "absent": n.n_absent, "in quarantine": n.n_failed}
            others = "".join(f", {count} {what}" for what, count in parts.items() if count)
            self.say(f"{name}: {n.n_pending} to encode{others}")
        self.start("encoding", total=plan.n_pending, unit="records")

    def dashboard(self, address: str) -> None:
        """Say where Dask shows itself, and what it lacks to draw plots."""
        drawn = importlib.util.find_spec("bokeh") is not None
        plots = "" if drawn else " (without plots: they need pip install 'dmft[dashboard]')"
        self.say(f"Dask's dashboard: {address}{plots}")


def _print_dry_run(run: DryRun, as_json: bool, measured: bool) -> None:
    if as_json:
        content = {**asdict(run), "cache_bytes": run.cache_bytes}
        click.echo(json.dumps(content, indent=2))
        return
    for name, needs in run.modalities.items():
        frames = f", {needs.n_frames} frames" if needs.n_frames else ""
        n_unknown = needs.n_unknown_frames
        frames += f" and {n_unknown} recordings of unknown length" if frames and n_unknown else ""
        click.echo(
            f"{name:10} {needs.n_pending} to encode, {needs.n_done} done, {needs.n_absent} absent, "
            f"{needs.n_failed} in quarantine{frames}, {needs.source_bytes / 1e6:,.1f} MB to read, "
            f"{needs.cache_bytes / 1e6:,.1f} MB to write"
        )
    for record_id, modality, reason in run.missing[:5]:
        click.echo(f"cannot be opened: {record_id} {modality}: {reason}", err=True)
    if run.missing:
        click.echo(f"{len(run.missing)} recordings cannot be opened and would fail", err=True)
    workers = "the scheduler's workers" if run.n_workers is None else f"{run.n_workers} workers"
    room = "" if run.free_bytes is None else f", {run.free_bytes / 1e6:,.0f} MB free"
    unknown = "time not known" if measured else "time not measured (--measure)"
    took = unknown if run.seconds is None else f"about {_duration(run.seconds)}"
    for url in run.downloads:
        click.echo(f"would be downloaded first: {url}")
    click.echo(f"{workers} on {run.device}{room}: {took}. Nothing was changed.")


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _as_json(summary: Summary, seconds: float) -> dict[str, Any]:
    return {
        "cache": summary.location,
        "state": str(summary.spec.state),
        "n_records": summary.spec.n_records,
        "counts": summary.counts,
        "encoded_now": summary.plan.n_pending,
        "seconds": round(seconds, 3),
        "fingerprint": summary.spec.fingerprint,
        "stages": {name: report.to_json(ADVICE) for name, report in summary.stages.items()},
        "failures": [
            {
                "record": record_id,
                "modality": modality,
                "file": failure.path,
                "stage": failure.stage,
                "type": failure.type,
                "message": failure.message,
            }
            for record_id, modality, failure in summary.failures
        ],
    }


def _print(summary: Summary, seconds: float, out: str) -> None:
    for name, counts in summary.counts.items():
        spec = summary.spec.modalities[name]
        click.echo(
            f"{name:10} {counts['present']:6} present {counts['absent']:5} absent "
            f"{counts['failed']:5} failed   ({summary.spec.n_records}, {spec.n_patches}, "
            f"{spec.n_features}) {spec.dtype}"
        )
    for name, report in summary.stages.items():
        click.echo(f"{name} " + "\n".join(report.summary_lines(ADVICE)))
    for line in failure_lines(summary.failures):
        click.echo(f"failed: {line}", err=True)
    n_failed, n_tried = len(summary.failures), summary.plan.n_pending
    if n_failed and not summary.stopped:
        click.echo(
            f"{n_failed} in quarantine: once they are mended, build the manifest again, or try "
            "the same files again with --retry-failed.",
            err=True,
        )
    if not summary.plan.tasks:
        click.echo(f"{out} is up to date, {seconds:.1f} s")
    elif n_failed:
        click.echo(f"{n_tried} recordings tried in {seconds:.1f} s, {n_failed} failed: {out}")
    else:
        click.echo(f"{n_tried} recordings encoded in {seconds:.1f} s: {out}")
    if summary.stopped:
        click.echo("Stopped at the first failure, as asked; run again to go on.", err=True)
    elif not any(counts["present"] for counts in summary.counts.values()):
        click.echo(
            f"Next: mend what failed and run the same command again. Not one of the {n_failed} "
            "could be read: is --raw their tree?"
        )
    else:
        cache = out.removeprefix("file://")
        if "://" in cache:
            click.echo(f"To bring it to a disk of the machine that trains: dmft fetch {out} COPY")
        if names := _protocols_for(summary.spec.dataset):
            click.echo(f"Protocols of {summary.spec.dataset}: {', '.join(names)}")
        elif summary.spec.columns:
            _say_protocol(summary.spec.columns)
        click.echo(f"Next: dmft train {cache} --protocol NAME --model teacher --out RUN")


def _protocols_for(dataset: str) -> list[str]:
    """Names of the protocols that ship for a data set."""
    names = shipped_names("protocols")
    return [n for n in names if read_toml(n, "protocols", "protocol").get("dataset") == dataset]


def _say_protocol(columns: Sequence[str]) -> None:
    """What a protocol may be of a data set that none ships for."""
    column = next((name for name in columns if name in PEOPLE), columns[0])
    click.echo(
        f"A protocol of your own says who is tested on, by a column of {', '.join(columns)}. This, "
        "in a file NAME.toml, tests on each value in turn:\n"
        f'  name = "one-out"\n  [leave_one_out]\n  attribute = "{column}"'
    )
