"""What the names of files are made of: a pattern that reads them, by what varies in them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import PurePosixPath

from pipeline.common.words import usual_spellings
from pipeline.contract import ContractError
from pipeline.datasets.pattern import Pattern, natural

N_LOOKED = 200
"""Paths that are looked at for a second way to read them."""
_SEPARATORS = ("-", "_", " ", ".")
_CALLED = {
    "a": "action", "s": "subject", "t": "trial", "p": "subject", "subj": "subject", "c": "camera",
    "cam": "camera", "r": "repetition", "rep": "repetition", "e": "session", "ses": "session",
}  # fmt: skip
"""Letters before a number to what the number probably is."""
_NUMBERED = re.compile(r"([A-Za-z]+)([0-9]+)")
_BRACKETED = re.compile(r"\(([0-9]+)\)")
_MARK = "\0"
_DATE = re.compile(r"(?<![A-Za-z0-9])[0-9]+(?:[-_. T][0-9]+){2,}(?![A-Za-z0-9])")
_AROUND = re.compile(rf"(.*?)([-_ .]*)({_MARK})([-_ .]*)(.*)")
_ACTS = (
    "walk", "run", "jog", "sit", "stand", "lie", "lying", "jump", "climb", "stair", "cycl", "bike",
    "wave", "clap", "throw", "push", "pull", "punch", "kick", "drink", "eat", "squat", "lunge",
    "reach", "pour", "wipe", "grasp", "fall", "rest", "sleep", "cook", "wash", "brush", "typ",
    "read", "writ", "driv", "row", "swing", "pick", "lift", "turn", "open", "clos", "catch", "drum",
)  # fmt: skip
"""Beginnings of words for what people do."""


def pattern_of(paths: list[str]) -> tuple[str, list[str]]:
    """A pattern that fits most paths, what varies with a name; and the labels in them.

    There are labels where paths are read in one way only when those are known.
    """
    parts = [PurePosixPath(path).parts for path in paths]
    used: dict[str, int] = {}
    stems = _undated([PurePosixPath(path).stem for path in paths])
    separator, columns, keep = _parts(stems)
    folders = [_folder([parts[k][level] for k in keep]) for level in range(len(parts[0]) - 1)]
    columns_all = [column for level in folders for column in level] + columns
    label = _label(columns_all)
    fields = [
        _field(texts, label is not None and _alike(texts, columns_all[label]), used)
        for texts in columns_all
    ]
    n_folders, path, at = sum(map(len, folders)), "", 0
    fields = _dates(fields, n_folders)
    for level in folders:
        path, at = f"{path}{''.join(fields[at : at + len(level)])}/", at + len(level)
    text = path + separator.join(fields[n_folders:]) + PurePosixPath(paths[0]).suffix
    looked = [paths[at] for at in keep[:N_LOOKED]]
    for kind in ("", ":a", ":w"):
        option = text.replace("{label}", f"{{label{kind}}}")
        if _is_clear(option, looked, []):
            return option, []
    labels = {} if label is None else usual_spellings(columns_all[label])
    return text, sorted(labels.values()) if _is_clear(text, looked, [*labels.values()]) else []


def _is_clear(text: str, paths: Sequence[str], labels: Sequence[str]) -> bool:
    """Whether no path can be read in two ways, and all are read."""
    try:
        pattern = Pattern.of(text, {}, {"label": labels})
        return all(pattern.find(path) is not None for path in paths)
    except ContractError:
        return False


def said_by(
    text: str, paths: Sequence[str], labels: Sequence[str]
) -> tuple[list[str], dict[str, list[str]]]:
    """The paths that a pattern reads, and what its fields are in them, each once in its usual
    spelling.
    """
    pattern, read = Pattern.of(text, {}, {"label": labels}), []
    found: dict[str, list[str]] = {name: [] for name in pattern.names}
    for path in paths:
        try:
            says = pattern.find(path)
        except ContractError:
            continue
        if says is not None:
            read.append(path)
            for name, value in says.items():
                found[name].append(value)
    return read, {
        name: sorted(usual_spellings(texts).values(), key=natural) for name, texts in found.items()
    }


def _parts(stems: list[str]) -> tuple[str, list[list[str]], list[int]]:
    """Names apart: the separator, their parts, and which of the names have so many.

    Where the number of parts varies, as in ``f1_brush_teeth_2`` and ``f1_walk_1``, the middle is
    one part; it lies where those around it are most alike. A few names of one part among others
    are no recordings'.
    """
    parted = [k for k, stem in enumerate(stems) if any(mark in stem for mark in _SEPARATORS)]
    if 0.8 * len(stems) <= len(parted) < len(stems):
        separator, columns, keep = _parts([stems[k] for k in parted])
        return separator, columns, [parted[k] for k in keep]
    for separator in _SEPARATORS:
        counts = Counter(stem.count(separator) for stem in stems)
        usual, n = counts.most_common(1)[0]
        if usual and n >= 0.9 * len(stems):
            middle = _around_the_middle(separator, stems) if n < len(stems) else None
            if middle is not None and all(map(_is_numbered, middle[1])):
                return separator, middle[0], list(range(len(stems)))
            keep = [k for k, stem in enumerate(stems) if stem.count(separator) == usual]
            rows = [stems[k].split(separator) for k in keep]
            return separator, [list(column) for column in zip(*rows, strict=True)], keep
    for separator in _SEPARATORS:
        middle = _around_the_middle(separator, stems)
        if middle is not None:
            return separator, middle[0], list(range(len(stems)))
    return "", [stems], list(range(len(stems)))


def _around_the_middle(
    separator: str, stems: list[str]
) -> tuple[list[list[str]], list[list[str]]] | None:
    """Parts of names whose middle has any number of separators, and the parts around it alone.

    The middle lies where those around it are most alike. None where a name has no separator.
    """
    n_most = min(stem.count(separator) for stem in stems)
    if not n_most:
        return None
    split, options = [stem.split(separator) for stem in stems], []
    for lead in range(n_most + 1):
        tail = n_most - lead
        rows = [
            [*x[:lead], separator.join(x[lead : len(x) - tail]), *x[len(x) - tail :]] for x in split
        ]
        columns = [list(column) for column in zip(*rows, strict=True)]
        outer = [*columns[:lead], *columns[lead + 1 :]]
        alike = sum(len(set(map(_form, column))) == 1 for column in outer)
        options.append((alike + sum(map(_is_numbered, outer)), columns, outer))
    return max(options, key=lambda option: option[0])[1:]


def _is_numbered(column: list[str]) -> bool:
    """Whether a part is a number, or letters and a number, in all names."""
    return {_form(text) for text in column} <= {"1", "a1"}


def _undated(names: list[str]) -> list[str]:
    """Names with their date, three and more numbers on end, as one mark, where most have one."""
    marked = [_DATE.sub(_MARK, name, count=1) for name in names]
    return marked if sum(_MARK in name for name in marked) >= 0.8 * len(names) else names


def _folder(names: list[str]) -> list[list[str]]:
    """A folder's name in parts: what stands before and after its date, with what parts them."""
    parted = [_AROUND.fullmatch(name) for name in _undated(names)]
    columns = [list(column) for column in zip(*(m.groups() for m in parted if m), strict=True)]
    if None in parted or any(len(set(columns[k])) > 1 for k in (1, 3)):
        return [names]
    return [column for column in columns if any(column)]


def _form(text: str) -> str:
    if _BRACKETED.fullmatch(text):
        return "1"
    return "1" if text.isdecimal() else "a1" if _NUMBERED.fullmatch(text) else "a"


def _label(columns: list[list[str]]) -> int | None:
    """Which part is the label: one that names what people do, else the first of a few texts."""
    few = [
        at
        for at, texts in enumerate(columns)
        if 1 < len(set(texts)) <= 200
        and sum(not re.search(r"[0-9]", t) for t in texts) > len(texts) / 2
    ]
    acts = [at for at in few if sum(map(_is_act, set(columns[at]))) >= len(set(columns[at])) / 3]
    others = [at for at, texts in enumerate(columns) if 1 < len(set(texts)) < len(texts)]
    return next(iter(acts or few or others), None)


def _is_act(text: str) -> bool:
    return any(word.startswith(_ACTS) for word in re.split("[^a-z]+", text.lower()) if word)


def _field(texts: list[str], is_label: bool, used: dict[str, int]) -> str:
    if is_label:
        return "{label}"
    if set(texts) == {_MARK}:
        return f"{{{_free('taken', used)}}}"
    if len(set(texts)) == 1:
        return texts[0]
    numbered = [_NUMBERED.fullmatch(text) for text in texts]
    prefixes = {match[1] for match in numbered if match}
    if all(numbered) and len(prefixes) == 1:
        (prefix,) = prefixes
        name = _free(_CALLED.get(prefix.lower(), prefix.lower()), used)
        return f"{prefix}{{{name}:d}}"
    if all(map(_BRACKETED.fullmatch, texts)):  # as systems number copies: walk (2).txt
        return f"({{{_free('number', used)}:d}})"
    if all(text.isdecimal() for text in texts):
        return f"{{{_free('number', used)}:d}}"
    if all(numbered) and all(len(prefix) <= 2 for prefix in prefixes):
        return f"{{{_free('subject', used)}:a}}"  # such as f1 and m3
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
