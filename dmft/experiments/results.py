"""The results file: one JSON line for every finished row, with all that is needed to rerun it.

A line is gathered from what a finished run's folder holds; nothing here trains.
Lines are only ever appended, each by one write. A torn last line (a power cut) is dropped when
reading and cut off before the next is appended; any other line that is wrong is an error.
"""

from __future__ import annotations

import dataclasses
import datetime
import hashlib
import json
import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dmft.data.coverage import Coverage
from dmft.evaluation.metrics import ModalityScores, read_metrics, values_of
from dmft.evaluation.predictions import Predictions, read_predictions
from dmft.evaluation.significance import calibration_error
from dmft.experiments.plan import PlannedRow
from dmft.own import Own
from dmft.runs.files import from_sealed_json, to_sealed_json
from dmft.runs.folder import METRICS_FILE, PREDICTIONS_FILE, read_info
from pipeline.common.settings import parse_table, to_table
from pipeline.contract import ConfigError, ContractError

if TYPE_CHECKING:
    from dmft.data import Cache

log = logging.getLogger(__name__)

RESULTS_FILE = "results.jsonl"
RUNS_FOLDER = "runs"
RESULT_FORMAT = "dmft-result"
RESULT_VERSION = 2
ROW_FIELDS = (
    *("key", "recipe", "fusion", "fusion_tokens", "fold", "n_folds", "modalities"),
    *("seed", "teachers", "network"),
)
"""What a result has from the row that was planned."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SubjectAccuracy:
    """Accuracy on the test records of one person."""

    n_records: int
    """How many there are."""
    accuracy: float
    """By the overall vote."""


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
    """teacher, student or distilled, or what a network of the user's own is called."""
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
    """Macro F1 of the overall vote."""
    calibration_error: float
    """Expected calibration error of the vote, over 15 equally filled steps of confidence."""
    nearest_neighbour_accuracy: float
    """What one nearest neighbour on the same features reaches."""
    by_modality: Mapping[str, ModalityScores]
    """Scores of each modality and its branches."""
    subjects: Mapping[str, SubjectAccuracy]
    """By person on the test side; empty where the cache has no column ``subject``."""
    n_parameters: int
    """Weights that are learnt."""
    saved_bytes: int
    """Size of the weights' file."""
    fabricated: bool = False
    """Whether the recordings are of nobody."""
    coverage: Coverage | None = None
    """How much of the published data set the cache holds; None where that is not known."""
    network: Own | None = None
    """The user's own; None for ours."""
    shared: Mapping[str, int] = field(default_factory=dict)
    """Modality to the test records of which some raw file is a training record's too."""
    seconds_per_epoch: float
    """Median; of rows computed as one, each one's share."""
    together: int = 1
    """Rows that were computed as one, this one included."""
    run: str
    """The run's folder, relative to the results file."""
    predictions: str
    """The file of votes behind the figures, relative to the results file."""
    versions: Mapping[str, str]
    """Versions of the software, by package."""
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
    head = {"format": RESULT_FORMAT, "version": RESULT_VERSION}
    line = (to_sealed_json(head | to_table(result)) + "\n").encode()
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


def load_results(folder: Path) -> tuple[Result, ...]:
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


def read_results(folder: Path) -> pd.DataFrame:
    """Read the results as a frame: a row a training, a column a field of :class:`Result`.

    ``modalities`` stands there as ``skeleton+inertial``, and the protocol's own figure as
    ``score``: ``read_results(folder).groupby(["model", "modalities"])["score"].mean()``.

    Raises:
        ContractError: there is no results file, or a line is not a result.
    """
    return results_frame(load_results(folder))


def results_frame(results: Sequence[Result]) -> pd.DataFrame:
    """Results as :func:`read_results` gives them."""
    names = [field.name for field in dataclasses.fields(Result)] + ["score", "config_hash"]
    frame = pd.DataFrame([[getattr(r, name) for name in names] for r in results], columns=names)
    frame["modalities"] = frame["modalities"].map("+".join)
    return frame


def _parse_line(line: str, where: str) -> Result:
    def check(table: Mapping[str, Any]) -> None:
        if table.get("format") != RESULT_FORMAT:
            raise ContractError(f"{where} is {line[:40]!r}: wanted a result ('{RESULT_FORMAT}')")
        if table.get("version") != RESULT_VERSION:
            raise ContractError(
                f"{where} has version {table.get('version')!r}: this software reads "
                f"{RESULT_VERSION}. Run the experiment again into a new folder."
            )

    wanted = "a result; remove the line and its row is done again"
    table = from_sealed_json(line, where=where, wanted=wanted, check=check)
    for key in ("format", "version"):
        del table[key]
    try:
        return parse_table(Result, table, where=where)
    except ConfigError as error:
        raise ContractError(str(error)) from error


def gather(
    row: PlannedRow, cache: Cache, *, cache_path: Path, out: Path, experiment: str, together: int
) -> Result:
    """Make the line of a finished run from what its folder holds.

    Raises:
        ContractError: the run is not the row that was planned.
    """
    from dmft.runs.trained import present_of

    relative = f"{RUNS_FOLDER}/{row.folder}"
    folder = out / relative
    info = read_info(folder)
    if info.spec.identity != row.key:
        raise ContractError(
            f"{cache_path} has changed since the rows were planned: {folder} holds run "
            f"{info.spec.identity[:12]!r}, wanted {row.key[:12]!r}. Run the same command again."
        )
    metrics = read_metrics(folder / METRICS_FILE, info.spec.classes)
    predictions = read_predictions(folder / PREDICTIONS_FILE, len(info.spec.classes))
    has_any = present_of(cache, row.modalities).any(dim=1).numpy()
    ids = np.array(cache.record_ids)
    measured = np.isin(predictions.records, ids[has_any])
    return Result(
        **{name: getattr(row, name) for name in ROW_FIELDS},
        model=row.model_name,
        experiment=experiment,
        dataset=cache.spec.dataset,
        protocol=row.protocol.name,
        metric=row.protocol.metric,
        config=to_table(info.spec.config),
        protocol_table=to_table(info.source.protocol),
        device=info.spec.device,
        cache=str(cache_path),
        cache_fingerprint=info.spec.cache_fingerprint,
        split_hash=info.spec.split_hash,
        n_train=info.spec.n_train,
        n_records=metrics.n_records,
        accuracy=metrics.accuracy,
        macro_f1=metrics.macro_f1,
        calibration_error=calibration_error(
            predictions.probabilities[measured], predictions.labels[measured]
        ),
        nearest_neighbour_accuracy=metrics.nearest_neighbour_accuracy,
        by_modality={
            name: ModalityScores(**values_of(ModalityScores, own))
            for name, own in metrics.modalities.items()
        },
        subjects=_by_subject(predictions, measured, cache),
        n_parameters=info.finished.n_parameters,
        saved_bytes=info.finished.saved_bytes,
        fabricated=info.source.fabricated,
        coverage=info.source.coverage,
        shared=info.source.shared,
        seconds_per_epoch=info.finished.seconds_per_epoch,
        together=together,
        run=relative,
        predictions=f"{relative}/{PREDICTIONS_FILE}",
        versions=dict(info.source.versions),
        finished_at=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    )


def _by_subject(
    predictions: Predictions, measured: NDArray[np.bool_], cache: Cache
) -> dict[str, SubjectAccuracy]:
    if "subject" not in cache.columns:
        return {}
    subject_of = pd.Series(cache.columns["subject"], index=list(cache.record_ids))
    frame = predictions.to_frame()[measured]
    by_subject = frame["correct"].groupby(subject_of[frame["record"]].to_numpy())
    return {
        str(subject): SubjectAccuracy(n_records=len(correct), accuracy=float(correct.mean()))
        for subject, correct in by_subject
    }
