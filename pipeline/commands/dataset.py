"""``dmft dataset``: draft a description of a data set, and look at what it makes of the files."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path, PurePosixPath

import click

from pipeline.common.suggesting import SuggestingGroup
from pipeline.common.words import first_of, usual_spellings
from pipeline.contract import DmftError

_FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
MAX_LOOKED = 1 << 30
"""Bytes of an array file that is looked into for a draft."""
MAX_BONES = 1 << 18
"""Bytes of a BVH that are looked at for its joints."""
_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.group(cls=SuggestingGroup, context_settings={"help_option_names": ["-h", "--help"]})
def dataset() -> None:
    """Describe a data set of your own: draft its description, and check what it makes of it."""


@dataset.command()
@click.argument("raw", type=_FOLDER)
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path("dataset.toml"),
    show_default=True,
    help="The description to write.",
)
@click.option(
    "--table",
    "trials",
    type=_FILE,
    show_default="none: the paths say what recordings show",
    help="A table of trials (.csv, .tsv, .xlsx, .parquet) whose columns name the files.",
)
@click.option("--force", is_flag=True, show_default="off", help="Write over an existing file.")
def init(raw: Path, output: Path, trials: Path | None, force: bool) -> None:
    """Draft a description of the recordings in RAW, from their names and a few beginnings.

    What is a guess is marked with '# ?': look through them, then run 'dmft dataset check'.
    """
    from pipeline.datasets.draft import Look, draft
    from pipeline.manifests.table import read_trials
    from pipeline.raw.tree import RawTree
    from pipeline.readers.listing import arrays_in

    if output.exists() and not force:
        raise click.UsageError(f"{output} exists: choose another file, or write over it by --force")
    tree = RawTree(raw)

    def begin(path: str) -> bytes:
        with tree.open(path) as (file, _):
            return file.read(MAX_BONES if path.lower().endswith(".bvh") else 4096)

    def arrays(path: str) -> dict[str, tuple[int, ...]]:
        try:
            return arrays_in(RawTree(raw, max_bytes=MAX_LOOKED).read(path))
        except DmftError:
            return {}

    columns = None
    if trials is not None:
        table = read_trials(trials)
        columns = {str(name): table[name].tolist() for name in table.columns}
    text = draft(raw.resolve().name, tree.walk(), Look(begin=begin, arrays=arrays), columns)
    output.write_text(text, encoding="utf-8")
    click.echo(text)
    click.echo(f"Next: look through the guesses in {output}, then")
    listed = f" --table {trials}" if trials is not None else ""
    click.echo(f"  dmft dataset check {output} --raw {raw}{listed}")


@dataset.command()
@click.argument("description", type=_FILE)
@click.option("--raw", required=True, type=_FOLDER, help="The folder that the recordings lie in.")
@click.option(
    "--table",
    "trials",
    type=_FILE,
    show_default="by the patterns of the description",
    help="The table of trials.",
)
@click.option(
    "--files",
    "n_files",
    type=click.IntRange(min=1),
    default=3,
    show_default=True,
    help="Records of each modality to read.",
)
@click.option(
    "--html",
    type=click.Path(dir_okay=False, path_type=Path),
    show_default="none",
    help="Also write a page with pictures.",
)
@click.option("--json", "as_json", is_flag=True, show_default="off", help="Answer in JSON.")
def check(
    description: Path,
    raw: Path,
    trials: Path | None,
    n_files: int,
    html: Path | None,
    as_json: bool,
) -> None:
    """Read a few files as DESCRIPTION says and show what was understood.

    Rates, lengths, ranges and first rows of each modality. Exit code 1 if a file cannot be read or
    a number contradicts what is declared, as an acceleration of 1 at rest where m/s^2 are said.
    """
    from pipeline.datasets import load_description
    from pipeline.datasets.draft import GUESS
    from pipeline.datasets.pattern import natural
    from pipeline.manifests.described import classes_of, wrong_labels
    from pipeline.manifests.pattern import list_tree
    from pipeline.manifests.table import list_rows, read_trials
    from pipeline.raw.tree import RawTree
    from pipeline.view.dataset import write_dataset_page
    from pipeline.view.look import look

    own, tree = load_description(description), RawTree(raw)
    ignored: list[tuple[str, str]] = []
    if trials is not None:
        listed = list_rows(own, read_trials(trials), str(trials))
    else:
        listed, ignored = list_tree(own, tree)
    looks = look(own, listed, tree, n_files)
    labels, wrong = classes_of(own, listed), wrong_labels(own, listed)
    endings = {PurePosixPath(path).suffix for each in listed for path, _ in each.paths.values()}
    # Files like those that are read come first: it is they that may have been meant to be.
    ignored.sort(
        key=lambda one: (one[0].startswith("."), PurePosixPath(one[0]).suffix not in endings)
    )
    n_warnings = len(wrong) + sum(len(each.warnings) for each in looks)
    if as_json:
        content = {
            "dataset": own.name,
            "n_records": len(listed),
            "labels": list(labels),
            "wrong_labels": wrong,
            "n_ignored": len(ignored),
            "modalities": [asdict(each) for each in looks],
        }
        click.echo(json.dumps(content, indent=2))
    else:
        shown = first_of(labels, 20)
        click.echo(f"{own.name}: {len(listed)} records, {len(labels)} classes: {shown}")
        for name in listed[0].fields if listed else ():
            given = (each.fields.get(name, "") for each in listed)
            texts = sorted(usual_spellings(filter(None, given)).values(), key=natural)
            click.echo(f"  {name}: {len(texts)} values: {first_of(texts, 12)}")
        for warning in wrong[:5]:
            click.echo(f"  ! {warning}", err=True)
        if len(wrong) > 5:
            click.echo(f"  ! and {len(wrong) - 5} more labels that are no class", err=True)
        for path, reason in ignored[:5]:
            click.echo(f"  ignored: {path}: {reason}")
        if len(ignored) > 5:
            click.echo(f"  and {len(ignored) - 5} more ignored")
        for each in looks:
            click.echo(f"{each.modality}: {each.says}; {each.n_records} records")
            for stream in each.streams:
                _print(stream)
            for warning in each.warnings:
                click.echo(f"  ! {warning}", err=True)
    if html is not None:
        n_bytes = write_dataset_page(own, looks, len(listed), html)
        click.echo(f"{html}: {n_bytes / 1e6:.2f} MB", err=True)
    guesses = [
        f"line {number}: {line.strip()}"
        for number, line in enumerate(description.read_text("utf-8-sig").splitlines(), start=1)
        if GUESS in line
    ]
    if guesses and not as_json:
        click.echo(
            f"{description} marks {len(guesses)} lines as guesses, '{GUESS}': take the mark off "
            f"those that are right. The first is {guesses[0]}",
            err=True,
        )
    if not n_warnings and not as_json:
        build = f"build table {trials} --raw {raw}" if trials else f"build pattern {raw}"
        click.echo(f"Next: dmft manifest {build} --dataset {description} -o {own.name}.jsonl")
    sys.exit(1 if n_warnings else 0)


def _print(stream: object) -> None:
    from pipeline.view.look import Stream

    assert isinstance(stream, Stream)
    shape = " x ".join(map(str, stream.shape))
    click.echo(
        f"  {stream.path}: {stream.n_rows} rows of {shape}, {stream.seconds:.2f} s, "
        f"{stream.rate_hz:.4g} Hz"
    )
    names = stream.columns or ("all",)
    ranges = [
        f"{name} {low:.4g} to {high:.4g}"
        for name, low, high in zip(names, stream.least, stream.most, strict=False)
    ]
    more = f", and {len(ranges) - 9} more" if len(ranges) > 9 else ""
    click.echo(f"    {', '.join(ranges[:9])}{more}")
    for time_s, *row in stream.first:
        shown = " ".join(f"{number:.4g}" for number in row[:9])
        click.echo(f"    {time_s:8.3f} s  {shown}{' ...' if len(row) > 9 else ''}")
