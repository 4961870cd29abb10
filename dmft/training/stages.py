"""Where a training's time goes: its stages by name, what helps each, and the file that says it.

Times are of the wall, in the process that trained. A GPU works off what it is given while the loop
goes on: what the loop then waits for it, at an epoch's end, is a stage of its own, and the others
are what it takes to give the work out.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

import torch

from dmft.data.sources import READING
from dmft.runs.files import read_json, write_json
from dmft.runs.folder import STAGES_FILE, fold_folders
from pipeline.common.stages import Meter, StageReport

AUGMENTING, FORWARD, BACKWARD, UPDATING = "augmenting", "forward", "backward", "updating"
GPU, EVALUATING, DOUBT, KEEPING = "the GPU", "evaluating", "doubt", "keeping"
ORDER = (READING, AUGMENTING, FORWARD, BACKWARD, UPDATING, GPU, EVALUATING, DOUBT, KEEPING)
"""As a step passes them, then what comes once an epoch or a training."""

ADVICE: Mapping[str, str] = MappingProxyType(
    {
        READING: "more --memory or a cache on a faster disk would help",
        AUGMENTING: "a GPU or less under [augment] would help",
        FORWARD: "a GPU or a smaller model would help",
        BACKWARD: "a GPU or a smaller model would help",
        UPDATING: "a larger training.batch_size would help: it is done once a step",
        GPU: "that is as it should be: a faster GPU or a smaller model would help",
        EVALUATING: "it is done once, behind the epochs, and after each for --validate",
        DOUBT: "it is learnt once, behind the epochs",
        KEEPING: "a run folder on a faster disk would help",
    }
)


def wait_for_gpu(device: torch.device, meter: Meter) -> None:
    """Wait until it has done what it was given, as a stage; nothing on a CPU."""
    if device.type == "cuda":
        with meter.busy(GPU):
            torch.cuda.synchronize(device)


@dataclass(slots=True)
class TrainingStages:
    """Measures one training; of what is done for many at once, it has its share."""

    meter: Meter = field(default_factory=lambda: Meter(order=ORDER))
    seconds: float = 0.0
    """Of the wall, all told."""

    @contextmanager
    def behind(self, name: str, n_items: int = 1) -> Iterator[None]:
        """A block is one stage, outside the epochs, whose seconds are counted by themselves."""
        began = time.perf_counter()
        with self.meter.busy(name, n_items):
            yield
        self.seconds += time.perf_counter() - began

    def write(self, folder: Path) -> None:
        """Say it in a run's folder."""
        write_json(folder / STAGES_FILE, self.meter.report(self.seconds).to_json(ADVICE))


def read_stages(run: Path) -> StageReport:
    """What a run's folds say of their stages, together; nothing of those that say nothing.

    Raises:
        ContractError: a file is damaged.
    """
    total = StageReport()
    for folder in fold_folders(run):
        path = folder / STAGES_FILE
        if path.exists():
            total += StageReport.of_json(read_json(path, "the stages that 'dmft train' wrote"))
    return total
