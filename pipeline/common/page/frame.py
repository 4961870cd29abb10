"""The page around the sections: title, contents, look, scripts, and the numbers they draw from."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from html import escape
from importlib import resources
from pathlib import Path
from typing import Any


def render_page(
    *,
    title: str,
    subtitle: str,
    contents: Mapping[str, str],
    sections: Sequence[str],
    script: str,
    found: Any,
) -> str:
    """Return the page.

    Args:
        title: Heading.
        subtitle: A line under it.
        contents: Identity of a section to its name; only those that are there are listed.
        sections: HTML.
        script: JavaScript of this page; it comes after ``base.js``.
        found: What the script draws from, for JSON.
    """
    main = "\n".join(sections)
    links = "".join(
        f'<a href="#{place}">{escape(name)}</a>'
        for place, name in contents.items()
        if f'id="{place}"' in main
    )
    parts = {
        "title": escape(title),
        "subtitle": escape(subtitle),
        "contents": f'<nav class="contents" aria-label="Contents">{links}</nav>',
        "css": _file("base.css"),
        "js": _file("base.js") + script,
        "main": main,
        "json": embedded(found),
    }
    return re.sub(r"\{\{(\w+)\}\}", lambda each: parts[each[1]], _file("page.html"))


def write_page(page: str, path: Path) -> int:
    """Write a page and the folders above it; return its bytes."""
    content = page.encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return len(content)


def embedded(content: Any) -> str:
    """JSON that cannot end the script element which holds it."""
    text = json.dumps(content, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def _file(name: str) -> str:
    return resources.files("pipeline.common.page").joinpath(name).read_text(encoding="utf-8")
