"""What an array file is by the names and shapes of its arrays: which to take, and how it lies."""

from __future__ import annotations

import json
from collections.abc import Mapping

from pipeline.datasets.draft.texts import is_time

MAX_COLUMNS = 64
"""Of an array whose columns are all named in a draft."""


def lines_of_arrays(arrays: Mapping[str, tuple[int, ...]]) -> list[str]:
    """The lines of a description that say which array is read and how; guesses are marked.

    Example:
        >>> for line in lines_of_arrays({"t": (1, 90), "acc": (3, 90)})[1:]:
        ...     print(line.split("  # ")[0])
        key = "acc"
        order = ["column", "time"]
        columns = [1, 2, 3]
        time_key = "t"
        time_format = "seconds"
    """
    long = {name: max(shape) for name, shape in arrays.items() if shape and max(shape) > 1}
    times = [name for name in long if is_time(name.rsplit("/", 1)[-1]) and _is_flat(arrays[name])]
    values = sorted(
        (name for name in long if name not in times),
        key=lambda name: (not _is_wide(arrays[name]), -long[name]),
    )
    shown = ", ".join(f"{name} {' x '.join(map(str, s))}" for name, s in arrays.items() if name)
    lines = [f"# arrays in it: {_plain(shown)}"] if shown else []
    if not values:
        return [
            *lines,
            'key = ""  # ? the name of the array, a/b for one within another',
            "columns = [1, 2, 3]  # ? those to take, from 1",
            "rate_hz = 50  # ?",
        ]
    key = values[0]
    shape = arrays[key]
    lines += [f"key = {json.dumps(key, ensure_ascii=False)}  # ?"] if key else []
    if len(shape) > 2:
        lines.append("# ? of more than two axes: a skeleton's, or frames; see 'order'")
    turned = len(shape) == 2 and shape[0] < shape[1]
    lines += ['order = ["column", "time"]  # ? shorter than it is long'] if turned else []
    n_columns = min(shape) if len(shape) == 2 else 1
    lines.append(f"columns = {list(range(1, min(n_columns, MAX_COLUMNS) + 1))}  # ? those to take")
    fitting = [name for name in times if long[name] == long[key]]
    if fitting:
        lines.append(f"time_key = {json.dumps(fitting[0], ensure_ascii=False)}  # ?")
        return [*lines, 'time_format = "seconds"  # ? or milliseconds, microseconds, nanoseconds']
    return [*lines, "rate_hz = 50  # ? rows a second: the file does not say it"]


def _is_flat(shape: tuple[int, ...]) -> bool:
    return sum(n > 1 for n in shape) <= 1


def _is_wide(shape: tuple[int, ...]) -> bool:
    return len(shape) == 2 and 1 < min(shape) <= MAX_COLUMNS


def _plain(text: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in text)[:300]
