"""The results file: one JSON line for every finished row, with all that is needed to rerun it.

Lines are only ever appended, each by one write. A torn last line (a power cut) is dropped when
reading and cut off before the next is appended; any other line that is wrong is an error.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.common.settings import parse_table, to_table
from pipeline.contract import ContractError

log = logging.getLogger(__name__)

RESULTS_FILE = "results.jsonl"
RUNS_FOLDER = "runs"
RESULT_FORMAT = "dmft-result"
RESULT_VERSION = 1
FREE_FORM = ("config", "protocol_table")
"""Fields that are kept as they were written, for readers of another version."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """Figures of one stream, or of one modality's vote."""

    accuracy: float
    """Top-1."""
    macro_f1: float
    """Mean over classes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredModality:
    """Figures of one modality."""

    accuracy: float
    """Of its vote, Eq. (11)."""
    macro_f1: float
    """Of its vote."""
    n_records: int
    """Test records that have it."""
    spatial: Measured
    """Of its spatial stream."""
    temporal: Measured
    """Of its temporal stream."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredSubject:
    """Figures of one person."""

    n_records: int
    """Test records of the person."""
    accuracy: float
    """Of the overall vote."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One line of ``results.jsonl``."""

    key: str
    """SHA-256 of what decides the weights; the run's identity."""
    experiment: str
    """Name of the experiment that first asked for the row."""
    recipe: str
    """The configuration's name and the changes to it."""
    model: str
    """teacher, student or distilled."""
    fusion: str
    """none, late or mid."""
    fusion_tokens: int
    """F, or 0."""
    dataset: str
    """What the cache says it holds."""
    protocol: str
    """Name."""
    metric: str
    """The protocol's figure: accuracy or macro_f1."""
    fold: str
    """Name."""
    n_folds: int
    """Folds that the protocol has on this cache."""
    modalities: tuple[str, ...]
    """In the order of the model."""
    seed: int
    """Source of everything random."""
    teachers: tuple[str, ...]
    """Keys of a distilled student's teachers."""
    config: Mapping[str, Any]
    """The configuration in full."""
    protocol_table: Mapping[str, Any]
    """The protocol in full."""
    device: str
    """cpu or cuda."""
    cache: str
    """Where the cache was."""
    cache_fingerprint: str
    """What was in it."""
    split_hash: str
    """SHA-256 of the record ids on both sides."""
    n_train: int
    """Training records."""
    n_records: int
    """Test records that were measured."""
    accuracy: float
    """Top-1 of the overall vote."""
    macro_f1: float
    """Of the overall vote."""
    calibration_error: float
    """Of the voted probabilities, over 15 equally filled steps of confidence."""
    nearest_neighbour_accuracy: float
    """Of one nearest neighbour on the same features."""
    by_modality: Mapping[str, MeasuredModality]
    """Of each modality and its streams."""
    subjects: Mapping[str, MeasuredSubject]
    """Of each person on the test side; empty where the cache has no column ``subject``."""
    n_parameters: int
    """Weights that are learnt."""
    saved_bytes: int
    """Size of the weights' file."""
    seconds_per_epoch: float
    """Median; of rows computed as one, each one's share."""
    together: int = 1
    """Rows that were computed as one, this one included."""
    run: str
    """The run's folder, relative to the results file."""
    predictions: str
    """The file of votes behind the figures, relative to the results file."""
    versions: Mapping[str, str]
    """Of the software."""
    finished_at: str
    """UTC."""

    @property
    def score(self) -> float:
        """The figure that the protocol quotes."""
        return self.macro_f1 if self.metric == "macro_f1" else self.accuracy

    @property
    def config_hash(self) -> str:
        """SHA-256 of the configuration without what grids vary by themselves: the fusion."""
        teacher = dict(self.config.get("teacher", {}))
        for name in ("fusion_layers", "fusion_tokens"):
            teacher.pop(name, None)
        text = json.dumps({**self.config, "teacher": teacher}, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()


def append_result(folder: Path, result: Result) -> None:
    """Append one line and wait until it is on the disk."""
    table = {name: dict(getattr(result, name)) for name in FREE_FORM}
    head = {"format": RESULT_FORMAT, "version": RESULT_VERSION}
    line = (json.dumps(head | to_table(result) | table) + "\n").encode()
    descriptor = os.open(folder / RESULTS_FILE, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        _cut_torn_line(descriptor)
        if os.write(descriptor, line) != len(line):
            raise OSError(f"{folder / RESULTS_FILE}: the disk took only a part of a line")
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _cut_torn_line(descriptor: int) -> None:
    size = os.fstat(descriptor).st_size
    if size and os.pread(descriptor, 1, size - 1) != b"\n":
        content = os.pread(descriptor, size, 0)
        os.ftruncate(descriptor, content.rfind(b"\n") + 1)


def read_results(folder: Path) -> tuple[Result, ...]:
    """Read and check every line; a row that stands there twice counts once.

    Raises:
        ContractError: there is no results file, or a line is not a result.
    """
    path = folder / RESULTS_FILE
    if not path.is_file():
        raise ContractError(
            f"{path} does not exist: wanted a folder that 'dmft experiment' wrote. "
            "Run: dmft experiment FILE --cache CACHE --out DIR"
        )
    *lines, torn = path.read_text(errors="replace").split("\n")
    if torn:
        log.warning("%s: the last line is torn and left out; its row will be done again", path)
    results: dict[str, Result] = {}
    for number, line in enumerate(lines, start=1):
        result = _parse_line(line, f"{path}, line {number}")
        results.setdefault(result.key, result)
    return tuple(results.values())


def _parse_line(line: str, where: str) -> Result:
    try:
        table = json.loads(line)
    except ValueError as error:
        raise ContractError(
            f"{where} is not JSON ({error}): remove the line and its row is done again"
        ) from error
    if not isinstance(table, dict) or table.pop("format", None) != RESULT_FORMAT:
        raise ContractError(f"{where} is {line[:40]!r}: wanted a result ('{RESULT_FORMAT}')")
    version = table.pop("version", None)
    if version != RESULT_VERSION:
        raise ContractError(
            f"{where} has version {version!r}: this software reads {RESULT_VERSION}. "
            "Run the experiment again into a new folder."
        )
    free: dict[str, Any] = {}
    for name in FREE_FORM:
        free[name] = table.get(name)
        if not isinstance(free[name], dict):
            raise ContractError(f"{where}: {name} is {free[name]!r}: wanted a table")
        table[name] = {}
    return dataclasses.replace(parse_table(Result, table, where=where), **free)
