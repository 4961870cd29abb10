"""A tree with the structure of all of MMAct: manifest, dry run, and the sensors' encode.

The tree has a hard link for each of the 35,117 clips. Without an argument it is fabricated first,
which takes minutes::

    dmft synth mmact RAW --structure data_manifests/mmact-clips.csv
    python -m tests.benchmarks.bench_mmact [RAW]
"""

from __future__ import annotations

import subprocess
import sys
import threading

import psutil

from pipeline.encode.job import Callbacks, EncodeOptions, encode, rehearse
from pipeline.manifests import build, shipped_manifest
from pipeline.raw.tree import RawTree
from tests.benchmarks.common import busy_cores, clock, peak_mib, say, scratch


class Watch:
    """Peak memory of the largest worker in each half of the records."""

    def __init__(self, n_records: int) -> None:
        self.n_records, self.n_done = n_records, 0
        self.peaks_mib = [0.0, 0.0]
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def on_progress(self, n_records: int) -> None:
        """Count records."""
        self.n_done += n_records

    def _look(self) -> None:
        while not self._stop.wait(0.2):
            half = int(self.n_done > self.n_records / 2)
            for child in psutil.Process().children(recursive=True):
                try:
                    mib = child.memory_info().rss / 2**20
                except psutil.Error:
                    continue
                self.peaks_mib[half] = max(self.peaks_mib[half], mib)


def main() -> None:
    """Fabricate where no tree is given; measure and print."""
    if len(sys.argv) > 1:
        measure(sys.argv[1])
        return
    with scratch() as folder:
        clips = "data_manifests/mmact-clips.csv"
        command = ["synth", "mmact", str(folder / "raw"), "--structure", clips]
        subprocess.run([sys.executable, "-m", "cli", *command], check=True)
        measure(str(folder / "raw"))


def measure(raw: str) -> None:
    """Measure and print."""
    busy_cores()
    with clock() as built:
        manifest = build("mmact", RawTree(raw)).manifest
    published = shipped_manifest("mmact")
    if {r.id for r in manifest.records} != {r.id for r in published.records}:
        print(f"{raw} has not the clips of the published list")
        raise SystemExit(1)
    n_files = len(list(manifest.streams()))
    n_bytes = sum(s.n_bytes or 0 for _, m, s in manifest.streams() if m == "inertial")
    say("manifest build, seconds", built.seconds, f"{n_files} files")
    options = EncodeOptions(modalities=("inertial",), n_workers=2)
    with scratch() as folder:
        with clock() as rehearsed:
            rehearse(manifest, raw, str(folder / "cache"), options)
        say("dry run, seconds", rehearsed.seconds, "")
        watch = Watch(len(manifest.records))
        callbacks = Callbacks(on_progress=watch.on_progress)
        with clock() as encoded, watch:
            summary = encode(manifest, raw, str(folder / "cache"), options, callbacks)
    counts = summary.counts["inertial"]
    print(f"inertial: {counts}, {n_bytes / 1e6:.1f} MB of sensor files")
    say("encode of the sensors, 2 workers, seconds", encoded.seconds, "")
    say("records a second", len(manifest.records) / encoded.seconds, "")
    say("peak of a worker, first half of the records", watch.peaks_mib[0], "MiB")
    say("peak of a worker, second half", watch.peaks_mib[1], "MiB")
    say("peak of the client", peak_mib(), "MiB")


if __name__ == "__main__":
    main()
