"""The options on how a cache is opened: how much memory it may take, and whether to trust it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from dmft.data import Cache

memory_option = click.option(
    "--memory",
    metavar="SIZE",
    help="Memory for the cache's patches, as 8GB; if they need more they stay on the disk. "
    "[default: half of what is free]",
)

trust_option = click.option(
    "--trust",
    is_flag=True,
    help="Use a cache whose SHA256SUMS is missing or is not of what it holds. Without it, a cache "
    "that is not what was written is refused.",
)


def open_within(
    cache: Path,
    modalities: Sequence[str] | None,
    memory: str | None,
    device: str,
    *,
    trust: bool = False,
) -> Cache:
    """Open a cache within an amount of memory, and say whether it is held or stays on the disk."""
    from dmft.data import memory_budget, open_cache

    budget = memory_budget(memory, device)
    opened = open_cache(cache, modalities, memory=budget, trust=trust)
    say_residency(opened)
    return opened


def say_residency(cache: Cache) -> None:
    """Print one line on standard error."""
    from pipeline.common.progress_bar import ProgressBar

    ProgressBar().say(f"{cache.path}: {cache.residency}")
