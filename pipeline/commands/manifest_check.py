"""``dmft manifest check`` and ``dmft manifest lock``: lists held against what they should be."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from pipeline.commands.manifest_report import FORMS, shown
from pipeline.common.progress_bar import ProgressBar
from pipeline.contract import ConfigError, DmftError
from pipeline.manifests import Manifest, load_manifest, parse_manifest, shipped_manifest
from pipeline.manifests.file_check import PLAIN, check_file
from pipeline.manifests.lock import files_of, lock_files, lock_shipped, shipped_to_check
from pipeline.raw.tree import RawTree

JOBS = click.option(
    "--jobs",
    type=click.IntRange(min=1),
    show_default="as many as processors, at most 8",
    help="Threads that hash files.",
)
FILES = click.argument(
    "files",
    nargs=-1,
    metavar="[FILE]...",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
)


@click.command("check")
@FILES
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
@click.option(
    "--locked",
    is_flag=True,
    show_default="off",
    help="A FILE that nobody has locked is a problem.",
)
@JOBS
@click.option(
    "--format",
    "form",
    type=click.Choice(sorted(FORMS)),
    default="text",
    show_default=True,
    help="How to answer; 'github' annotates the lines of a pull request.",
)
@click.option(
    "--json", "form", flag_value="json", show_default="off", help="The same as --format json."
)
def check_command(
    files: tuple[Path, ...],
    raw: str | None,
    against: str | None,
    locked: bool,
    jobs: int | None,
    form: str,
) -> None:
    """Name every problem of the manifests FILE; exit 1 if there is one.

    Without FILE it checks the data that ship with dmft. A FILE that was locked ('dmft manifest
    lock') must be what it was then; FILE may be the pins.sha256 that locking made, for all files in
    it. A protocol or a configuration is a FILE too.
    """
    if (raw or against) and len(files) != 1:
        raise click.UsageError(f"--raw and --against take one FILE: {len(files)} are named")
    named = (file for asked in files for file in files_of(asked))
    wanted = tuple(dict.fromkeys(named)) if files else shipped_to_check()
    other = _other(against, files[0]) if against else None
    reports = []
    with ProgressBar(plain_every_s=5) as bar:
        tree, progress = RawTree(raw) if raw else None, bar.follow("checking", "files")
        for file in wanted:
            report = check_file(
                file, raw=tree, other=other, progress=progress, jobs=jobs, needs_pin=locked
            )
            reports.append(report)
    FORMS[form](reports, other)
    sys.exit(1 if any(report.problems for report in reports) else 0)


@click.command("lock")
@FILES
@click.option(
    "--shipped",
    is_flag=True,
    show_default="off",
    help="Lock the data that ship with dmft, every file: for those who work on dmft itself.",
)
def lock_command(files: tuple[Path, ...], shipped: bool) -> None:
    """Pin the FILEs as they are, so that 'dmft manifest check' tells when they change.

    Their digests go into the file pins.sha256 that lists them already, in their folder or above it,
    or else into one in their folder: commit it with them. FILE may be pins.sha256 itself, for all
    files in it. A manifest that has problems is not locked.
    """
    if shipped == bool(files):
        raise click.UsageError("wanted a FILE to lock, or --shipped")
    wanted = [f for asked in files for f in files_of(asked)]
    for file in wanted:
        if file.suffix not in PLAIN and file.exists():
            load_manifest(file)
    done = lock_shipped() if shipped else lock_files(wanted)
    for locked in done:
        if not shipped or locked.deed != "unchanged":
            click.echo(f"{shown(locked.file)}: {locked.deed} in {shown(locked.pins)}")
    if shipped:
        click.echo(f"{shown(done[0].pins)}: {len(done)} files")
        click.echo("Next: dmft manifest check")
    else:
        named = " ".join(dict.fromkeys(str(file) for file in files))
        pins = " ".join(dict.fromkeys(shown(locked.pins) for locked in done))
        click.echo(f"Next: git add {pins}; dmft manifest check {named}")


def _other(against: str, file: Path) -> Manifest:
    """The manifest to compare with; a shipped one counts its classes as the one checked does."""
    try:
        if Path(against).exists():
            return load_manifest(against)
        checked, _ = parse_manifest(file.read_bytes())
        same = checked is not None and checked.dataset == against
        return shipped_manifest(against, len(checked.classes) if checked and same else None)
    except ConfigError as error:
        raise click.UsageError(f"--against {against}: no such file, and {error}") from error
    except DmftError as error:
        raise click.UsageError(f"--against: {error}") from error
