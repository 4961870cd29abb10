"""A table as Markdown, CSV or LaTeX; the same columns in each."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from dmft.reports.format import count
from dmft.reports.tables import PaperTable, TableLine

FORMATS = {"markdown": "md", "csv": "csv", "latex": "tex"}
"""Name of a format to the ending of its files."""
TEXT = ("protocol", "modalities", "method", "of", "runs", "recipe", "note")
"""Columns that are set to the left."""
NONE = "-"


def render(table: PaperTable, form: str) -> str:
    """Return a table in one of :data:`FORMATS`."""
    return {"markdown": _markdown, "csv": _csv, "latex": _latex}[form](table)


def write_tables(tables: Sequence[PaperTable], folder: Path) -> tuple[Path, ...]:
    """Write every table in every format; return the files."""
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for table in tables:
        for form, ending in FORMATS.items():
            path = folder / f"{table.name}.{ending}"
            path.write_text(render(table, form))
            files.append(path)
    return tuple(files)


def _cells(line: TableLine) -> dict[str, str]:
    ours, runs = line.ours, ""
    if ours is not None:
        missing = f"{ours.n_folds} of " if ours.n_folds < ours.n_folds_wanted else ""
        runs = f"{missing}{count(ours.n_folds_wanted, 'fold')} x {count(ours.n_seeds, 'seed')}"
    return {
        "protocol": line.protocol,
        "modalities": "+".join(line.modalities),
        "method": line.method,
        "tokens": str(line.fusion_tokens) if line.fusion_tokens else "",
        "of": line.what,
        "published": _number(line.published),
        "ours": _number(None if ours is None else ours.mean),
        "difference": _number(line.difference, sign=True),
        "+- seeds": _number(None if ours is None else ours.seed_std),
        "+- folds": _number(None if ours is None else ours.fold_std),
        "runs": runs,
        "recipe": "" if ours is None else ours.recipe,
        "note": line.note,
    }


def _number(value: float | None, *, sign: bool = False) -> str:
    if value is None:
        return NONE
    return f"{value:+.2f}" if sign else f"{value:.2f}"


def _frame(table: PaperTable) -> pd.DataFrame:
    return pd.DataFrame([_cells(line) for line in table.lines])


def _shown(table: PaperTable) -> pd.DataFrame:
    """The columns that say something in this table."""
    frame = _frame(table)
    says = ~frame.isin(["", NONE]).all()
    return frame.loc[:, says | (frame.columns == "ours")]


def _markdown(table: PaperTable) -> str:
    frame = _shown(table)
    ruler = [":---" if name in TEXT else "---:" for name in frame]
    lines = [f"## {table.title}", "", f"Figures in {table.unit}.", ""]
    for cells in ([*frame], ruler, *frame.to_numpy().tolist()):
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    sources = list(dict.fromkeys(line.source for line in table.lines if line.source))
    if sources:
        lines += ["", "Sources: " + "; ".join(sources) + "."]
    return "\n".join(lines) + "\n"


def _csv(table: PaperTable) -> str:
    """All columns, whatever is in them, and the source of each figure: for machines."""
    frame = _frame(table).replace(NONE, "").assign(source=[line.source for line in table.lines])
    return str(frame.to_csv(index=False, lineterminator="\n"))


def _latex(table: PaperTable) -> str:
    """A ``tabular`` for the booktabs package."""
    frame = _shown(table).map(_escaped)
    places = "".join("l" if name in TEXT else "r" for name in frame)
    styled = frame.rename(columns=_escaped).style.hide(axis="index")
    caption = f"{_escaped(table.title)} ({_escaped(table.unit)})."
    return str(
        styled.to_latex(
            column_format=places, hrules=True, position_float="centering", caption=caption
        )
    )


def _escaped(text: str) -> str:
    special = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    escaped = "".join(special.get(c, "\\" + c if c in "&%$#_{}" else c) for c in text)
    return escaped.replace("+-", r"$\pm$")
