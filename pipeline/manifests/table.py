"""Recordings from a table, one row a record: CSV, TSV, Parquet or Excel.

Columns are found by name: the label, the record's name where there is one, one column of paths a
modality or a stream, and all others as attributes. Cells are texts; an empty one is absent.
"""

from __future__ import annotations

import csv
import re
import zipfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from pipeline.common.words import first_of, meant
from pipeline.contract import ContractError, check_modality_name
from pipeline.datasets.description import Description
from pipeline.datasets.pattern import frame_stream, is_picture, natural
from pipeline.manifests.build import Build, Progress
from pipeline.manifests.described import Listed, Problems, list_described
from pipeline.raw.tree import RawTree

if TYPE_CHECKING:
    import pandas as pd

MAX_COLUMNS = 1000
FIRST_ROW = 2
"""As a spreadsheet counts: the header is row 1."""
_RESERVED = ("record_id", "label")
_DOTTED = re.compile(r"(\A|/)\.(/|\Z)|/\Z")
"""What a path has that can be written shorter."""


def build_table(
    description: Description,
    trials: Path,
    raw: RawTree,
    *,
    progress: Progress | None = None,
    jobs: int | None = None,
) -> Build:
    """The manifest of the recordings that a table lists, in its order.

    Args:
        description: Of their data set.
        trials: A file that ends in .csv, .tsv, .parquet or .xlsx.
        raw: Where the paths lie.
        progress: Called from this thread as files are hashed.
        jobs: Threads that hash.

    Raises:
        ContractError: the table cannot be read, lacks a column, or lists what cannot be; every
            problem by its row and column.
    """
    table = read_trials(trials)
    listed = with_frames(description, list_rows(description, table, str(trials)), raw)
    return list_described(description, listed, raw, where=str(trials), progress=progress, jobs=jobs)


def list_rows(
    description: Description,
    table: pd.DataFrame,
    where: str,
    *,
    labelled: bool = True,
    first_row: int = FIRST_ROW,
) -> list[Listed]:
    """What a table's rows say; where it is not labelled, of the modalities that it has.

    Args:
        description: Of their data set.
        table: Texts, a row a record.
        where: Who lists them, for errors.
        labelled: Whether there is a label.
        first_row: The number of the first row, for errors.

    Raises:
        ContractError: a column is not there, or its name cannot be an attribute's.
    """
    problems = Problems(where)
    top = description.top
    columns = list(table.columns)
    shown = first_of(list(map(repr, columns)), 20)
    of_paths = {
        (name, stream): column
        for name, modality in description.modalities.items()
        for stream, column in modality.paths.items()
    }
    if not labelled:
        of_paths = {source: column for source, column in of_paths.items() if column in columns}
        if not of_paths:
            problems.add(f"there is no column of paths: its columns are {shown}")
    keys = [("label", top.label), *(("attributes", name) for name in top.attributes)]
    for (name, stream), column in of_paths.items():
        several = len(description.modalities[name].paths) > 1
        keys.append((f"modality.{name}{f'.streams.{stream}' if several else ''}.path", column))
    for key, wanted in keys if labelled else ():
        if wanted not in columns:
            problems.add(
                f"there is no column {wanted!r}{_meant(wanted, columns)}: its columns are {shown}; "
                f"{key!r} of the description says which it is{_or_leave_out(key)}"
            )
    problems.check()
    taken = {top.record, *of_paths.values(), *(() if top.label in top.attributes else (top.label,))}
    others = top.attributes or [column for column in columns if column not in taken]
    others = others if labelled else ()
    fields = {}
    for column in others:
        name = re.sub(r"[^a-z0-9]+", "_", column.strip().lower()).strip("_")
        try:
            check_modality_name(name)
        except ContractError as error:
            problems.add(f"column {column!r}: {error}")
            continue
        if name in fields or name in _RESERVED or name in description.modalities:
            problems.add(
                f"column {column!r}: an attribute cannot be called {name!r}; call it otherwise, or "
                "list those to keep as 'attributes' of the description"
            )
        fields[name] = column
    if table.empty:
        problems.add("it has no rows: wanted one a record")
    problems.check()
    nothing = [""] * len(table)
    label = table[top.label].tolist() if labelled else nothing
    names = table[top.record].tolist() if top.record in columns else nothing
    path_cells = [(source, column, table[column].tolist()) for source, column in of_paths.items()]
    field_cells = [(name, table[column].tolist()) for name, column in fields.items()]
    listed = []
    for at in range(len(table)):
        row = f"row {at + first_row}"
        listed.append(
            Listed(
                place=row,
                record=names[at],
                label=label[at],
                label_place=f"{row}, column {top.label!r}",
                fields={name: cells[at] for name, cells in field_cells},
                paths={
                    source: (_plain(cells[at]), f"{row}, column {column!r}")
                    for source, column, cells in path_cells
                    if cells[at]
                },
            )
        )
    return listed


def _or_leave_out(key: str) -> str:
    where = key.removesuffix(".path")
    return f"; leave [{where}] out of it if no record has that" if where != key else ""


def _meant(wanted: str, columns: Sequence[str]) -> str:
    """The column that is called so but for its letters' case, or nearly so, as a question."""
    alike = [column for column in columns if column.casefold() == wanted.casefold()]
    return f" (did you mean {alike[0]!r}?)" if alike else meant(wanted, columns)


def with_frames(description: Description, listed: Sequence[Listed], raw: RawTree) -> list[Listed]:
    """The same, with the pictures in it for each path of pictures that is a folder.

    Raises:
        ContractError: a folder without pictures.
    """
    pictured = {
        (name, stream)
        for name, modality in description.modalities.items()
        for stream, source in modality.reading.streams.items()
        if source.reader == "images"
    }
    if not any(pictured & each.paths.keys() for each in listed):
        return list(listed)
    inside: dict[str, list[str]] = {}
    for path in raw.walk():
        if is_picture(path):
            inside.setdefault(path.rpartition("/")[0], []).append(path)
    made = []
    for each in listed:
        paths: dict[tuple[str, str], tuple[str, str]] = {}
        for source, (path, cell) in each.paths.items():
            if source not in pictured or path not in inside:
                paths[source] = (path, cell)
                continue
            for number, picture in enumerate(sorted(inside[path], key=natural), start=1):
                paths[source[0], frame_stream(source[1], number)] = (picture, cell)
        made.append(replace(each, paths=paths, record=each.record or _record_of(each)))
    return made


def _record_of(each: Listed) -> str:
    """A record's name by its first path, which may be a folder."""
    return next(iter(each.paths.values()), ("", ""))[0]


def _plain(path: str) -> str:
    """A path with forward slashes and without ``./``; what leads out of the tree still does."""
    forward = path.replace("\\", "/")
    if "//" not in forward and not _DOTTED.search(forward):
        return forward
    return PurePosixPath(forward).as_posix()


def read_trials(trials: Path) -> pd.DataFrame:
    """A table as texts without spaces around them, empty where there is nothing; rows from 0.

    Raises:
        ContractError: no such file, no table, a formula, a column twice, too many columns.
    """
    import pandas as pd

    ending = trials.suffix.lower()
    try:
        if ending in (".csv", ".tsv", ".txt"):
            separator = "," if ending == ".csv" else "\t"
            with trials.open(encoding="utf-8-sig", newline="") as file:
                _check_width(trials, next(csv.reader(file, delimiter=separator), []))
            table = pd.read_csv(
                trials,
                sep=separator,
                header=None,
                dtype=str,
                na_filter=False,
                encoding="utf-8-sig",
                skipinitialspace=True,
            )
            cells = table.to_numpy(dtype=object)
        elif ending == ".parquet":
            frame = pd.read_parquet(trials)
            cells = [list(map(str, frame.columns)), *_texts(frame.to_numpy(dtype=object).tolist())]
        elif ending == ".xlsx":
            cells = _excel(trials)
        else:
            raise ContractError(f"{trials} is no table: wanted .csv, .tsv, .parquet or .xlsx")
    except ContractError:
        raise
    except ImportError as error:
        raise ContractError(
            f"{trials} needs a package that is not installed ({error.name or error}): pip install "
            "'dmft[tables]', or save it as .csv"
        ) from error
    except (OSError, ValueError, KeyError, csv.Error, zipfile.BadZipFile) as error:
        reason = getattr(error, "strerror", None) or error
        raise ContractError(f"{trials} cannot be read: {reason}") from error
    if not len(cells):
        raise ContractError(f"{trials} is empty: wanted a header and a row a record")
    header = [str(name).strip() for name in cells[0]]
    _check_width(trials, header)
    if twice := sorted({name for name in header if name and header.count(name) > 1}):
        raise ContractError(f"{trials} has the columns {twice} twice: wanted each name once")
    made = pd.DataFrame(list(cells[1:]), columns=pd.Index(header), dtype=object)
    made = made.loc[:, [bool(name) for name in header]]
    return made.apply(lambda column: column.map(str.strip))


def _check_width(trials: Path, header: Sequence[str]) -> None:
    if len(header) > MAX_COLUMNS:
        raise ContractError(f"{trials} has {len(header)} columns: wanted at most {MAX_COLUMNS}")


def _texts(rows: Sequence[Sequence[Any]]) -> list[list[str]]:
    """Cells as texts; whole numbers without a point."""
    return [
        ["" if c is None or c != c else str(int(c)) if _is_integral(c) else str(c) for c in row]
        for row in rows
    ]


def _is_integral(cell: Any) -> bool:
    return isinstance(cell, float) and cell.is_integer()


def _excel(trials: Path) -> list[list[str]]:
    """The first sheet; a formula is refused, since what it gives is not what stands there."""
    from openpyxl import load_workbook

    book = load_workbook(trials, read_only=True, data_only=False)
    rows = []
    for number, row in enumerate(book.worksheets[0].iter_rows(), start=1):
        for cell in row:
            if getattr(cell, "data_type", None) == "f":
                raise ContractError(
                    f"{trials}: row {number}, column {cell.column_letter} is the formula "
                    f"{str(cell.value)[:40]!r}: wanted a value; paste the sheet as values"
                )
        rows.append([cell.value for cell in row])
    width = max(map(len, rows), default=0)
    filled = [[*row, *[None] * (width - len(row))] for row in rows]
    while filled and not any(cell is not None for cell in filled[-1]):
        filled.pop()
    return _texts(filled)
