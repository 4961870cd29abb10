"""The Dask side of an encode: a cluster, tasks through a sliding window, what comes back.

A task is a chunk of records; a few a worker are in flight, so that
neither the scheduler nor the workers hold more for more records. What Dask does to people and is
undone here: the nanny's ``MALLOC_TRIM_THRESHOLD_`` that halves a forward pass, one thread for
every numerical library, memory limits and time-outs that kill long native calls, tasks that wait
for ever for workers that cannot do them, and a batch that is blamed for one poisonous input.
"""

from __future__ import annotations

import logging
import os
import queue
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from typing import Any

import dask
import distributed.utils
from distributed import (
    Client,
    Future,
    KilledWorker,
    LocalCluster,
    WorkerPlugin,
    get_worker,
)
from distributed.security import Security

from pipeline.cache.ledger import Failure
from pipeline.common.dask_cluster import WorkerWatch, connect, error_of, leave
from pipeline.common.spawning import spawning
from pipeline.contract import ConfigError
from pipeline.encode.plan import ChunkTask
from pipeline.encode.processes import ALLOCATOR
from pipeline.encode.worker import OnProgress, TaskReport, Worker, WorkerSettings

logger = logging.getLogger(__name__)

NAME = "dmft-encode-"
"""With the session behind it: several encodes may share a cluster and must not meet."""
ATTRIBUTE = "dmft_encoders"
LOOPBACK = "127.0.0.1:0"
"""This machine alone, at a port that is free."""
IN_FLIGHT_PER_WORKER = 2
CRASHES_BEFORE_ISOLATION = 2
CRASHES_BEFORE_QUARANTINE = 2
"""Crashes of a record on its own: one may be chance, such as a worker that was killed."""
REPORT_EVERY_S = 0.5

DASK_CONFIG: Mapping[str, Any] = {
    **{f"distributed.nanny.pre-spawn-environ.{name}": v for name, v in ALLOCATOR.items()},
    # One poisonous input would take three more workers with it before Dask says so.
    "distributed.scheduler.allowed-failures": 0,
    "distributed.scheduler.worker-ttl": None,
    "distributed.worker.memory.target": False,
    "distributed.worker.memory.spill": False,
    "distributed.worker.memory.pause": False,
    "distributed.worker.memory.terminate": False,
    "distributed.comm.timeouts.connect": "60s",
    "distributed.admin.log-length": 1000,
    # The scheduler keeps the last messages to each worker, whole tasks among them: 1000 by default.
    "distributed.admin.low-level-log-length": 10,
}


class EncoderPlugin(WorkerPlugin):
    """Gives every Dask worker its :class:`~pipeline.encode.worker.Worker`, built once an encode."""

    def __init__(self, settings: WorkerSettings) -> None:
        """Settings for every worker; on a machine with several GPUs each worker takes the next."""
        self.settings = settings
        self.name = NAME + settings.session

    def setup(self, worker: Any) -> None:
        """Build the worker's encoder; its network is loaded by its first task."""
        settings = self.settings
        if settings.device == "cuda":
            import torch

            ordinal = worker.name if isinstance(worker.name, int) else 0
            settings = replace(
                settings, device=f"cuda:{ordinal % max(torch.cuda.device_count(), 1)}"
            )
        encoders = getattr(worker, ATTRIBUTE, {})
        encoders[settings.session] = Worker(settings)
        setattr(worker, ATTRIBUTE, encoders)

    def teardown(self, worker: Any) -> None:
        """Let the encoder and its network go."""
        getattr(worker, ATTRIBUTE, {}).pop(self.settings.session, None)


def _encode(task: ChunkTask, session: str) -> TaskReport:
    """Runs in a worker: encode a chunk, telling the client of records as they are done."""
    dask_worker = get_worker()
    topic = NAME + session
    told_at, n_untold = time.monotonic(), 0

    def on_progress(n_records: int) -> None:
        nonlocal told_at, n_untold
        n_untold += n_records
        if time.monotonic() - told_at >= REPORT_EVERY_S:
            dask_worker.log_event(topic, n_untold)
            told_at, n_untold = time.monotonic(), 0

    report: TaskReport = getattr(dask_worker, ATTRIBUTE)[session].run(task, on_progress)
    dask_worker.log_event(topic, n_untold)
    return report


def _probe(task: ChunkTask, session: str) -> None:
    """Runs in a worker: encode and store nothing."""
    getattr(get_worker(), ATTRIBUTE)[session].probe(task)


def _can_work(raw: str, location: str, wants_gpu: bool) -> str | None:
    """Runs in a worker: why it cannot take part, if it cannot."""
    if not os.path.isdir(raw):  # noqa: PTH112 - a plain text is what was sent
        return f"it does not see the raw tree {raw}"
    if "://" not in location and not os.path.isdir(location):  # noqa: PTH112
        return f"it does not see the cache {location}"
    if wants_gpu:
        import torch

        if not torch.cuda.is_available():
            return "it has no GPU"
    return None


@contextmanager
def cluster(
    n_workers: int, scheduler: str | None, dashboard: str = LOOPBACK, *, method: str = "spawn"
) -> Iterator[Client]:
    """A client of a cluster of our own, or of the one at ``scheduler``.

    Whoever can send a scheduler a task can do what its user can. Our own listens on the loopback
    alone and takes tasks over TLS, from holders of a certificate that lives as long as it does.

    Args:
        n_workers: Processes of our own cluster.
        scheduler: Address of another's.
        dashboard: Where our own cluster shows itself.
        method: How processes of our own cluster are started, as ``multiprocessing`` calls it.

    Raises:
        ConfigError: nothing answers at the address.
    """
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    if method == "forkserver":  # which has its modules: Dask would import pandas here to add it
        distributed.utils._forkserver_preload_set = True
    settings = {**DASK_CONFIG, "distributed.worker.multiprocessing-method": method}
    with dask.config.set(settings):
        if scheduler is not None:
            with connect(scheduler) as client:
                yield client
            return
        with ExitStack() as stack:
            stack.enter_context(spawning())
            try:
                local = stack.enter_context(
                    LocalCluster(
                        n_workers=n_workers,
                        threads_per_worker=1,
                        processes=True,
                        memory_limit=0,
                        host="127.0.0.1",
                        protocol="tls",
                        security=Security.temporary(),
                        dashboard_address=dashboard,
                        silence_logs=logging.CRITICAL,
                    )
                )
            except RuntimeError as error:
                raise ConfigError(
                    f"{n_workers} worker processes could not be started ({error}): the machine "
                    "may lack memory, processes or open files. Give fewer --workers, or 0 for "
                    "none; what is finished is kept"
                ) from error
            yield stack.enter_context(Client(local, set_as_default=False))


def run_tasks(
    client: Client, tasks: Sequence[ChunkTask], settings: WorkerSettings, on_progress: OnProgress
) -> Iterator[TaskReport]:
    """Run every task, a few a worker at a time; yields the report of each as it is done.

    Whoever closes the generator takes back what has not begun. A task whose worker dies is given
    to another; one that loses two workers is taken apart: its records are tried one at a time,
    those that crash a worker twice are quarantined, and the task runs again without them.

    Raises:
        ConfigError: no worker can do the work, none is left, the scheduler is gone, or a worker
            found other weights than ours.
        ContractError: a worker found the cache taken over.
    """
    pool = WorkerPool(client, settings)
    pool.refresh()
    plugin = EncoderPlugin(settings)
    client.register_plugin(plugin)
    client.subscribe_topic(plugin.name, lambda event: on_progress(event[1]))
    waiting = deque(tasks)
    crashes: Counter[tuple[str, int]] = Counter()
    in_flight: dict[Future[Any], ChunkTask] = {}
    done: queue.SimpleQueue[Future[Any]] = queue.SimpleQueue()

    def submit_some() -> None:
        while waiting and len(in_flight) < IN_FLIGHT_PER_WORKER * max(pool.n_able, 1):
            task = waiting.popleft()
            future = pool.submit(_encode, task)
            in_flight[future] = task
            future.add_done_callback(done.put)

    try:
        submit_some()
        while in_flight:
            future = _next(pool.watch, done)
            task = in_flight.pop(future)
            error = error_of(future)
            if error is None:
                yield future.result()
            elif isinstance(error, KilledWorker):
                pool.refresh()
                name = (task.modality, task.chunk)
                crashes[name] += 1
                if crashes[name] >= CRASHES_BEFORE_ISOLATION:
                    task = _isolate(pool, task)
                waiting.appendleft(task)
            else:
                raise error
            del future
            submit_some()
    finally:
        leave(client, in_flight, plugin.name)
        with suppress(Exception):
            client.unregister_worker_plugin(plugin.name)


class WorkerPool:
    """The workers of a cluster that can do the work; they come, go and die."""

    def __init__(self, client: Client, settings: WorkerSettings) -> None:
        self._client = client
        self._settings = settings
        self.watch = WorkerWatch(client)
        self._answers: dict[str, str | None] = {}
        self.n_able = 0

    def refresh(self) -> None:
        """See who is there and can do the work.

        Raises:
            ConfigError: there is no worker, or none that can do the work; says why of one.
        """
        self.watch.wait_for_one()
        addresses = self.watch.addresses
        new = [address for address in addresses if address not in self._answers]
        answers = self._client.run(
            _can_work,
            self._settings.raw,
            self._settings.location,
            self._settings.device == "cuda",
            workers=new,
            on_error="return",
        )
        for address, answer in answers.items():
            self._answers[address] = answer
            if answer is not None:
                logger.warning("worker %s is left out: %s", address, answer)
        able = [address for address in addresses if self._answers.get(address) is None]
        if not able:
            address = addresses[0]
            raise ConfigError(f"no worker can do this: {address}: {self._answers[address]}")
        self.n_able = len(able)

    def submit(self, work: Callable[[ChunkTask, str], Any], task: ChunkTask) -> Future[Any]:
        """Give a task to a worker that can do it."""
        refused = {address for address, answer in self._answers.items() if answer is not None}
        # Addresses only where some cannot: a task that waits for a worker that died waits for ever.
        only = [a for a in self.watch.addresses if a not in refused] if refused else None
        return self._client.submit(
            work, task, self._settings.session, pure=False, workers=only, allow_other_workers=False
        )


def _next(watch: WorkerWatch, done: queue.SimpleQueue[Future[Any]]) -> Future[Any]:
    """The next finished future; raises if there has been no worker for a while."""
    while True:
        try:
            return done.get(timeout=1.0)
        except queue.Empty:
            watch.check()


def _isolate(pool: WorkerPool, task: ChunkTask) -> ChunkTask:
    """Find the records that crash a worker, one at a time, and set them aside."""
    crashing = dict(task.quarantined)
    members = {record.id: record for record in task.members}
    for record_id in sorted(task.todo - crashing.keys()):
        if task.modality not in members[record_id].streams:
            continue
        alone = replace(task, todo=frozenset({record_id}))
        for _ in range(CRASHES_BEFORE_QUARANTINE):
            if not isinstance(error_of(pool.submit(_probe, alone)), KilledWorker):
                break
            pool.refresh()
        else:
            crashing[record_id] = Failure(
                stage="crash",
                type="KilledWorker",
                message="decoding this file ends the worker process that does it",
                path=members[record_id].streams[task.modality][0].path,
            )
            logger.warning("record %s crashes its worker and is quarantined", record_id)
    return replace(task, quarantined=crashing)
