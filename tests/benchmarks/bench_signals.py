"""Skeleton and inertial of the 431 real records: seconds, and what share is process start-up.

python -m tests.benchmarks.bench_signals
"""

from __future__ import annotations

import time

from pipeline.encode.job import Callbacks, EncodeOptions, encode
from tests.benchmarks.common import busy_cores, clock, real_recordings, say, scratch


def main() -> None:
    """Measure and print."""
    busy_cores()
    manifest, raw = real_recordings()
    modalities = ("skeleton", "inertial")
    with scratch() as folder:
        up: list[float] = []
        reports: list[float] = []
        started = time.perf_counter()
        with clock() as dask:
            encode(
                manifest,
                str(raw),
                str(folder / "dask"),
                EncodeOptions(modalities=modalities),
                Callbacks(
                    on_dashboard=lambda _: up.append(time.perf_counter()),
                    on_report=lambda report: reports.append(report.seconds),
                ),
            )
        with clock() as here:
            encode(
                manifest,
                str(raw),
                str(folder / "here"),
                EncodeOptions(modalities=modalities, n_workers=0),
            )
        with clock() as again:
            encode(manifest, str(raw), str(folder / "here"), EncodeOptions(modalities=modalities))
        n_records = len(manifest.records)
        say(f"{n_records} records x 2, Dask workers", dask.seconds, "s", "seconds")
        say("of it until the cluster is up", up[0] - started, "s")
        say("of it work, summed over workers", sum(reports), "s")
        say("share of start-up and shut-down", 1 - sum(reports) / 2 / dask.seconds, "")
        say("the same in one process (--workers 0)", here.seconds, "s")
        say("the same again, nothing to do", again.seconds, "s")


if __name__ == "__main__":
    main()
