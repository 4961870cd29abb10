"""A Dask worker preload: raw files that hold a mark end or kill the process that reads them."""

from __future__ import annotations

import os
import signal
from dataclasses import replace
from typing import Any

import pipeline.encode.records

EXITS = b"POISON-EXIT"
CRASHES = b"POISON-SEGV"

_readable = pipeline.encode.records.readable


def _poisoned(*what: Any) -> Any:
    sound = _readable(*what)

    def read(opened: Any) -> Any:
        for content, _ in opened:
            if content.endswith(EXITS):
                os._exit(1)
            if content.endswith(CRASHES):
                os.kill(os.getpid(), signal.SIGSEGV)
        return sound.read(opened)

    return replace(sound, read=read)


def dask_setup(worker: Any) -> None:
    """Called by Dask in every worker."""
    pipeline.encode.records.readable = _poisoned
