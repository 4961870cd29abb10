"""``dmft manifest``: list the recordings of a raw tree, and check such a list."""

from __future__ import annotations

import json
import sys
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from pipeline.common.progress_bar import ProgressBar
from pipeline.contract import ConfigError, DmftError
from pipeline.manifests import (
    LAYOUTS,
    Build,
    Manifest,
    Problem,
    build,
    check,
    compare,
    load_manifest,
    parse_manifest,
    save_manifest,
    shipped_manifest,
)
from pipeline.manifests.layout import layout_of
from pipeline.raw.tree import RawTree

_SHOWN = 10
"""Ignored files and incomplete records that the summary names."""
_JOBS = click.option(
    "--jobs",
    type=click.IntRange(min=1),
    show_default="as many as processors, at most 8",
    help="Threads that hash files.",
)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def manifest() -> None:
    """Build and check manifests: the ordered list of a data set's records and files."""


@manifest.command("build")
@click.argument("dataset", type=click.Choice(sorted(LAYOUTS)))
@click.argument("raw", type=click.Path(exists=True, file_okay=False))
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="The manifest to write (JSON Lines).",
)
@click.option("--force", is_flag=True, show_default="off", help="Write over an existing file.")
@_JOBS
@click.option(
    "--classes",
    "n_classes",
    type=int,
    show_default="as the data set's papers count",
    help="How many classes to count. MMAct has 35, or 37 with two of the desk's told apart.",
)
@click.option(
    "--keep-unfilmed",
    is_flag=True,
    show_default="off",
    help="List trials that sensors recorded and no camera, as records of camera 0.",
)
def build_command(
    dataset: str, raw: str, output: Path, force: bool, n_classes: int | None, **how: Any
) -> None:
    """List the recordings in the folder RAW, extracted or in archives as downloaded."""
    if output.exists() and not force:
        raise click.UsageError(f"{output} exists: choose another file, or write over it by --force")
    try:
        layout_of(dataset, n_classes)
    except ConfigError as error:
        raise click.UsageError(f"--classes {n_classes}: {error}") from error
    if not output.parent.is_dir():
        raise click.UsageError(f"{output.parent} is not a folder: make it first")
    with ProgressBar(plain_every_s=5) as bar:
        progress = bar.follow("hashing", "files")
        built = build(dataset, RawTree(raw), progress=progress, n_classes=n_classes, **how)
    save_manifest(built.manifest, output)
    _summarise(built, output)
    click.echo(f"Next: dmft encode {output} --raw {raw} --out {output.with_suffix('.zarr')}")


@manifest.command("check")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--raw",
    type=click.Path(exists=True, file_okay=False),
    show_default="structure alone",
    help="The raw tree whose files are held against the manifest.",
)
@click.option(
    "--against",
    metavar="FILE|DATASET",
    show_default="nothing",
    help="Another manifest, or the data set whose published manifest ships with dmft; the "
    "records in both must agree.",
)
@_JOBS
@click.option("--json", "as_json", is_flag=True, show_default="off", help="Answer in JSON.")
def check_command(
    file: Path, raw: str | None, against: str | None, jobs: int | None, as_json: bool
) -> None:
    """Name every problem of the manifest FILE; exit 1 if there is one."""
    checked, problems = parse_manifest(file.read_bytes())
    other = _other(against, checked) if against else None
    if checked is not None:
        with ProgressBar(plain_every_s=5) as bar:
            tree, progress = RawTree(raw) if raw else None, bar.follow("checking", "files")
            problems += check(checked, tree, progress=progress, jobs=jobs)
        if other is not None:
            problems += compare(checked, other)
    n_compared = None
    if checked is not None and other is not None:
        n_compared = len({r.id for r in checked.records} & {r.id for r in other.records})
    if as_json:
        report = {
            "file": str(file),
            "ok": not problems,
            "n_records": len(checked.records) if checked else None,
            "n_compared": n_compared,
            "sha256": checked.sha256 if checked else None,
            "problems": [asdict(problem) for problem in problems],
        }
        click.echo(json.dumps(report, indent=2))
    else:
        for problem in problems:
            click.echo(f"{problem.kind}: {problem.where}: {problem.message}")
        click.echo(f"{file}: {_verdict(checked, n_compared, problems)}", err=bool(problems))
    sys.exit(1 if problems else 0)


def _other(against: str, checked: Manifest | None) -> Manifest:
    """The manifest to compare with; a shipped one counts its classes as the one checked does."""
    try:
        if Path(against).exists():
            return load_manifest(against)
        same = checked is not None and checked.dataset == against
        return shipped_manifest(against, len(checked.classes) if checked and same else None)
    except ConfigError as error:
        raise click.UsageError(f"--against {against}: no such file, and {error}") from error
    except DmftError as error:
        raise click.UsageError(f"--against: {error}") from error


def _summarise(built: Build, output: Path) -> None:
    made = built.manifest
    sizes: dict[str, list[int]] = {modality: [] for modality in made.modalities}
    for _, modality, stream in made.streams():
        sizes[modality].append(stream.n_bytes or 0)
    click.echo(f"{output}: {len(made.records)} records of {made.dataset}, sha256 {made.sha256}")
    for modality, n_bytes in sizes.items():
        click.echo(f"  {modality:<10}{len(n_bytes):>7} files {sum(n_bytes):>15,} bytes")
    if built.absent:
        click.echo(f"  no files of {', '.join(built.absent)}")
    _list("incomplete records", [f"{name} lacks {', '.join(m)}" for name, m in built.incomplete])
    _list("trials that no camera filmed, left out", list(built.unfilmed))
    _list("ignored files", [f"{path}: {reason}" for path, reason in built.ignored])


def _list(title: str, lines: list[str]) -> None:
    if lines:
        click.echo(f"{len(lines)} {title}:")
        for line in lines[:_SHOWN]:
            click.echo(f"  {line}")
        if len(lines) > _SHOWN:
            click.echo(f"  and {len(lines) - _SHOWN} more")


def _verdict(checked: Manifest | None, n_compared: int | None, problems: list[Problem]) -> str:
    if problems:
        kinds = Counter(str(problem.kind) for problem in problems)
        counts = ", ".join(f"{n} {kind}" for kind, n in sorted(kinds.items()))
        return f"{len(problems)} problems ({counts})"
    assert checked is not None
    agreed = f", {n_compared} of them in both manifests and in agreement"
    return f"{len(checked.records)} records{'' if n_compared is None else agreed}, no problems"
