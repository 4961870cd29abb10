"""A first draft of a description, from the names of a tree's files and the beginnings of a few.

It is a guess to be looked at: what the draft is sure of stands there, what it guesses is marked
with ``# ?``. Files of one ending whose names have one form are one modality; with a table of trials
each of its columns of paths is one. ``names`` guesses patterns, ``texts`` looks into text files,
``trials`` into the table.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from pipeline.common.words import first_of
from pipeline.datasets.draft.arrays import lines_of_arrays
from pipeline.datasets.draft.bones import lines_of_bones
from pipeline.datasets.draft.names import pattern_of, said_by
from pipeline.datasets.draft.texts import codes_of_text, is_of_numbers, lines_of_text
from pipeline.datasets.draft.trials import Trials, trials_of
from pipeline.datasets.pattern import is_picture

__all__ = ["GUESS", "Look", "draft"]

READERS = {
    ".csv": "delimited", ".tsv": "delimited", ".txt": "delimited", ".dat": "delimited",
    ".parquet": "parquet", ".npy": "npy", ".npz": "npz", ".mat": "mat", ".h5": "hdf5",
    ".hdf5": "hdf5", ".mp4": "video", ".avi": "video", ".mov": "video", ".mkv": "video",
    ".zip": "images", ".bvh": "bvh", ".json": "json",
}  # fmt: skip
"""Ending to the reader of such files."""
_TITLES = {"video": "rgb", "bvh": "skeleton"}
"""Reader to what a modality is called where names say nothing."""
_KINDS = {"video": "colour", "images": "colour", "bvh": "skeleton"}
"""Reader to the kind of what it reads; of others a series, mostly."""
_RATE = re.compile(r"(?<![0-9.])([1-9][0-9]{0,3}) ?hz(?![a-z])", re.IGNORECASE)
"""A rate in a path, as in ``wrist_32Hz``."""
GUESS = "# ?"
"""Marks a line of a draft as one."""
N_BEGUN = 4
"""Text files of a modality whose beginnings are looked at, as long as they are empty."""
MAX_FILES = 20_000
"""Whose names are looked at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """How to look into files."""

    begin: Callable[[str], bytes]
    """A path to the first bytes of its file."""
    arrays: Callable[[str], Mapping[str, tuple[int, ...]]] = lambda path: {}
    """A path to the names and shapes of the arrays in its file."""


def draft(
    name: str,
    paths: Sequence[str],
    look: Look,
    columns: Mapping[str, Sequence[str]] | None = None,
) -> str:
    """The text of a description.

    Args:
        name: What the data set is to be called.
        paths: Of the tree's files.
        look: Into their files.
        columns: Of a table of trials, name to texts; None where paths say it all.
    """
    name = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "my-recordings"
    name = name if name[0].isalpha() else f"data-{name}"
    lines = [f"name = {_quoted(name)}", '# What it is, for people.\ntitle = ""']
    if columns is not None:
        return "\n".join([*lines, *_by_table(trials_of(columns, paths), look)])
    groups: dict[tuple[str, int], list[str]] = {}
    for path in sorted(paths)[:MAX_FILES]:
        pure = PurePosixPath(path)
        if not pure.name.startswith(".") and path.isprintable():  # else no description has it
            groups.setdefault((pure.suffix.lower(), len(pure.parts)), []).append(path)
    reader_of = {key: _reader(those, look) for key, those in groups.items() if len(those) > 1}
    groups = {key: groups[key] for key, reader in reader_of.items() if reader}
    if any(ending != ".json" for ending, _ in groups):  # beside recordings JSON is about them
        groups = {key: those for key, those in groups.items() if key[0] != ".json"}
    lines.append("")
    taken: set[str] = set()
    told: list[str] = []
    labels: dict[str, None] = {}
    for key, those in groups.items():
        reader = reader_of[key]
        for modality, files in _by_modality(those):
            title = modality or _TITLES.get(reader, "sensor")
            pattern, known = pattern_of(files)
            labels |= dict.fromkeys(known)
            found = said_by(pattern, files, known)
            lines += _modality(_free(title, taken), reader, files, pattern, found, told, look)
    if not taken:
        lines.append(
            f"# No two files here end in one of {', '.join(READERS)}, or are rows of text."
        )
    if labels:
        classes = ", ".join(_quoted(label) for label in sorted(labels))
        lines.insert(2, f"classes = [{classes}]  # ? paths are read in one way by them alone")
    return "\n".join(lines)


def _by_table(trials: Trials, look: Look) -> list[str]:
    """One modality a column of paths."""
    lines = []
    if trials.label is not None:
        lines.append(f"label = {_quoted(trials.label)}  # ? the column that says what is shown")
    else:
        lines.append('label = "label"  # ? no column looks like it')
    if trials.record is not None:
        lines.append(f"record = {_quoted(trials.record)}  # ? the column of the records' names")
    lines.append("")
    taken: set[str] = set()
    for column, paths in trials.paths.items():
        ending = PurePosixPath(paths[0]).suffix
        reader = _reader(paths, look)
        is_film = reader == "video"
        title = re.sub(r"[^a-z0-9]+", "_", column.lower()).strip("_")
        title = title if re.fullmatch(r"[a-z][a-z0-9_]*", title) else "rgb" if is_film else "sensor"
        title = _free(title, taken)
        if not reader and (is_picture(paths[0]) or not ending):
            reader = "images"
        lines.append(f"[modality.{title}]  # {len(paths)} files such as {paths[0]}")
        lines += [f"path = {_quoted(column)}", *_of_files(reader or "?", paths, look)]
    if not trials.paths:
        lines.append("# No column of the table names files of the tree: are they within RAW?")
    return lines


def _reader(paths: Sequence[str], look: Look) -> str:
    """The reader of files by their ending, or by what stands in a few; none where it is empty."""
    ending = PurePosixPath(paths[0]).suffix.lower()
    if ending in READERS:
        return READERS[ending]
    if is_picture(paths[0]):
        return ""
    return "delimited" if any(is_of_numbers(look.begin(path)) for path in paths[:N_BEGUN]) else ""


def _free(title: str, taken: set[str]) -> str:
    while title in taken:
        title += "_more"
    taken.add(title)
    return title


def _by_modality(paths: list[str]) -> list[tuple[str, list[str]]]:
    """Files apart by the last part of their names, where that is one of a few words."""
    lasts = [re.split(r"[-_ .]", PurePosixPath(path).stem)[-1] for path in paths]
    counts = Counter(lasts)
    stems = Counter(
        PurePosixPath(path).stem[: -len(last)] for path, last in zip(paths, lasts, strict=True)
    )
    words = all(re.fullmatch(r"[A-Za-z]+[A-Za-z0-9]*", word) for word in counts)
    if not 1 < len(counts) <= 8 or not words or max(stems.values()) < 2:
        return [("", paths)]
    return [
        (
            re.sub(r"[^a-z0-9_]", "", word.lower()),
            [p for p, w in zip(paths, lasts, strict=True) if w == word],
        )
        for word in counts
    ]


def _modality(
    name: str,
    reader: str,
    paths: list[str],
    pattern: str,
    found: tuple[list[str], dict[str, list[str]]],
    told: list[str],
    look: Look,
) -> list[str]:
    """A modality whose files are found by a pattern; what was told of others is not told again."""
    read, values_of = found
    n_read = f"{len(read)} of {len(paths)}" if len(read) < len(paths) else f"{len(paths)}"
    first = (read or paths)[0]
    lines = [
        f"[modality.{name}]  # {n_read} files such as {first}",
        f"pattern = {_quoted(pattern)}  # ? the names in it are guesses:",
    ]
    for field, values in values_of.items():
        shown = f"{len(values)} values: " if len(values) > 1 else ""
        line = f"#   {{{field}}} is {shown}{first_of(values, 8)}"
        if line not in told:
            told.append(line)
            lines.append(line)
    return lines + _of_files(reader, read or paths, look)


def _of_files(reader: str, paths: Sequence[str], look: Look) -> list[str]:
    """What kind of thing files are and how they are read."""
    kind = _KINDS.get(reader, "series")
    lines = [f'kind = "{kind}"  # ? series, skeleton, depth or colour', f'reader = "{reader}"']
    begun = (look.begin(path) for path in paths[:N_BEGUN]) if reader == "delimited" else ()
    content = next((content for content in begun if content.strip()), b"")
    if reader == "delimited":
        lines += lines_of_text(content)
    elif reader in ("npy", "npz", "mat", "hdf5"):
        lines += lines_of_arrays(look.arrays(paths[0]))
    elif reader == "parquet":
        lines += ['columns = ["x"]  # ? those to take, by name', "rate_hz = 50  # ? or a 'time'"]
    elif reader == "json":
        lines += ['key = "*"  # ? where frames lie, as data.*.acc', 'columns = ["x"]  # ? by name']
        lines.append("rate_hz = 50  # ? or a 'time'")
    elif reader == "bvh":
        lines += lines_of_bones(look.begin(paths[0]))
    elif reader == "images":
        lines.append("rate_hz = 30  # ?")
    if kind == "series":
        lines += [remark] if (remark := codes_of_text(content)) else []
        lines += ['unit = ""  # ? such as "g", with the factor that makes it that', "factor = 1.0"]
    named = _RATE.search(paths[0])
    if named is not None:
        rate = f"rate_hz = {named[1]}  # ? by the name of {paths[0][: named.end()]}"
        lines = [rate if line.startswith("rate_hz = ") else line for line in lines]
    return [*lines, ""]


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
