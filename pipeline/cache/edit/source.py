"""A finished cache that rows are taken from, and the choice of records by a condition."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from pipeline.cache.checksums import EDIT, is_intact, read_sums
from pipeline.cache.description import DESCRIPTION, read_spec
from pipeline.cache.ledger import ChunkLedger, Entry, read_ledger
from pipeline.cache.lock import Claim, locked
from pipeline.cache.objects import Objects
from pipeline.cache.record_table import choice_columns
from pipeline.cache.verify import verify
from pipeline.cache.writer import CacheStore
from pipeline.common.condition import rows_where
from pipeline.contract import COMPANIONS, CacheState, ConfigError, ContractError, feature_array
from pipeline.manifests import Manifest

if TYPE_CHECKING:
    import pandas as pd

BLOCKS_KEPT = 4
"""Chunks of a modality that are held, as rows are mostly asked for in their order."""


@dataclass(eq=False)
class Source:
    """A complete cache, whose ledgers and record list are what was written."""

    store: CacheStore
    entries: Mapping[str, Mapping[str, Entry]]
    """Modality to what became of each record, by id."""
    _blocks: dict[tuple[str, int], tuple[dict[str, Entry], NDArray[Any]]] = field(
        default_factory=dict
    )

    @property
    def location(self) -> str:
        """Where it lies."""
        return self.store.objects.location

    @property
    def manifest(self) -> Manifest:
        """The list of records whose encoding the cache is."""
        spec = self.store.spec
        return Manifest(
            dataset=spec.dataset,
            classes=spec.classes,
            records=self.store.records,
            description=spec.provenance.get(DESCRIPTION),
            fabricated=bool(spec.provenance.get("fabricated", False)),
        )

    @property
    def by_row(self) -> dict[str, list[Entry]]:
        """The same in the order of the rows."""
        ids = [record.id for record in self.store.records]
        return {name: [by_id[each] for each in ids] for name, by_id in self.entries.items()}

    @cached_property
    def rows(self) -> dict[str, int]:
        """Record id to its row."""
        return {record.id: row for row, record in enumerate(self.store.records)}

    def ledger(self, modality: str, record_id: str) -> ChunkLedger:
        """The ledger of a record's chunk."""
        chunk = self.rows[record_id] // self.store.spec.modalities[modality].records_per_chunk
        ledger = read_ledger(self.store.objects, modality, chunk)
        assert ledger is not None  # the cache is complete and its ledgers are sound
        return ledger

    def row(self, modality: str, record_id: str) -> NDArray[Any]:
        """The patches of a record, held against their digest; NaN where it is not present.

        Shapes: (P, D).

        Raises:
            ContractError: they are not what was written.
        """
        chunk, at = divmod(
            self.rows[record_id], self.store.spec.modalities[modality].records_per_chunk
        )
        if (modality, chunk) not in self._blocks:
            while len(self._blocks) >= BLOCKS_KEPT:
                del self._blocks[next(iter(self._blocks))]
            self._blocks[modality, chunk] = self.store.sound_rows(modality, chunk)
        sound, block = self._blocks[modality, chunk]
        if record_id not in sound:
            raise ContractError(
                f"{self.location}/{self.store.chunk_key(modality, chunk)}: {modality} of record "
                f"{record_id} is not what was written. 'dmft cache verify {self.location} --full' "
                "names all that is, and 'dmft encode --check-stored' mends it; nothing was taken"
            )
        patches: NDArray[Any] = block[at]
        return patches

    def table(self) -> pd.DataFrame:
        """The records as a table to choose from, in the order of their rows.

        Columns: see :func:`pipeline.cache.record_table.choice_columns`.
        """
        import pandas as pd

        return pd.DataFrame(choice_columns(self.store.spec, self.store.records, self.by_row))

    def where(self, condition: str) -> tuple[str, ...]:
        """Ids of the records that a condition on :meth:`table`'s columns holds for.

        Raises:
            ConfigError: it is no condition.
        """
        table = self.table()
        return tuple(table["record"].iloc[rows_where(table, condition)])

    def check_known(self, record_ids: Iterable[str]) -> None:
        """Refuse ids of records that are not there.

        Raises:
            ConfigError: there is one.
        """
        unknown = [each for each in record_ids if each not in self.rows]
        if unknown:
            raise ConfigError(
                f"{self.location} has no record {unknown[0]!r} ({len(unknown)} such): its first is "
                f"{self.store.records[0].id!r}"
            )


def check_is_cache(location: str) -> None:
    """Refuse a place where no cache is.

    Raises:
        ContractError: there is none, or its description is damaged.
    """
    if read_spec(Objects(location)) is None:
        raise ContractError(f"{location}: no cache there. Make one with 'dmft encode'.")


def check_no_edit(objects: Objects) -> None:
    """Refuse a cache that a killed edit left half-way.

    Raises:
        ContractError: there is a journal.
    """
    if objects.read(EDIT) is not None:
        raise ContractError(
            f"an edit of {objects.location} was interrupted: run the same command again to finish "
            "it, or 'dmft encode' with the manifest that goes with it"
        )


def open_source(location: str) -> Source:
    """Open a cache to take rows from it.

    Raises:
        ContractError: there is none, it is not complete, or what it says of itself is damaged.
    """
    objects = Objects(location)
    check_no_edit(objects)
    store = CacheStore.read(location)
    if store.spec.state != CacheState.COMPLETE:
        raise ContractError(
            f"{location} is in state '{store.spec.state}': run the same 'dmft encode' again to "
            "finish it"
        )
    sums = read_sums(objects)
    if sums is None:
        raise ContractError(
            f"{location} has no list of checksums, so nothing says that it is what was written: "
            "run the same 'dmft encode' again"
        )
    chunks = tuple(f"{feature_array(name)}/c/" for name in store.spec.modalities)
    for key, digest in sums.items():
        is_made_anew = key.startswith(chunks) or key in COMPANIONS
        if not is_made_anew and not is_intact(objects.read(key), digest):
            raise ContractError(
                f"{location}/{key} is not what was written: 'dmft encode --check-stored' mends it"
            )
    return Source(store, {name: store.entries(name) for name in store.spec.modalities})


@contextmanager
def holding(location: str) -> Iterator[tuple[Source, Claim, bool]]:
    """Hold a finished cache to change it in place; what a kill left of a change is finished first.

    Yields:
        The cache, who holds it, and whether a change was finished.

    Raises:
        ConfigError: another process writes it.
        ContractError: there is no whole cache.
    """
    from pipeline.cache.edit.rearrange import finish_interrupted

    check_is_cache(location)  # before a lock makes a folder where there is none
    with locked(location) as claim:
        was_left = finish_interrupted(Objects(location), claim.session)
        report = verify(location, full=True)
        found = [finding for finding in report.findings if finding.where not in COMPANIONS]
        if found:  # an edit must not end half-way at what was damaged before it began
            raise ContractError(
                f"{location} is not whole ({found[0].where}: {found[0].message}; {len(found)} "
                "findings). Nothing was changed"
            )
        assert report.store is not None  # or its description had been found damaged
        yield Source(report.store, report.entries), claim, was_left
