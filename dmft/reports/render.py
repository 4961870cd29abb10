"""A table as Markdown, CSV or LaTeX; the same columns in each."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from dmft.reports.format import count
from dmft.reports.tables import PaperTable

FORMATS = {"markdown": "md", "csv": "csv", "latex": "tex"}
"""Name of a format to the ending of its files."""
FIGURES = {
    "published": "published",
    "ours": "mean",
    "difference": "difference",
    "+- seeds": "seed_std",
    "+- folds": "fold_std",
}
"""Heading of a figure to its column."""
TEXT = (
    *("protocol", "modalities", "method", "of", "runs", "recipe", "of the data set", "beware"),
    "note",
)
"""Columns that are set to the left."""
NONE = "-"
NOT_WHOLE = (
    "A published figure is of the whole data set and of every fold. There is a difference only "
    "where ours is of the same recordings, by their checksums where those are published."
)


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


def _cells(table: PaperTable) -> pd.DataFrame:
    """Every column as text."""
    lines = table.lines
    return pd.DataFrame(
        {
            "protocol": lines["protocol"],
            "modalities": lines["modalities"],
            "method": lines["method"],
            "tokens": lines["fusion_tokens"].astype(str).replace("0", ""),
            "of": lines["what"],
            **{
                name: [_number(value, sign=name == "difference") for value in lines[column]]
                for name, column in FIGURES.items()
            },
            "runs": [_runs(line) for _, line in lines.iterrows()],
            "recipe": lines["recipe"],
            "of the data set": lines["coverage"],
            "beware": lines["shared"],
            "note": lines["note"],
        }
    )


def _number(value: float | None, *, sign: bool) -> str:
    if pd.isna(value):
        return NONE
    return f"{value:+.2f}" if sign else f"{value:.2f}"


def _runs(line: pd.Series) -> str:
    """``8 folds x 3 seeds``, or ``2 of 8 folds x 1 seed``; nothing where there is none of ours."""
    if pd.isna(line["mean"]):
        return ""
    wanted = int(line["n_folds_wanted"])
    missing = f"{line['n_folds']:.0f} of " if line["n_folds"] < wanted else ""
    return f"{missing}{count(wanted, 'fold')} x {count(int(line['n_seeds']), 'seed')}"


def _shown(table: PaperTable) -> pd.DataFrame:
    """The columns that say something in this table."""
    cells = _cells(table)
    says = ~cells.isin(["", NONE]).all()
    return cells.loc[:, says | (cells.columns == "ours")]


def _markdown(table: PaperTable) -> str:
    cells = _shown(table)
    ruler = [":---" if name in TEXT else "---:" for name in cells]
    lines = [f"## {table.title}", "", f"Figures in {table.unit}.", ""]
    for row in ([*cells], ruler, *cells.to_numpy().tolist()):
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |")
    if not table.lines["is_whole"].all() and table.has_ours and table.lines["source"].any():
        lines += ["", NOT_WHOLE]
    sources = [source for source in table.lines["source"].unique() if source]
    if sources:
        lines += ["", "Sources: " + "; ".join(sources) + "."]
    return "\n".join(lines) + "\n"


def _csv(table: PaperTable) -> str:
    """All columns, whatever is in them, and the source of each figure: for machines."""
    cells = _cells(table).replace(NONE, "").assign(source=table.lines["source"])
    return str(cells.to_csv(index=False, lineterminator="\n"))


def _latex(table: PaperTable) -> str:
    """A ``tabular`` for the booktabs package."""
    cells = _shown(table).map(_escaped)
    places = "".join("l" if name in TEXT else "r" for name in cells)
    styled = cells.rename(columns=_escaped).style.hide(axis="index")
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
