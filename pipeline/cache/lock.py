"""One encode of a cache at a time: how it is held, and how another learns that its holder is gone.

Two locks, for neither is enough alone. The system's lock goes with its process, however that ends,
but file systems on a network may grant it to everyone, and object stores have none. So whoever
holds a cache also has a *claim* there: an object that only one can create. Whoever finds claim n
and that its holder is gone must create claim n + 1, which again only one can; the owner is the
newest claim, and a worker looks for it before and after each write.

A claim outlives a process that is killed. Its holder is gone where it was a process of this
machine that is no more, or of another machine and the object in which an encode says every few
seconds how far it is has not changed for a while.
"""

from __future__ import annotations

import json
import logging
import os
import platform
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pipeline.cache.checksums import CLAIMS, LOCK, PROGRESS
from pipeline.cache.objects import Objects, Put
from pipeline.common.files import held, make_folder
from pipeline.common.stores import Version
from pipeline.contract import LEDGER_PREFIX, ConfigError, ContractError

log = logging.getLogger(__name__)

BEAT_S = 2.0
"""How often the holder says that it is there."""
WATCH_S = 15.0
"""How long a holder on another machine must be silent to be gone."""


@dataclass(frozen=True, slots=True)
class Holder:
    """The process that has a claim."""

    session: str
    machine: str
    """Name, start and process namespace: where process numbers mean the same."""
    pid: int
    started: float
    """When the process began, in seconds since 1970: numbers of processes come again."""

    @classmethod
    def this(cls) -> Holder:
        """This process, in a session of its own."""
        import psutil

        pid = os.getpid()
        return cls(uuid.uuid4().hex, _machine(), pid, psutil.Process(pid).create_time())

    @classmethod
    def read(cls, objects: Objects, number: int) -> Holder | None:
        """Who has a claim; None where that cannot be told."""
        try:
            return cls(**json.loads(objects.read(_key(number)) or b""))
        except (ValueError, TypeError):
            return None

    @property
    def is_running(self) -> bool | None:
        """Whether the process is still there; None where only its own machine knows."""
        import psutil

        if self.machine != _machine():
            return None
        try:
            process = psutil.Process(self.pid)
            is_same: bool = abs(process.create_time() - self.started) < 1.0
            return is_same and process.status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False


class Claim:
    """A cache that this process holds."""

    def __init__(self, objects: Objects, holder: Holder, *, number: int, was_left: bool) -> None:
        self.session = holder.session
        self.was_left = was_left
        """Whether the one before it was killed."""
        self.figures: Callable[[], dict[str, Any]] = dict
        """What else to say every few seconds."""
        self._objects, self._number = objects, number
        self._end = threading.Event()
        self._beat = threading.Thread(target=self._say, name="claim", daemon=True)

    def _say(self) -> None:
        while True:
            note = {"session": self.session, "written_at": time.time(), **self.figures()}
            with suppress(OSError):  # of a full disk or a folder that went: the encode will say so
                self._objects.write(PROGRESS, json.dumps(note).encode())
            if self._end.wait(BEAT_S):
                return

    def keep(self) -> None:
        """Begin to say that the holder is there."""
        for number in _claims(self._objects):
            if number < self._number:
                self._objects.delete(_key(number))
        self._beat.start()

    def give_back(self) -> None:
        """Let another have the cache."""
        self._end.set()
        self._beat.join()
        with suppress(OSError):
            if owner(self._objects) == self.session:
                self._objects.delete(PROGRESS)
            self._objects.delete(_key(self._number))


@contextmanager
def locked(location: str) -> Iterator[Claim]:
    """Hold the cache for one encode; the lock goes with the process, however it ends.

    Raises:
        ConfigError: another encode holds it.
    """
    objects = Objects(location)
    system_lock: Any = nullcontext()
    if objects.is_local:
        path = objects.path / LOCK
        make_folder(path.parent)
        system_lock = held(path, _refusal(location, None))
    with system_lock:
        claim = _take(objects)
        claim.keep()
        try:
            yield claim
        finally:
            claim.give_back()


def owner(objects: Objects) -> str:
    """The session that may write the cache; empty where nobody holds it."""
    holder = Holder.read(objects, max(_claims(objects), default=0))
    return holder.session if holder else ""


def check_owner(objects: Objects, session: str) -> None:
    """See that a session still holds its cache.

    Raises:
        ContractError: another has taken it over.
    """
    if owner(objects) != session:
        raise ContractError(f"{objects.location} was taken over by another encode: this one stops")


def write_owned(
    objects: Objects, key: str, content: bytes, *, version: Version, session: str
) -> Version:
    """Put an object in place as the cache's owner, and return what it is then.

    An object store refuses the put where the object has changed since ``version``, which must have
    been looked at before the claim was. Then one of two encodes has been taken over by the other:
    the owner writes over what the other had begun, and the other stops here.

    Raises:
        ContractError: another has taken the cache over.
    """
    while (written := objects.write_over(key, content, version)) is None:
        version = objects.version(key)
        check_owner(objects, session)
    return written


def owners_put(objects: Objects, session: str) -> Put:
    """How the owner of a cache puts objects in place: where none has changed since it looked.

    Raises:
        ContractError: another has taken the cache over; a put says it too.
    """
    versions = objects.versions()  # before the claim: see write_owned
    check_owner(objects, session)

    def put(key: str, content: bytes) -> None:
        before = versions.get(key, "")
        versions[key] = write_owned(objects, key, content, version=before, session=session)

    return put


def is_held(objects: Objects) -> bool | None:
    """Whether somebody holds a cache; None where nothing here tells: see :data:`WATCH_S`."""
    holder = Holder.read(objects, max(_claims(objects), default=0))
    return holder.is_running if holder else None


def _take(objects: Objects) -> Claim:
    mine, claims = Holder.this(), _claims(objects)
    newest = max(claims, default=0)
    if claims:
        before = Holder.read(objects, newest)
        is_running = before.is_running if before else None
        if is_running or (is_running is None and _is_heard(objects)):
            raise _refusal(objects.location, before)
    if not objects.create(_key(newest + 1), json.dumps(asdict(mine)).encode()):
        raise _refusal(objects.location, Holder.read(objects, newest + 1))
    # Whoever saw no claim, because the holder of number 7 had just given it back, creates number 1
    # beside the 8 of one who had seen it: both see the other's now, and at most one goes on.
    others = [number for number in _claims(objects) if number not in (*claims, newest + 1)]
    if others:
        objects.delete(_key(newest + 1))
        raise _refusal(objects.location, Holder.read(objects, max(others)))
    return Claim(objects, mine, number=newest + 1, was_left=bool(claims))


def _is_heard(objects: Objects) -> bool:
    """Whether a holder elsewhere says anything while this waits."""
    log.warning(
        "%s was being written on another machine: listening for %g s whether it still is",
        *(objects.location, WATCH_S),
    )
    progress, end = objects.read(PROGRESS), time.monotonic() + WATCH_S
    while time.monotonic() < end:
        time.sleep(BEAT_S / 4)
        if objects.read(PROGRESS) != progress:
            return True
    return False


def _refusal(location: str, holder: Holder | None) -> ConfigError:
    who = f" (process {holder.pid} on {holder.machine.split()[0]})" if holder else ""
    return ConfigError(
        f"{location} is being written by another encode{who}: wait for it, or look at it with "
        f"'dmft cache status {location}'"
    )


def _key(number: int) -> str:
    return f"{CLAIMS}{number}"


def _claims(objects: Objects) -> list[int]:
    """The numbers of the claims that are there."""
    keys = [f"{LEDGER_PREFIX}/{name}" for name in objects.names(LEDGER_PREFIX)]
    numbers = [key.removeprefix(CLAIMS) for key in keys if key.startswith(CLAIMS)]
    return [int(number) for number in numbers if number.isdecimal()]


def _machine() -> str:
    namespace = Path("/proc/self/ns/pid")
    inside = namespace.readlink() if namespace.is_symlink() else ""
    return f"{platform.node() or 'unnamed'} {_boot()} {inside}".strip()


def _boot() -> str:
    """What tells machines of one name, and starts of one machine, apart."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""
