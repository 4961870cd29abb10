"""Runs as a table: a line each, by what they are and what they reached."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from dmft.reports.load import Measured
from dmft.reports.names import letters_of
from pipeline.common.condition import rows_where
from pipeline.common.words import meant
from pipeline.contract import ConfigError


def overview(runs: Sequence[Measured]) -> pd.DataFrame:
    """A row a run, in the order in which reports show them."""
    rows = [
        {
            "name": run.name,
            "model": run.info.spec.model_name,
            "modalities": letters_of(run.info.spec.modalities),
            "protocol": run.info.source.protocol.name,
            "folds": len(run.folds),
            "seed": run.info.spec.seed,
            "accuracy": run.metrics.accuracy,
            "macro_f1": run.metrics.macro_f1,
            "parameters": run.metrics.n_parameters,
            "folder": str(_folder_of(run)),
        }
        for run in runs
    ]
    return pd.DataFrame(rows)


def _folder_of(run: Measured) -> object:
    first = run.folds[0].folder
    return first if len(run.folds) == 1 else first.parent


def choose(table: pd.DataFrame, *, where: str | None, sort: str | None) -> pd.DataFrame:
    """Those rows for which a condition holds, in the order of a column.

    Raises:
        ConfigError: the condition or the column is none.
    """
    if where is not None:
        table = table.iloc[rows_where(table, where, "is no condition")]
    if sort is not None:
        if sort not in table:
            raise ConfigError(
                f"there is no column {sort!r}{meant(sort, table)}: the columns are "
                f"{', '.join(table)}"
            )
        table = table.sort_values(sort, ascending=False, kind="stable")
    return table
