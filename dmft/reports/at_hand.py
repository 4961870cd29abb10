"""Caches of runs that lie where they lay: they say whose a record is, and hold what was seen.

A report needs none of them. One that has changed since, or is not there, is left out with a line
that says so; torch is imported only where there is one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from dmft.reports.load import Measured
from pipeline.contract import ConfigError, ContractError

if TYPE_CHECKING:
    from dmft.data import Cache

PERSON = "subject"
"""The column that says whose a record is."""
MEMORY = 256 << 20
"""Bytes of patches that are held; of larger caches the records that are drawn are read."""


def caches_at_hand(
    runs: Sequence[Measured], path: Path | None = None
) -> tuple[dict[str, Cache], list[str]]:
    """Open the caches of some runs, by fingerprint; return also a line for each that is not there.

    Args:
        runs: Whose caches.
        path: Where the cache is now; None looks where each run says that it was.

    Raises:
        ContractError: ``path`` holds another cache than the runs'.
    """
    wanted = {run.info.spec.cache_fingerprint: run.info.cache_path for run in runs}
    found: dict[str, Cache] = {}
    lines: list[str] = []
    asked = wanted if path is None else {"": str(path)}
    for fingerprint, place in asked.items():
        if path is None and not Path(place).exists():
            lines.append(f"{place} is not there any more")
            continue
        from dmft.data import open_cache

        try:
            cache = open_cache(place, memory=MEMORY)
        except (ConfigError, ContractError) as error:
            if path is not None:
                raise
            lines.append(str(error))
            continue
        if cache.spec.fingerprint in wanted:
            found[cache.spec.fingerprint] = cache
        elif path is not None:
            raise ContractError(
                f"{path} has fingerprint {cache.spec.fingerprint[:12]!r}: the runs are of "
                f"{', '.join(sorted(repr(each[:12]) for each in wanted))}"
            )
        else:
            lines.append(
                f"{place} is not what it was: its fingerprint is "
                f"{cache.spec.fingerprint[:12]!r}, the runs' {fingerprint[:12]!r}"
            )
    return found, lines


def person_of(cache: Cache | None) -> pd.Series[str] | None:
    """Record to person; None where nobody says who is who."""
    if cache is None or PERSON not in cache.columns:
        return None
    return pd.Series(cache.columns[PERSON].astype(str), index=list(cache.record_ids))


def people_of(caches: Mapping[str, Cache]) -> dict[str, pd.Series[str]]:
    """The same of several caches, those left out that do not say."""
    people = {fingerprint: person_of(cache) for fingerprint, cache in caches.items()}
    return {fingerprint: known for fingerprint, known in people.items() if known is not None}
