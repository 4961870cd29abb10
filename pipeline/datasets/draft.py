"""A first draft of a description, from the names of a tree's files and the beginnings of a few.

It is a guess to be looked at: what the draft is sure of stands there, what it guesses is marked
with ``# ?``. Files of one ending whose names have one form are one modality.
"""

from __future__ import annotations

import csv
import json
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import PurePosixPath

READERS = {
    ".csv": "delimited", ".tsv": "delimited", ".txt": "delimited", ".dat": "delimited",
    ".parquet": "parquet", ".npy": "npy", ".npz": "npz", ".mat": "mat", ".h5": "hdf5",
    ".hdf5": "hdf5", ".mp4": "video", ".avi": "video", ".mov": "video", ".mkv": "video",
    ".zip": "images",
}  # fmt: skip
"""Ending to the reader of such files."""
_SEPARATORS = ("-", "_", " ", ".")
_CALLED = {
    "a": "action", "s": "subject", "t": "trial", "p": "subject", "subj": "subject", "c": "camera",
    "cam": "camera", "r": "repetition", "rep": "repetition", "e": "session", "ses": "session",
}  # fmt: skip
"""Letters before a number to what the number probably is."""
_TIMES = {"time", "timestamp", "t", "ts", "seconds", "ms", "epoch", "datetime", "time_s"}
_NUMBERED = re.compile(r"([A-Za-z]+)([0-9]+)")
MAX_FILES = 20_000
"""Whose names are looked at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Text:
    """How a text file looks by its beginning."""

    separator: str
    header: tuple[str, ...]
    """Names of its columns; none where it has no header."""
    n_columns: int
    time: int | None = None
    """Column that is probably a time, from 0."""


def draft(name: str, paths: Sequence[str], begin: Callable[[str], bytes]) -> str:
    """The text of a description.

    Args:
        name: What the data set is to be called.
        paths: Of the tree's files.
        begin: A path to the first bytes of its file.
    """
    groups: dict[tuple[str, int], list[str]] = {}
    for path in sorted(paths)[:MAX_FILES]:
        pure = PurePosixPath(path)
        if pure.suffix.lower() in READERS and not pure.name.startswith("."):
            groups.setdefault((pure.suffix, len(pure.parts)), []).append(path)
    groups = {key: those for key, those in groups.items() if len(those) > 1}
    name = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "my-recordings"
    name = name if name[0].isalpha() else f"data-{name}"
    lines = [f"name = {_quoted(name)}", '# What it is, for people.\ntitle = ""', ""]
    taken: set[str] = set()
    for (ending, _), those in groups.items():
        for modality, files in _by_modality(those):
            title = modality or ("rgb" if READERS[ending.lower()] == "video" else "sensor")
            while title in taken:
                title += "_more"
            taken.add(title)
            lines += _modality(title, ending, files, begin)
    if not taken:
        lines.append(f"# No two files here end in one of {', '.join(READERS)}.")
    return "\n".join(lines)


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


def _modality(name: str, ending: str, paths: list[str], begin: Callable[[str], bytes]) -> list[str]:
    reader = READERS[ending.lower()]
    kind = "colour" if reader in ("video", "images") else "series"
    lines = [
        f"[modality.{name}]  # {len(paths)} files such as {paths[0]}",
        f'kind = "{kind}"  # ? series, skeleton, depth or colour',
        f"pattern = {_quoted(_pattern(paths))}  # ? the names in it are guesses",
        f'reader = "{reader}"',
    ]
    if reader == "delimited":
        lines += _of_text(_text(begin(paths[0])))
    elif reader in ("npy", "npz", "mat", "hdf5", "parquet"):
        lines += ["columns = [1, 2, 3]  # ? those to take, from 1", "rate_hz = 50  # ?"]
        lines += [] if reader in ("npy", "parquet") else ['key = ""  # ? name of the array']
    elif reader == "images":
        lines.append("rate_hz = 30  # ?")
    if kind == "series":
        lines += ['unit = ""  # ? such as "g", with the factor that makes it that', "factor = 1.0"]
    return [*lines, ""]


def _of_text(text: _Text) -> list[str]:
    shown = {"\t": "tab", " ": "space"}.get(text.separator, text.separator)
    places = [k for k in range(text.n_columns) if k != text.time]
    lines = [f"separator = {_quoted(shown)}"]
    if text.header:
        columns = ", ".join(_quoted(text.header[k]) for k in places)
        time = _quoted(text.header[text.time]) if text.time is not None else ""
    else:
        columns, time = ", ".join(str(k + 1) for k in places), str((text.time or 0) + 1)
        lines.append("header = false")
        names = ", ".join(_quoted(f"column_{k + 1}") for k in places)
        lines.append(f"names = [{names}]  # ? what they are")
    lines.append(f"columns = [{columns}]")
    if text.time is None:
        return [*lines, "rate_hz = 50  # ? rows a second"]
    return [*lines, f"time = {time}", 'time_format = "seconds"  # ? or "milliseconds", a format']


def _text(content: bytes) -> _Text:
    """Separator, header and columns by the first lines."""
    lines = [line for line in content.decode("utf-8", "replace").splitlines()[:-1] if line.strip()]
    lines = lines[:20] or ["0"]
    counts = {
        separator: [len(line.strip().split(separator)) for line in lines] for separator in ",;\t "
    }
    steady = {s: n[-1] for s, n in counts.items() if len(set(n[1:] or n)) == 1 and n[-1] > 1}
    separator = max(steady, key=lambda s: (steady[s], s != " "), default=",")
    split = None if separator == " " else separator
    rows = [[cell.strip() for cell in line.strip().split(split)] for line in lines]
    first, last = rows[0], rows[-1]
    has_header = not all(map(_is_number, first)) and sum(map(_is_number, last)) > sum(
        map(_is_number, first)
    )
    header = (
        tuple(next(csv.reader([separator.join(first)], delimiter=separator))) if has_header else ()
    )
    named = [k for k, cell in enumerate(header) if cell.strip().lower() in _TIMES]
    time = named[0] if named else None
    body = rows[bool(header) :]
    if time is None and len(body) > 3 and all(len(row) > 1 and _is_number(row[0]) for row in body):
        stamps = [float(row[0]) for row in body]
        time = 0 if all(b > a for a, b in pairwise(stamps)) else None
    return _Text(separator=separator, header=header, n_columns=len(last), time=time)


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _pattern(paths: list[str]) -> str:
    """A pattern that fits most paths; what varies has a name."""
    parts = [PurePosixPath(path).parts for path in paths]
    used: dict[str, int] = {}
    folders = [[part[k] for part in parts] for k in range(len(parts[0]) - 1)]
    separator, columns, keep = _parts([PurePosixPath(path).stem for path in paths])
    columns_all = [[texts[k] for k in keep] for texts in folders] + columns
    label = _label(columns_all)
    fields = [
        _field(texts, label is not None and _alike(texts, columns_all[label]), used)
        for texts in columns_all
    ]
    fields = _dates(fields, len(folders))
    path = "/".join([*fields[: len(folders)], separator.join(fields[len(folders) :])])
    return path + PurePosixPath(paths[0]).suffix


def _parts(stems: list[str]) -> tuple[str, list[list[str]], list[int]]:
    """Names apart: the separator, their parts, and which of the names have so many.

    Where the number of parts varies, as in ``f1_brush_teeth_2`` and ``f1_walk_1``, the middle is
    one part; it lies where those around it are most alike.
    """
    for separator in _SEPARATORS:
        counts = Counter(stem.count(separator) for stem in stems)
        usual, n = counts.most_common(1)[0]
        if usual and n >= 0.9 * len(stems):
            keep = [k for k, stem in enumerate(stems) if stem.count(separator) == usual]
            rows = [stems[k].split(separator) for k in keep]
            return separator, [list(column) for column in zip(*rows, strict=True)], keep
    for separator in _SEPARATORS:
        n_most = min(stem.count(separator) for stem in stems)
        if not n_most:
            continue
        split = [stem.split(separator) for stem in stems]
        options = []
        for lead in range(n_most + 1):
            tail = n_most - lead
            rows = [
                [*x[:lead], separator.join(x[lead : len(x) - tail]), *x[len(x) - tail :]]
                for x in split
            ]
            columns = [list(column) for column in zip(*rows, strict=True)]
            outer = [*columns[:lead], *columns[lead + 1 :]]
            alike = sum(len(set(map(_form, column))) == 1 for column in outer)
            numbers = sum({_form(text) for text in column} <= {"1", "a1"} for column in outer)
            options.append((alike + numbers, columns))
        return separator, max(options, key=lambda option: option[0])[1], list(range(len(stems)))
    return "", [stems], list(range(len(stems)))


def _form(text: str) -> str:
    return "1" if text.isdecimal() else "a1" if _NUMBERED.fullmatch(text) else "a"


def _label(columns: list[list[str]]) -> int | None:
    """Which part is the label: texts without numbers of which there are a few, a folder first."""
    few = [
        at
        for at, texts in enumerate(columns)
        if 1 < len(set(texts)) <= 200
        and sum(not re.search(r"[0-9]", t) for t in texts) > len(texts) / 2
    ]
    others = [at for at, texts in enumerate(columns) if 1 < len(set(texts)) < len(texts)]
    return next(iter(few or others), None)


def _field(texts: list[str], is_label: bool, used: dict[str, int]) -> str:
    if is_label:
        return "{label}"
    if len(set(texts)) == 1:
        return texts[0]
    numbered = [_NUMBERED.fullmatch(text) for text in texts]
    prefixes = {match[1] for match in numbered if match}
    if all(numbered) and len(prefixes) == 1:
        (prefix,) = prefixes
        name = _free(_CALLED.get(prefix.lower(), prefix.lower()), used)
        return f"{prefix}{{{name}:d}}"
    if all(text.isdecimal() for text in texts):
        return f"{{{_free('number', used)}:d}}"
    kind = ""
    for letter, form in (("a", "[A-Za-z0-9]+"), ("w", "[A-Za-z0-9_]+")):
        kind = kind or (f":{letter}" if all(re.fullmatch(form, text) for text in texts) else "")
    return f"{{{_free('part', used)}{kind}}}"


def _free(name: str, used: dict[str, int]) -> str:
    used[name] = used.get(name, 0) + 1
    return name if used[name] == 1 else f"{name}_{used[name]}"


def _alike(texts: list[str], labels: list[str]) -> bool:
    same = sum(text.lower() == label.lower() for text, label in zip(texts, labels, strict=True))
    return same > 0.9 * len(texts)


def _dates(fields: list[str], first: int) -> list[str]:
    """Three and more numbers on end in a file's name as one text, ``{taken}``."""
    at = first
    while at < len(fields):
        end = at
        while end < len(fields) and re.fullmatch(r"[0-9]+|\{number(_[0-9]+)?:d\}", fields[end]):
            end += 1
        if end - at >= 3:
            return [*fields[:at], "{taken}", *fields[end:]]
        at = max(end, at + 1)
    return fields


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
