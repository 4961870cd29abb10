"""Measure all parts on this machine's GPU, and write the figures into the documentation.

    python -m tests.gpu [--device cpu --small --out FOLDER] [--only WORDS]

Without a GPU nothing is written, and the page goes on saying "not measured". A part that fails is
printed with its reason, the others are measured, and the exit code is 1.
"""

from __future__ import annotations

import argparse
import sys
import time
import traceback
from pathlib import Path
from typing import Any

import torch

from dmft.training.device import resolve_device
from pipeline.contract import ConfigError
from tests.benchmarks.common import scratch
from tests.gpu.page import write
from tests.gpu.parts import PARTS, measured
from tests.gpu.sizes import REAL, SMALL

DOCS = Path(__file__).parents[2] / "docs" / "explanation"


def main(arguments: list[str] | None = None) -> int:
    """Measure, print, write; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--small", action="store_true", help="sizes for a processor")
    parser.add_argument("--out", type=Path, default=DOCS, help="where gpu.json is written")
    parser.add_argument("--only", default="", help="parts with these words in their names")
    asked = parser.parse_args(arguments)
    try:
        device = resolve_device(asked.device)
    except ConfigError as error:
        print(f"Nothing measured: {error}", file=sys.stderr)
        return 2
    is_gpu = device.type == "cuda"
    name = torch.cuda.get_device_name(device) if is_gpu else "a processor: these mean nothing"
    found: dict[str, Any] = {"device": name, "torch": torch.__version__, "parts": {}}
    began, n_failed = time.perf_counter(), 0
    for part, work in PARTS.items():
        if asked.only not in part or (part == "tests marked gpu" and not is_gpu):
            continue
        print(f"{part} ...", flush=True)
        with scratch() as folder:
            try:
                figures = measured(work, device, SMALL if asked.small else REAL, folder)
            except Exception:
                traceback.print_exc()
                n_failed += 1
                continue
        found["parts"][part] = figures
        for what, value in figures.items():
            print(f"  {what}: {value}")
        write(asked.out, found)  # after each: what is measured is kept, whatever comes
    print(f"{len(found['parts'])} parts in {time.perf_counter() - began:.0f} s, {n_failed} failed")
    return 1 if n_failed else 0


if __name__ == "__main__":
    sys.exit(main())
