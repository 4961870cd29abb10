"""Files that outlive a kill, a power cut and a second process.

A file is written beside its place and renamed over it once its bytes are on the disk, so that
whoever looks sees the old file or the new one; a folder is held by one process at a time.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

Where = TypeVar("Where", str, Path)
PARTIAL = ".partial"
"""How the name of a half-written file ends."""


@contextmanager
def replacing(path: Where) -> Iterator[Where]:
    """A new file to write, which takes the place of ``path`` when the block ends well.

    A cache writes so many small ones that texts are taken too: a path costs more than a write.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "note.txt"
        >>> with replacing(path) as partial:
        ...     _ = partial.write_text("whole")
        >>> path.read_text()
        'whole'

    Raises:
        OSError: it cannot be written; ``path`` is as it was.
    """
    folder, slash, name = str(path).rpartition("/")
    partial = f"{folder}{slash}.{name}.{os.getpid()}{PARTIAL}"
    try:
        yield type(path)(partial)
        flush(partial)
        os.replace(partial, path)  # noqa: PTH105
        flush(folder or slash or ".")
    except BaseException:
        Path(partial).unlink(missing_ok=True)
        raise


def sweep_partial(folder: Path) -> None:
    """Remove the half-written files that killed processes of this machine left in a folder."""
    for partial in folder.glob(f".*.*{PARTIAL}"):
        pid = partial.name.split(".")[-2]
        if pid.isdecimal() and not Path("/proc", pid).exists():
            partial.unlink(missing_ok=True)


def kept_here(variable: str, name: str) -> Path:
    """The folder in which this user keeps copies of what lies elsewhere.

    Args:
        variable: Of the environment; what it names goes first.
        name: Of the folder in the user's own, where the variable says nothing.
    """
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get(variable) or Path(base) / "dmft" / name).absolute()


def make_folder(path: Path) -> None:
    """Make a folder, and those above it that are missing, and have their names on the disk."""
    missing = []
    while not path.is_dir():
        missing.append(path)
        path = path.parent
    for folder in reversed(missing):
        folder.mkdir(exist_ok=True)
        flush(folder.parent)


def flush(path: str | Path) -> None:
    """Have a file's bytes, or a folder's names, on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def held(path: Path, refusal: Exception) -> Iterator[None]:
    """Hold a lock file alone; the lock goes with the process, however it ends.

    Raises:
        Exception: ``refusal``, where another process holds it.
    """
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise refusal from error
        yield
