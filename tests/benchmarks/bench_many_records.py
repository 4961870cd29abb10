"""Memory and time of scheduler and workers over 10,000 and 100,000 tiny records.

Every record's file is a hard link to one small sensor file, so that the records are many and the
work is little: the hardest case for the scheduler. A real ``dask scheduler`` and two
``dask worker`` processes are watched from outside.

    python -m tests.benchmarks.bench_many_records [10000 100000]
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import psutil

from pipeline.contract import Record, StreamRef
from pipeline.encode.job import Callbacks, EncodeOptions, encode
from pipeline.manifests import Manifest
from tests.benchmarks.common import busy_cores, clock, peak_mib, say, scratch


def make_records(folder: Path, n_records: int) -> Manifest:
    """A tree of hard links to one file, and its manifest."""
    import hashlib

    from pipeline.synthetic.utd_mhad import mat_bytes

    content = mat_bytes("d_iner", np.random.default_rng(0).normal(size=(130, 6)))
    (folder / "Inertial").mkdir(parents=True)
    source = folder / "one.mat"
    source.write_bytes(content)
    records = []
    for index in range(n_records):
        if index % 50_000 == 0:  # a file takes no more than 65,000 links
            source = folder / f"one{index}.mat"
            source.write_bytes(content)
        path = f"Inertial/{index}.mat"
        (folder / path).hardlink_to(source)
        stream = StreamRef(
            name="inertial",
            path=path,
            n_bytes=len(content),
            sha256=hashlib.sha256(content).hexdigest(),
        )
        records.append(
            Record(
                id=f"r{index}",
                label=0,
                attributes={"action": 1, "subject": 1, "trial": 1},
                streams={"inertial": (stream,)},
            )
        )
    return Manifest(dataset="utd-mhad", classes=("only",), records=tuple(records))


class Watch(threading.Thread):
    """Peak memory of some processes and their children, in MiB."""

    def __init__(self, processes: dict[str, int]) -> None:
        super().__init__(daemon=True)
        self.processes = processes
        self.peak = dict.fromkeys(processes, 0.0)
        self.over = threading.Event()

    def run(self) -> None:
        """Look five times a second."""
        while not self.over.wait(0.2):
            for name, pid in self.processes.items():
                try:
                    process = psutil.Process(pid)
                    family = [process, *process.children(recursive=True)]
                    total = sum(member.memory_info().rss for member in family) / 2**20
                except psutil.NoSuchProcess:
                    continue
                self.peak[name] = max(self.peak[name], total)


def main() -> None:
    """Measure and print."""
    sizes = [int(size) for size in sys.argv[1:]] or [10_000, 100_000]
    busy_cores()
    dask = [sys.executable, "-m", "dask"]
    # As docs/how-to/encode-on-a-cluster.md says.
    environment = {**os.environ, "DASK_DISTRIBUTED__ADMIN__LOW_LEVEL_LOG_LENGTH": "10"}
    seconds = {}
    for n_records in sizes:
        with scratch() as folder:
            scheduler = subprocess.Popen(
                [*dask, "scheduler", "--port", "0", "--no-dashboard"],
                stderr=subprocess.PIPE, text=True, env=environment, cwd=Path(__file__).parents[2],
            )  # fmt: skip
            assert scheduler.stderr is not None
            address = next(
                match.group()
                for line in scheduler.stderr
                if (match := re.search(r"tcp://\S+:\d+", line))
            )
            workers = [
                subprocess.Popen(
                    [*dask, "worker", address, "--nthreads", "1", "--no-dashboard"],
                    stderr=subprocess.DEVNULL, env=environment, cwd=Path(__file__).parents[2],
                )
                for _ in range(2)
            ]  # fmt: skip
            watch = Watch(
                {"scheduler": scheduler.pid, "worker 1": workers[0].pid, "worker 2": workers[1].pid}
            )
            try:
                manifest = make_records(folder / "raw", n_records)
                watch.start()
                busy: list[float] = []
                with clock() as taken:
                    encode(
                        manifest,
                        str(folder / "raw"),
                        str(folder / "cache"),
                        EncodeOptions(scheduler=address),
                        Callbacks(on_report=lambda report, busy=busy: busy.append(report.seconds)),  # type: ignore[misc]
                    )
            finally:
                watch.over.set()
                for process in (*workers, scheduler):
                    process.terminate()
                    process.wait()
            seconds[n_records] = taken.seconds
            say(f"{n_records} records", taken.seconds, "s")
            say("  a thousand records", 1000 * taken.seconds / n_records, "s")
            say(f"  work in {len(busy)} tasks, summed over 2 workers", sum(busy), "s")
            for name, peak in watch.peak.items():
                say(f"  peak memory of the {name}", peak, "MiB")
            say("  peak memory of the client", peak_mib(), "MiB")
    if len(sizes) == 2:
        a, b = sizes
        say("time a record, larger / smaller", seconds[b] / b / (seconds[a] / a), "", "about 1")


if __name__ == "__main__":
    main()
