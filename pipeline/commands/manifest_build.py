"""``dmft manifest build``: recordings of a published data set, of a table, or of a tree."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from pipeline.commands.manifest_check import JOBS
from pipeline.common.every_command import alike
from pipeline.common.progress_bar import ProgressBar
from pipeline.common.words import first_of, text_of
from pipeline.contract import ConfigError
from pipeline.datasets import Description, load_description
from pipeline.datasets.pattern import natural
from pipeline.manifests import Build, save_manifest
from pipeline.manifests import build as build_layout
from pipeline.manifests.build import Progress
from pipeline.manifests.described import duplicates
from pipeline.manifests.layout import layout_of
from pipeline.manifests.pattern import build_pattern
from pipeline.manifests.table import build_table
from pipeline.raw.tree import RawTree

_SHOWN = 10
"""Ignored files and incomplete records that the summary names."""
_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_FOLDER = click.Path(exists=True, file_okay=False)
_RAW = click.argument("raw", type=_FOLDER)
_DESCRIPTION = click.option(
    "--dataset",
    "description",
    required=True,
    type=_FILE,
    help="The description of the data set (TOML); 'dmft dataset init' drafts one.",
)
Command = TypeVar("Command", bound=Callable[..., Any])


def _written(command: Command) -> Command:
    """Options of every list that is written."""
    force = click.option(
        "--force", is_flag=True, show_default="off", help="Write over an existing file."
    )
    output = click.option(
        "-o",
        "--output",
        required=True,
        type=click.Path(dir_okay=False, path_type=Path),
        help="The manifest to write (JSON Lines).",
    )
    return output(force(JOBS(command)))


class _Sources(click.Group):
    """A group with the data sets that installed packages bring beside its own commands."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Its own, then the packages'."""
        from pipeline.manifests.plugins import dataset_plugins

        return [
            *super().list_commands(ctx),
            *(n for n in dataset_plugins() if n not in self.commands),
        ]

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """One of its own, or one made for a data set that a package brings."""
        from pipeline.manifests.plugins import dataset_plugins

        own = super().get_command(ctx, name)
        return alike(_of_plugin(name)) if own is None and name in dataset_plugins() else own

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that is named."""
        if args and args[0] not in (known := self.list_commands(ctx)):
            ctx.fail(
                f"{args[0]!r} is not one of {', '.join(known)}: your own "
                "recordings are listed in a 'table', or by a 'pattern' of their paths"
            )
        return super().resolve_command(ctx, args)


def _of_plugin(name: str) -> click.Command:
    @click.command(name, short_help="A data set that an installed package brings.")
    @_RAW
    @_written
    def plugin_command(raw: str, **how: Any) -> None:
        """List the recordings in the folder RAW as an installed package finds them.

        The package brings the data set's description too; it travels in the list, with the
        package's name and version.
        """
        from pipeline.manifests.plugins import build_plugin, load_dataset

        brought = load_dataset(name)
        _check_readers(brought.description)
        _write(raw, lambda tree, **k: build_plugin(brought, tree, **k), **how)

    return plugin_command


@click.group(cls=_Sources)
def build() -> None:
    """List recordings: of a published data set, of your own in a table, or by their paths."""


@build.command("utd-mhad")
@_RAW
@_written
def utd_mhad_command(raw: str, **how: Any) -> None:
    """List the recordings of UTD-MHAD in the folder RAW, extracted or in archives as downloaded."""
    _of_layout("utd-mhad", raw, **how)


@build.command("mmact")
@_RAW
@_written
@click.option(
    "--classes",
    "n_classes",
    type=int,
    show_default="35, as the paper counts",
    help="How many classes to count: 35, or 37 with two of the desk's told apart.",
)
@click.option(
    "--keep-unfilmed",
    is_flag=True,
    show_default="off",
    help="List trials that sensors recorded and no camera, as records of camera 0.",
)
def mmact_command(raw: str, **how: Any) -> None:
    """List the recordings of MMAct in the folder RAW, extracted or in archives as downloaded."""
    _of_layout("mmact", raw, **how)


@build.command("table")
@click.argument("trials", type=_FILE)
@click.option("--raw", required=True, type=_FOLDER, help="The folder that the paths lie in.")
@_DESCRIPTION
@_written
def table_command(trials: Path, raw: str, description: Path, **how: Any) -> None:
    """List the recordings that the table TRIALS names, one row a record.

    TRIALS is .csv, .tsv, .parquet or .xlsx with a column 'label', a column of paths for each
    modality of the description, and any attributes that protocols select by.
    """
    own = _load(description)
    _write(raw, lambda tree, **k: build_table(own, trials, tree, **k), **how)


@build.command("pattern")
@_RAW
@_DESCRIPTION
@_written
def pattern_command(raw: str, description: Path, **how: Any) -> None:
    """List the recordings in the folder RAW whose paths the description's patterns read."""
    own = _load(description)
    _write(raw, lambda tree, **k: build_pattern(own, tree, **k), **how)


def _load(description: Path) -> Description:
    """A description whose readers are all there."""
    own = load_description(description)
    _check_readers(own)
    return own


def _check_readers(description: Description) -> None:
    from pipeline.readers.described import readable_as

    for modality in description.modalities.values():
        readable_as(modality.reading)


def _of_layout(dataset: str, raw: str, n_classes: int | None = None, **how: Any) -> None:
    try:
        layout_of(dataset, n_classes)
    except ConfigError as error:
        raise click.UsageError(f"--classes {n_classes}: {error}") from error
    keep = {k: how.pop(k) for k in ("keep_unfilmed",) if k in how}
    _write(
        raw, lambda tree, **k: build_layout(dataset, tree, n_classes=n_classes, **keep, **k), **how
    )


def _write(
    raw: str, make: Callable[..., Build], *, output: Path, force: bool, jobs: int | None
) -> None:
    """Build a manifest, write it and say what is in it."""
    if output.exists() and not force:
        raise click.UsageError(f"{output} exists: choose another file, or write over it by --force")
    if not output.parent.is_dir():
        raise click.UsageError(f"{output.parent} is not a folder: make it first")
    with ProgressBar(plain_every_s=5) as bar:
        progress: Progress = bar.follow("hashing", "files")
        built = make(RawTree(raw), progress=progress, jobs=jobs)
    save_manifest(built.manifest, output)
    _summarise(built, output)
    click.echo(f"Next: dmft encode {output} --raw {raw} --out {output.with_suffix('.zarr')}")


def _summarise(built: Build, output: Path) -> None:
    made = built.manifest
    sizes: dict[str, list[int]] = {modality: [] for modality in made.modalities}
    for _, modality, stream in made.streams():
        sizes[modality].append(stream.n_bytes or 0)
    click.echo(f"{output}: {len(made.records)} records of {made.dataset}, sha256 {made.sha256}")
    for modality, n_bytes in sizes.items():
        click.echo(f"  {modality:<10}{len(n_bytes):>7} files {sum(n_bytes):>15,} bytes")
    if made.described is not None:
        _describe(built)
    if built.absent:
        click.echo(f"  no files of {', '.join(built.absent)}")
    _list("incomplete records", [f"{name} lacks {', '.join(m)}" for name, m in built.incomplete])
    _list("trials that no camera filmed, left out", list(built.unfilmed))
    _list("ignored files", [f"{path}: {reason}" for path, reason in built.ignored])


def _describe(built: Build) -> None:
    """Classes and attributes, which a description leaves to the recordings."""
    made = built.manifest
    labels = [record.label for record in made.records]
    counts = [f"{name} {labels.count(k)}" for k, name in enumerate(made.classes)]
    click.echo(f"  {len(counts)} classes: {first_of(counts, 20)}")
    values = (made.description or {}).get("values", {})
    for name in made.records[0].attributes:
        found = sorted({record.attributes[name] for record in made.records})
        texts = [text_of(n, values.get(name, ())) for n in found]
        click.echo(f"  {name}: {len(texts)} values: {first_of(sorted(texts, key=natural), 12)}")
    _list("groups of files with the same content", [" = ".join(g) for g in duplicates(made)])


def _list(title: str, lines: list[str]) -> None:
    if lines:
        click.echo(f"{len(lines)} {title}:")
        for line in lines[:_SHOWN]:
            click.echo(f"  {line}")
        if len(lines) > _SHOWN:
            click.echo(f"  and {len(lines) - _SHOWN} more")
