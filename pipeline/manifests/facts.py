"""Makes the manifest of the whole published UTD-MHAD from lists of facts, without its files.

Run as a module; ``data_manifests/README.md`` gives the command that made what ships. Colour files
are listed by their known frame counts; what no list knows is null.
"""

from __future__ import annotations

import csv
import re
from dataclasses import replace
from pathlib import Path

import click

from pipeline.contract import ContractError, StreamRef
from pipeline.manifests.build import assemble
from pipeline.manifests.files import save_manifest
from pipeline.manifests.layout import layout_of
from pipeline.manifests.model import Manifest
from pipeline.raw.tree import RawTree

_SUM = re.compile(r"([0-9a-f]{64}) [ *](\S+)")


def utd_mhad_from_facts(checksums: str, frames: str, raw: RawTree | None = None) -> Manifest:
    """The manifest of everything that the lists name.

    Args:
        checksums: Lines as ``sha256sum`` prints them.
        frames: CSV with the columns action, subject, trial, n_frames, of the colour videos.
        raw: A tree, of which the files that are there give their sizes.

    Raises:
        ContractError: a line that cannot be read, a file named twice or like no recording, or a
            file of the tree whose content is not the list's.
    """
    refs: dict[str, StreamRef] = {}
    present = set(raw.walk()) if raw else set()
    for number, line in enumerate(checksums.splitlines(), start=1):
        match = _SUM.fullmatch(line)
        if match is None or match[2] in refs:
            raise ContractError(f"line {number} of the checksums is {line!r}: wanted a new file")
        n_bytes = None
        if raw and match[2] in present:
            n_bytes, sha256 = raw.digest(match[2])
            if sha256 != match[1]:
                raise ContractError(f"{match[2]} has SHA-256 {sha256}: the list says {match[1]}")
        refs[match[2]] = StreamRef(name="file", path=match[2], n_bytes=n_bytes, sha256=match[1])
    for row in csv.DictReader(frames.splitlines()):
        try:
            path = f"RGB/a{row['action']}_s{row['subject']}_t{row['trial']}_color.avi"
            n_frames = int(row["n_frames"])
        except (KeyError, TypeError, ValueError) as error:
            raise ContractError(f"{row} of the frame counts cannot be read: {error!r}") from error
        if path in refs:
            raise ContractError(f"{path} has two frame counts: wanted one")
        refs[path] = StreamRef(name="rgb", path=path, n_frames=n_frames)
    layout = layout_of("utd-mhad")
    files = []
    for path, ref in refs.items():
        place = layout.place(path)
        if place is None:
            raise ContractError(f"{path} is no recording's name in utd-mhad")
        files.append((place, replace(ref, name=place.stream)))
    return assemble(layout, files)


@click.command()
@click.argument("checksums", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("frames", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--raw", type=click.Path(exists=True, file_okay=False), help="A tree that gives sizes."
)
@click.option("-o", "--output", required=True, help="The manifest to write.")
def main(checksums: Path, frames: Path, raw: str | None, output: str) -> None:
    """Write the manifest that CHECKSUMS (sha256sum's format) and FRAMES (CSV) describe."""
    tree = RawTree(raw) if raw else None
    manifest = utd_mhad_from_facts(checksums.read_text(), frames.read_text(), tree)
    save_manifest(manifest, output)
    click.echo(f"{len(manifest.records)} records to {output}")


if __name__ == "__main__":
    main()
