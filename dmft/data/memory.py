"""How many bytes of memory the patches of a cache may take: what was asked for, or what is free."""

from __future__ import annotations

import os
import re
from pathlib import Path

from pipeline.contract import ConfigError

FREE_SHARE = 0.5
"""Part of the free memory that patches take where no amount is asked for."""
UNITS = {"": 1, "B": 1} | {
    f"{letter}{suffix}": base**power
    for power, letter in enumerate("KMGT", start=1)
    for suffix, base in (("", 1000), ("B", 1000), ("IB", 1024))
}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([A-Za-z]*)")
_MEMINFO = Path("/proc/meminfo")
_CGROUP = Path("/sys/fs/cgroup")


def parse_size(text: str) -> int:
    """Return the bytes of a size as people write it: ``8GB``, ``512 MiB``, ``0.5g``, ``1000000``.

    >>> parse_size("1.5 MiB")
    1572864

    Raises:
        ConfigError: it is not a size, or not a positive one.
    """
    matched = _SIZE.fullmatch(text.strip())
    if matched is None or matched[2].upper() not in UNITS or float(matched[1]) <= 0:
        raise ConfigError(
            f"size {text!r} is not an amount of memory: wanted a positive number and a unit, "
            "as 8GB, 512MiB or 0.5TB"
        )
    return int(float(matched[1]) * UNITS[matched[2].upper()])


def size_text(n_bytes: int) -> str:
    """Return a size as people read it, in powers of 1000."""
    size, unit = float(n_bytes), "B"
    for larger in ("kB", "MB", "GB", "TB"):
        if size < 1000:
            break
        size, unit = size / 1000, larger
    return f"{size:.3g} {unit}" if size < 1000 else f"{size:.0f} {unit}"


def memory_budget(asked: str | None, device: str = "cpu") -> int:
    """Return the bytes that patches may take.

    Without an amount asked for it is half the memory that is free now, and for a GPU, where
    resident patches lie on the device, no more than half of what is free there.

    Raises:
        ConfigError: what is asked for is not a size.
    """
    if asked is not None:
        return parse_size(asked)
    free = free_bytes()
    if device == "cuda":
        import torch

        free = min(free, torch.cuda.mem_get_info()[0])
    return int(free * FREE_SHARE)


def free_bytes(meminfo: Path = _MEMINFO, cgroup: Path = _CGROUP) -> int:
    """Memory that can still be taken: the machine's, or the container's where that is less."""
    try:
        available = re.search(r"MemAvailable:\s+(\d+) kB", meminfo.read_text())
    except OSError:
        available = None
    if available is not None:
        free = int(available[1]) * 1024
    else:  # not Linux: all of it, since nothing says how much is in use
        free = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    try:
        limit = (cgroup / "memory.max").read_text().strip()
        used = int((cgroup / "memory.current").read_text())
    except (OSError, ValueError):
        return free
    return free if limit == "max" else min(free, max(int(limit) - used, 0))
