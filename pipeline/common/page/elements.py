"""Pieces of a page, as HTML: cards, tables that sort, figures to draw into, facts.

Every text is escaped here, by :func:`html.escape`; only :class:`Raw` is taken as it stands.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any


class Raw(str):
    """HTML that is already escaped."""

    __slots__ = ()


class Number(str):
    """A cell that sorts by a value which is not its text."""

    __slots__ = ("value",)
    value: float | None

    def __new__(cls, value: float | None, shown: str) -> Number:
        """Make a cell that shows ``shown``."""
        made = super().__new__(cls, shown)
        made.value = value
        return made


Cell = str


def card(what: str, value: str, sure: str) -> str:
    """One figure, large, with what it is above and how sure it is below."""
    return (
        f'<div class="card"><div class="what">{_text(what)}</div>'
        f'<div class="value">{_text(value)}</div><div class="sure">{_text(sure)}</div></div>'
    )


def cards(found: Iterable[str]) -> str:
    """Cards side by side."""
    return f'<div class="cards">{"".join(found)}</div>'


def table(
    head: Sequence[str], rows: Iterable[Sequence[Cell]], *, caption: str = "", identity: str = ""
) -> str:
    """A table that sorts; a heading that begins with ``#`` is of numbers."""
    numbers = [name.startswith("#") for name in head]
    heads = "".join(
        f'<th scope="col"{" class=n" if number else ""}>{escape(name.lstrip("#"))}</th>'
        for name, number in zip(head, numbers, strict=True)
    )
    body = "".join(
        "<tr>" + "".join(_cell(c, n) for c, n in zip(row, numbers, strict=True)) + "</tr>"
        for row in rows
    )
    said = f"<caption>{escape(caption)}</caption>" if caption else ""
    name = f' id="{identity}"' if identity else ""
    return (
        f'<div class="wide" tabindex="0" role="region" aria-label="Table"><table class="sortable"'
        f"{name}>{said}<thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def figure(
    caption: str,
    *,
    identity: str = "",
    kind: str = "",
    drawn: Mapping[str, str] | None = None,
    controls: str = "",
    after: str = "",
) -> str:
    """A place that the page's script draws into, found by its identity, class or data."""
    names = {"id": identity, "class": kind} | {f"data-{k}": v for k, v in (drawn or {}).items()}
    said = "".join(f' {name}="{escape(value)}"' for name, value in names.items() if value)
    bar = f'<div class="bar controls">{controls}</div>' if controls else ""
    return (
        f'<figure{said}>{bar}<div class="drawing wide"></div>{after}'
        f"<figcaption>{escape(caption)}</figcaption></figure>"
    )


def select(label: str, options: Sequence[tuple[str, str]]) -> str:
    """A choice within a figure: values with what is shown for each."""
    return f"<label>{escape(label)} <select>{_options(options)}</select></label>"


def chooser(identity: str, label: str, shown: Iterable[str], *, hidden: bool = False) -> str:
    """A choice of one of several things by their number, above what it changes."""
    options = _options([(str(index), text) for index, text in enumerate(shown)])
    return (
        f'<div class="bar controls"{" hidden" if hidden else ""}>'
        f'<label for="{identity}">{escape(label)}</label>'
        f'<select id="{identity}">{options}</select></div>'
    )


def facts(found: Mapping[str, str]) -> str:
    """Names with their values."""
    pairs = "".join(f"<dt>{escape(k)}</dt><dd>{escape(v)}</dd>" for k, v in found.items())
    return f'<dl class="facts">{pairs}</dl>'


def folded_json(name: str, content: Any) -> str:
    """JSON to unfold."""
    text = escape(json.dumps(content, indent=2))
    return f"<details><summary>{escape(name)}</summary><pre>{text}</pre></details>"


def warning(what: str, lines: Iterable[str], *, after: str = "") -> str:
    """A list that should be seen first."""
    items = "".join(f"<li>{escape(line)}</li>" for line in lines)
    end = f"<p>{escape(after)}</p>" if after else ""
    return f'<div class="warn" role="note">{escape(what)}<ul>{items}</ul>{end}</div>'


def _cell(cell: Cell, number: bool) -> str:
    value = cell.value if isinstance(cell, Number) else None
    sort = f' data-value="{value:.6g}"' if value is not None else ""
    return f"<td{' class=n' if number else ''}{sort}>{_text(cell)}</td>"


def _text(text: str) -> str:
    return text if isinstance(text, Raw) else escape(text)


def _options(options: Sequence[tuple[str, str]]) -> str:
    return "".join(
        f'<option value="{escape(value)}">{escape(shown)}</option>' for value, shown in options
    )
