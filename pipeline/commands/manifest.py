"""``dmft manifest``: list the recordings of a raw tree; checking is in ``manifest_check``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from pipeline.commands.manifest_check import JOBS, check_command, lock_command
from pipeline.common.progress_bar import ProgressBar
from pipeline.contract import ConfigError
from pipeline.manifests import LAYOUTS, Build, build, save_manifest
from pipeline.manifests.layout import layout_of
from pipeline.raw.tree import RawTree

_SHOWN = 10
"""Ignored files and incomplete records that the summary names."""


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def manifest() -> None:
    """Build, check and lock manifests: the ordered list of a data set's records and files."""


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
@JOBS
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


manifest.add_command(check_command)
manifest.add_command(lock_command)


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
