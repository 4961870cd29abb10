"""What could not be encoded, in words: what failed alike is one line, not hundreds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pipeline.cache.ledger import Failure
from pipeline.common.words import first_of

FEW, SHOWN = 3, 20


def failure_lines(failures: Sequence[tuple[str, str, Failure]]) -> Iterator[str]:
    """A line a failure, or one for all that have a modality and a reason in common.

    Args:
        failures: Record, modality and what happened.
    """
    groups: dict[tuple[str, str], list[tuple[str, Failure]]] = {}
    for record_id, modality, failure in failures:
        groups.setdefault((modality, _reason(record_id, failure)), []).append((record_id, failure))
    n_lines = 0
    for (modality, reason), alike in groups.items():
        if n_lines == SHOWN:
            left = len(failures) - sum(len(g) for g in list(groups.values())[:SHOWN])
            yield f"... and {left:,} more; --json lists all"
            return
        n_lines += 1
        if len(alike) > FEW:
            records = first_of([record_id for record_id, _ in alike], FEW)
            paths = {failure.path for _, failure in alike}
            where = f"{paths.pop()}: " if len(paths) == 1 and all(paths) else ""
            yield f"{len(alike):,} {modality}, {where}{reason}: {records}"
            continue
        for record_id, failure in alike:
            named = failure.path or ""
            where = "" if named in failure.message else f" {named}:"
            yield f"{record_id} {modality}:{where} {failure.message}"


def _reason(record_id: str, failure: Failure) -> str:
    """The message without what is the record's own."""
    message = failure.message.replace(failure.path, "") if failure.path else failure.message
    return " ".join(message.replace(record_id, "it").split()).strip(": ")
