"""Reading a whole modality for training against ``numpy.load`` of the same bytes; one record.

python -m tests.benchmarks.bench_reading [--records 2048]
"""

from __future__ import annotations

import argparse
import dataclasses
import statistics
from pathlib import Path

import numpy as np

from pipeline.cache.ledger import Entry
from pipeline.cache.seal import finish
from pipeline.cache.writer import CacheStore, digest_rows, records_per_chunk
from pipeline.contract import CacheSpec, ModalitySpec, Presence, Record, StreamRef
from pipeline.manifests import Manifest
from tests.benchmarks.common import busy_cores, clock, say, scratch
from tests.factories import claim

RGB = ModalitySpec(name="rgb", n_patches=32, n_features=2048, dtype="float16", records_per_chunk=1)


def make_cache(folder: Path, n_records: int, modality: ModalitySpec = RGB) -> CacheSpec:
    """A finished cache of one modality, written by the store itself."""
    name = modality.name
    spec = dataclasses.replace(modality, records_per_chunk=records_per_chunk(modality.row_bytes))
    records = [
        Record(
            id=f"r{index}",
            label=index % 2,
            attributes={"subject": index % 8},
            streams={name: (StreamRef(name=name, path=f"{index}.avi"),)},
        )
        for index in range(n_records)
    ]
    manifest = Manifest(dataset="utd-mhad", classes=("a", "b"), records=tuple(records))
    store = CacheStore.preview(str(folder), manifest, {name: spec})
    claim(folder, "benchmark")
    store.begin("benchmark")
    random = np.random.default_rng(0)
    for chunk in range(store.n_chunks(name)):
        rows = store.rows_of(name, chunk)
        shape = (len(rows), spec.n_patches, spec.n_features)
        block = random.random(shape, dtype=np.float32).astype(spec.dtype)
        entries = [
            Entry(
                record_id=records[row].id,
                row=row,
                presence=Presence.PRESENT,
                key="benchmark",
                digest=digest,
                length=spec.n_patches,
            )
            for row, digest in zip(rows, digest_rows(block), strict=True)
        ]
        store.commit(name, chunk, block, entries, environment={}, session="benchmark")
    return finish(store, {}, "benchmark")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=2048)
    n_records = parser.parse_args().records
    busy_cores()
    import zarr

    from dmft.data import open_cache

    with scratch() as folder:
        make_cache(folder / "cache", n_records)
        plain = folder / "plain.npy"
        np.save(plain, zarr.open(folder / "cache", mode="r")["rgb"][:])
        n_mib = plain.stat().st_size / 2**20
        rates: dict[str, list[float]] = {"numpy.load": [], "trainer": [], "trusted": [], "zarr": []}
        for _ in range(5):
            with clock() as taken:
                np.load(plain)
            rates["numpy.load"].append(n_mib / taken.seconds)
            with clock() as taken:
                zarr.open(folder / "cache", mode="r")["rgb"][:]
            rates["zarr"].append(n_mib / taken.seconds)
            with clock() as taken:
                open_cache(folder / "cache", ["rgb"])
            rates["trainer"].append(n_mib / taken.seconds)
            with clock() as taken:
                open_cache(folder / "cache", ["rgb"], trust=True)
            rates["trusted"].append(n_mib / taken.seconds)
        middle = {name: statistics.median(values) for name, values in rates.items()}
        for name, rate in middle.items():
            say(f"{name}, {n_mib:.0f} MiB", rate, "MiB/s")
        say("zarr / numpy.load", middle["zarr"] / middle["numpy.load"], "", "0.6")
        say("trainer's open_cache / numpy.load", middle["trainer"] / middle["numpy.load"], "")
        checks = middle["trusted"] / middle["trainer"] - 1
        say("what holding it against SHA256SUMS adds to a load", checks, "", "under 0.05")
        array = zarr.open(folder / "cache", mode="r")["rgb"]
        singles = []
        for row in np.random.default_rng(1).integers(0, n_records, 100):
            with clock() as taken:
                array[int(row)]
            singles.append(1000 * taken.seconds)
        say("one record, median of 100", statistics.median(singles), "ms", "under 5")


if __name__ == "__main__":
    main()
