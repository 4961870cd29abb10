"""What a bug report needs to know of a machine: versions, devices, FFmpeg, disk, weights.

It asks about both programs and imports neither's parts: every package is looked for when asked,
and one that is missing or broken is an answer, not an error.
"""

from __future__ import annotations

import importlib
import os
import platform
import shutil
import tempfile
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from pipeline.common.cores import n_cores
from pipeline.common.packages import packages_by_extra

EXTRAS = ("encode", "report", "export")
"""Extras that a command needs; what each of them brings is the distribution's to say."""
MODULES = {"dmft": "cli", "google-crc32c": "google_crc32c"}
"""Distribution to the module that shows whether it can be imported, where the names differ."""
WEIGHTS_FILE = "resnet50-11ad3fa6.pth"
"""torchvision's ResNet-50, IMAGENET1K_V2, as its hub stores it."""
LEAST_DISK_BYTES = 2 << 30


def examine(folder: Path) -> dict[str, Any]:
    """Look at this machine; ``problems`` are what keeps a program from working at all."""
    packages = {
        extra: {n: _version(n) for n in names} for extra, names in wanted_packages().items()
    }
    disk = {str(each): _disk(each) for each in dict.fromkeys((folder, Path(tempfile.gettempdir())))}
    found: dict[str, Any] = {
        "system": _system(),
        "packages": packages,
        "devices": _devices(),
        "ffmpeg": _ffmpeg(),
        "disk": disk,
        "weights": _weights(),
    }
    return found | {"problems": _problems(found)}


def wanted_packages() -> Mapping[str, tuple[str, ...]]:
    """``trainer`` and each extra to its packages; the trainer's are always needed."""
    known = packages_by_extra()
    return {"trainer": ("dmft", *known.get("", ()))} | {
        extra: known.get(extra, ()) for extra in EXTRAS
    }


def _system() -> dict[str, Any]:
    return {
        "platform": platform.platform(),
        "machine": platform.machine(),
        "python": platform.python_version(),
        "n_cores": n_cores(),
        "memory_bytes": _memory(),
    }


def _memory() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None


def _version(name: str) -> str | None:
    """Version of an installed package that can be imported; None where it is not installed."""
    try:
        version = metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
    try:
        importlib.import_module(MODULES.get(name, name))
    except Exception as error:
        return f"{version}, broken: {type(error).__name__}: {error}"
    return version


def _devices() -> dict[str, Any]:
    try:
        import torch
    except Exception as error:
        return {"cpu_threads": None, "gpus": [], "note": f"torch cannot be imported: {error}"}
    n_gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    return {
        "cpu_threads": torch.get_num_threads(),
        "cuda_built": torch.version.cuda,
        "gpus": [
            {
                "name": torch.cuda.get_device_name(index),
                "memory_bytes": torch.cuda.get_device_properties(index).total_memory,
            }
            for index in range(n_gpus)
        ],
    }


def _ffmpeg() -> dict[str, Any] | None:
    """FFmpeg as PyAV carries it; None without PyAV."""
    try:
        import av
        import av.codec
    except Exception:  # a broken installation may raise anything; _version says that it is broken
        return None
    libraries = {name: ".".join(map(str, v)) for name, v in av.library_versions.items()}
    wanted = ("h264", "hevc", "mpeg4", "mjpeg", "rawvideo")
    return {
        "version": str(getattr(av, "ffmpeg_version_info", "unknown")),
        "libraries": libraries,
        "decoders": {name: name in av.codec.codecs_available for name in wanted},
    }


def _disk(folder: Path) -> dict[str, int] | None:
    try:
        usage = shutil.disk_usage(folder)
    except OSError:
        return None
    return {"free_bytes": usage.free, "total_bytes": usage.total}


def _weights() -> dict[str, Any]:
    """Whether the ImageNet weights lie where torchvision looks before it downloads them."""
    try:
        import torch

        path = Path(torch.hub.get_dir()) / "checkpoints" / WEIGHTS_FILE
    except Exception:  # as above: what is wrong with torch stands among the packages
        return {"path": None, "n_bytes": None}
    return {"path": str(path), "n_bytes": path.stat().st_size if path.is_file() else None}


def _problems(found: Mapping[str, Any]) -> list[str]:
    problems = []
    for extra, packages in found["packages"].items():
        for name, version in packages.items():
            if version is None and extra == "trainer":
                problems.append(f"{name} is not installed; install it with: pip install dmft")
            elif version is not None and "broken" in version:
                problems.append(f"{name} {version}; install it anew")
    for folder, disk in found["disk"].items():
        if disk is not None and disk["free_bytes"] < LEAST_DISK_BYTES:
            free = disk["free_bytes"] / 1e9
            problems.append(f"{folder} has {free:.1f} GB free; wanted 2 GB for a cache and a run")
    missing = [
        n
        for n, is_present in ((found["ffmpeg"] or {}).get("decoders") or {}).items()
        if not is_present
    ]
    if missing:
        problems.append(f"FFmpeg in PyAV cannot decode {', '.join(missing)}; install av anew")
    return problems
