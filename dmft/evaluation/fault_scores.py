"""What a run scored with a modality at fault, as its folder keeps it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from dmft.evaluation.metrics import Scores
from dmft.models.config import require
from dmft.runs.files import read_json
from dmft.runs.folder import ROBUSTNESS_FILE
from dmft.runs.spec import RunInfo
from pipeline.common.settings import parse_table
from pipeline.contract import ConfigError, ContractError

INTACT, REMOVED = "intact", "removed"
FAULTS = {
    "noisy": "noise as large as each feature's own deviation",
    "cut": "stuck at half time until the record's end",
    "frozen": "stuck at its first value",
    "swapped": "of another record, as when clocks fail",
}
"""What a modality may have besides being removed, in words."""
FAULT_NAMES = (REMOVED, *FAULTS)


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultScores(Scores):
    """Scores of records with one fault, or with none."""

    n_records: int
    """Test records that were measured."""
    confidence: float
    """Mean probability of what the vote chose."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedFaults:
    """What ``robustness.json`` holds."""

    model_sha256: str
    """SHA-256 of the weights that were measured."""
    faults: Mapping[str, FaultScores]
    """By ``intact``, ``removed skeleton`` and so on."""

    def __post_init__(self) -> None:
        require(INTACT in self.faults, "faults", sorted(self.faults), f"{INTACT!r} among them")


def read_faults(folder: Path, info: RunInfo) -> Mapping[str, FaultScores]:
    """Figures by fault that were saved in a run's folder; empty where there are none.

    Raises:
        ContractError: the file is damaged, or of another run.
    """
    path = folder / ROBUSTNESS_FILE
    if not path.exists():
        return {}
    mend = f"measure again with 'dmft robustness {folder}', or remove it"
    table = read_json(path, "what 'dmft robustness' found")
    if table.get("model_sha256") != info.finished.model_sha256:
        raise ContractError(
            f"{path} is of weights {str(table.get('model_sha256'))[:12]!r}, wanted "
            f"{info.finished.model_sha256[:12]!r}: {mend}"
        )
    try:
        return parse_table(SavedFaults, table, where=str(path)).faults
    except ConfigError as error:
        raise ContractError(f"{error}\nIt is damaged: {mend}") from error
