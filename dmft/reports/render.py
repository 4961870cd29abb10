"""A table as Markdown, CSV or LaTeX; the same columns in each."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from dmft.reports.tables import Line, Table

FORMATS = {"markdown": "md", "csv": "csv", "latex": "tex"}
"""Name of a format to the ending of its files."""
COLUMNS = (
    "protocol",
    "modalities",
    "method",
    "tokens",
    "of",
    "published",
    "ours",
    "difference",
    "+- seeds",
    "+- folds",
    "runs",
    "recipe",
    "note",
)
LEFT = ("protocol", "modalities", "method", "of", "runs", "recipe", "note")
NONE = "-"


def render(table: Table, form: str) -> str:
    """Return a table in one of :data:`FORMATS`."""
    return {"markdown": _markdown, "csv": _csv, "latex": _latex}[form](table)


def write_tables(tables: Sequence[Table], folder: Path) -> tuple[Path, ...]:
    """Write every table in every format; return the files."""
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for table in tables:
        for form, ending in FORMATS.items():
            path = folder / f"{table.name}.{ending}"
            path.write_text(render(table, form))
            files.append(path)
    return tuple(files)


def _cells(line: Line) -> dict[str, str]:
    ours = line.ours
    runs = ""
    if ours is not None:
        folds = f"{ours.n_folds}"
        if ours.n_folds < ours.n_folds_wanted:
            folds += f" of {ours.n_folds_wanted}"
        runs = f"{folds} {_plural('fold', ours.n_folds_wanted)} x {ours.n_seeds} "
        runs += _plural("seed", ours.n_seeds)
    return {
        "protocol": line.protocol,
        "modalities": "+".join(line.modalities),
        "method": line.method,
        "tokens": str(line.fusion_tokens) if line.fusion_tokens else "",
        "of": line.what,
        "published": _number(line.published),
        "ours": _number(None if ours is None else ours.mean),
        "difference": _number(line.difference, sign=True),
        "+- seeds": _number(None if ours is None else ours.seed_spread),
        "+- folds": _number(None if ours is None else ours.fold_spread),
        "runs": runs,
        "recipe": "" if ours is None else ours.recipe,
        "note": line.note,
    }


def _plural(word: str, n: int) -> str:
    return word if n == 1 else f"{word}s"


def _number(value: float | None, *, sign: bool = False) -> str:
    if value is None:
        return NONE
    return f"{value:+.2f}" if sign else f"{value:.2f}"


def _shown(table: Table) -> tuple[tuple[str, ...], list[dict[str, str]]]:
    """Columns that say something in this table, and its cells."""
    rows = [_cells(line) for line in table.lines]
    kept = tuple(n for n in COLUMNS if n == "ours" or any(r[n] not in ("", NONE) for r in rows))
    return kept, rows


def _markdown(table: Table) -> str:
    columns, rows = _shown(table)
    ruler = [":---" if name in LEFT else "---:" for name in columns]
    lines = [f"## {table.title}", "", f"Figures in {table.unit}.", ""]
    for cells in (columns, ruler, *[[row[name] for name in columns] for row in rows]):
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    sources = list(dict.fromkeys(line.source for line in table.lines if line.source))
    if sources:
        lines += ["", "Sources: " + "; ".join(sources) + "."]
    return "\n".join(lines) + "\n"


def _csv(table: Table) -> str:
    """All columns, whatever is in them, and the source of each figure: for machines."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow([*COLUMNS, "source"])
    for line in table.lines:
        cells = _cells(line)
        values = ["" if cells[name] == NONE else cells[name] for name in COLUMNS]
        writer.writerow([*values, line.source])
    return stream.getvalue()


def _latex(table: Table) -> str:
    """A ``tabular`` for the booktabs package."""
    columns, rows = _shown(table)
    places = "".join("l" if name in LEFT else "r" for name in columns)
    body = [" & ".join(_escaped(row[name]) for name in columns) + r" \\" for row in rows]
    return "\n".join(
        [
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{_escaped(table.title)} ({_escaped(table.unit)}).}}",
            rf"\begin{{tabular}}{{{places}}}",
            r"\toprule",
            " & ".join(_escaped(name) for name in columns) + r" \\",
            r"\midrule",
            *body,
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{table}",
            "",
        ]
    )


def _escaped(text: str) -> str:
    special = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    escaped = "".join(special.get(c, "\\" + c if c in "&%$#_{}" else c) for c in text)
    return escaped.replace("+-", r"$\pm$")
