"""What the benchmarks share: recordings to work on, a clock, and a report line."""

from __future__ import annotations

import contextlib
import os
import resource
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pipeline.manifests import Manifest, build
from pipeline.raw.tree import RawTree
from tests.real_recordings import utd_mhad_root


@dataclass(slots=True)
class Clock:
    """Seconds of a ``with`` block."""

    seconds: float = 0.0


@contextlib.contextmanager
def clock() -> Iterator[Clock]:
    """Measure a block's wall time."""
    measured = Clock()
    started = time.perf_counter()
    yield measured
    measured.seconds = time.perf_counter() - started


@contextlib.contextmanager
def scratch() -> Iterator[Path]:
    """A folder that is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        yield Path(folder)


def real_recordings() -> tuple[Manifest, Path]:
    """The real recordings and their tree; ends the script where they are absent."""
    root = utd_mhad_root()
    if not root.is_dir():
        print("skipped: the real UTD-MHAD recordings are not here (set UTD_MHAD_ROOT)")
        raise SystemExit(0)
    return build("utd-mhad", RawTree(root)).manifest, root


def first(manifest: Manifest, n_records: int, modality: str) -> Manifest:
    """The first records that have a modality."""
    chosen = [record for record in manifest.records if modality in record.streams][:n_records]
    return Manifest(dataset=manifest.dataset, classes=manifest.classes, records=tuple(chosen))


def say(name: str, value: float, unit: str, wanted: str = "") -> None:
    """Print one figure."""
    print(f"{name:52} {value:10.3f} {unit}{'   wanted ' + wanted if wanted else ''}")


def busy_cores() -> None:
    """Say whether other work was running: these figures want free cores."""
    load = os.getloadavg()[0]
    print(f"load before the run {load:.2f} on {len(os.sched_getaffinity(0))} cores")


def peak_mib() -> float:
    """Peak memory of this process in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
