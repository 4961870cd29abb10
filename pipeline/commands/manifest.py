"""``dmft manifest``: list the recordings of a raw tree, and check such a list."""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path

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
@click.option(
    "--force", is_flag=True, default=False, show_default="off", help="Write over an existing file."
)
@click.option(
    "--jobs",
    type=click.IntRange(min=1),
    default=None,
    show_default="as many as processors, at most 8",
    help="Threads that hash files.",
)
@click.option(
    "--classes",
    "n_classes",
    type=int,
    default=None,
    show_default="as the data set's papers count",
    help="How many classes to count. MMAct has 35, or 37 with two of the desk's told apart.",
)
@click.option(
    "--keep-unfilmed",
    is_flag=True,
    default=False,
    show_default="off",
    help="List trials that sensors recorded and no camera, as records of camera 0.",
)
def build_command(
    dataset: str,
    raw: str,
    output: Path,
    force: bool,
    jobs: int | None,
    n_classes: int | None,
    keep_unfilmed: bool,
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
        built = build(
            dataset,
            RawTree(raw),
            progress=bar.follow("hashing", "files"),
            jobs=jobs,
            n_classes=n_classes,
            keep_unfilmed=keep_unfilmed,
        )
    save_manifest(built.manifest, output)
    _summarise(built, output)
    click.echo(f"Next: dmft encode {output} --raw {raw} --out {output.with_suffix('.zarr')}")


@manifest.command("check")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--raw",
    type=click.Path(exists=True, file_okay=False),
    default=None,
    show_default="structure alone",
    help="The raw tree whose files are held against the manifest.",
)
@click.option(
    "--against",
    metavar="FILE|DATASET",
    default=None,
    show_default="nothing",
    help="Another manifest, or the data set whose published manifest ships with dmft; the "
    "records in both must agree.",
)
@click.option(
    "--jobs",
    type=click.IntRange(min=1),
    default=None,
    show_default="as many as processors, at most 8",
    help="Threads that hash files.",
)
@click.option(
    "--json", "as_json", is_flag=True, default=False, show_default="off", help="Answer in JSON."
)
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
    if as_json:
        click.echo(json.dumps(_report(file, checked, other, problems), indent=2))
    else:
        for problem in problems:
            click.echo(f"{problem.kind}: {problem.where}: {problem.message}")
        click.echo(_verdict(file, checked, other, problems), err=bool(problems))
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
    files: Counter[str] = Counter()
    n_bytes: Counter[str] = Counter()
    for _, modality, stream in made.streams():
        files[modality] += 1
        n_bytes[modality] += stream.n_bytes or 0
    click.echo(f"{output}: {len(made.records)} records of {made.dataset}, sha256 {made.sha256}")
    for modality in made.modalities:
        click.echo(f"  {modality:<10}{files[modality]:>7} files {n_bytes[modality]:>15,} bytes")
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


def _common(checked: Manifest, other: Manifest) -> int:
    return len({record.id for record in checked.records} & {record.id for record in other.records})


def _verdict(
    file: Path, checked: Manifest | None, other: Manifest | None, problems: list[Problem]
) -> str:
    if problems:
        kinds = Counter(str(problem.kind) for problem in problems)
        counts = ", ".join(f"{n} {kind}" for kind, n in sorted(kinds.items()))
        return f"{file}: {len(problems)} problems ({counts})"
    assert checked is not None
    agreed = ""
    if other is not None:
        agreed = f", {_common(checked, other)} of them in both manifests and in agreement"
    return f"{file}: {len(checked.records)} records{agreed}, no problems"


def _report(
    file: Path, checked: Manifest | None, other: Manifest | None, problems: list[Problem]
) -> dict[str, object]:
    return {
        "file": str(file),
        "ok": not problems,
        "n_records": len(checked.records) if checked else None,
        "n_compared": _common(checked, other) if checked and other else None,
        "sha256": checked.sha256 if checked else None,
        "problems": [
            {"kind": str(problem.kind), "where": problem.where, "message": problem.message}
            for problem in problems
        ],
    }
