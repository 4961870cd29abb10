"""Figures of a GPU as a table in the page that explains them; without figures, "not measured"."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.gpu.parts import PARTS

BEGIN, END = "<!-- begin: make gpu writes this -->", "<!-- end -->"
NOT_MEASURED: Mapping[str, Any] = {"device": None, "parts": {}}


def table(found: Mapping[str, Any]) -> str:
    """What was measured, a row a figure; a part without figures is said not to be measured.

    Args:
        found: The device's name and the figures by part, as ``gpu.json`` has them.
    """
    device = found["device"]
    lines = [f"Measured on: {device or 'nothing yet'}.", "", "| part | figure | value |"]
    lines.append("| --- | --- | --- |")
    for part in PARTS:
        figures = found["parts"].get(part)
        if not figures:
            lines.append(f"| {part} | | not measured |")
            continue
        for name, value in figures.items():
            if not isinstance(value, list):
                lines.append(f"| {part} | {name} | {_text(value)} |")
    return "\n".join(lines)


def _text(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:,.3g}" if abs(value) < 100 else f"{value:,.0f}"
    return str(value).replace("|", "/")


def with_table(page: str, found: Mapping[str, Any]) -> str:
    """A page with the table of these figures in the place of the one that it has."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{table(found)}\n\n{END}{after}"


def write(folder: Path, found: Mapping[str, Any]) -> None:
    """Write ``gpu.json``, and the table into ``gpu.md`` where that is there."""
    (folder / "gpu.json").write_text(json.dumps(found, indent=2) + "\n")
    page = folder / "gpu.md"
    if page.exists():
        page.write_text(with_table(page.read_text(), found))
