"""What a search found, and its files: the best configuration, every trial, what mattered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from dmft.config import CONFIG_FILE, RunConfig, config_text, load_config
from dmft.runs.files import write_json
from pipeline.common.files import replacing
from pipeline.contract import ContractError

TRIALS_FILE, REPORT_FILE = "trials.csv", "tuning.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tuning:
    """What a search found."""

    config: RunConfig
    """The best: the trial's, or the one that was there before where no trial is better."""
    folder: Path
    """Where ``config.toml``, ``trials.csv`` and ``tuning.json`` are."""
    protocol: str
    """Name."""
    fold: str
    """On whose training side it was chosen; ``all`` for every record."""
    metric: str
    """The protocol's figure."""
    held_out: tuple[str, ...]
    """Names of the folds inside that side."""
    before: Mapping[str, float]
    """Fold inside to the figure of the configuration that the search began with."""
    best: Mapping[str, float]
    """The same of the best."""
    best_trial: int | None
    """Its number; None where no trial is better than what was there before."""
    importance: Mapping[str, float]
    """Setting to its part in how trials differ, the largest first; empty for too few trials."""
    chosen: Mapping[str, Any]
    """Setting of the space to its value in ``config``."""
    trials: pd.DataFrame
    """A row a trial: ``value``, its settings, a column an inner fold, and ``failed``: why."""

    @property
    def value(self) -> float:
        """Mean figure of the best on those who were held out. Flattered: it was chosen by it."""
        return _mean(self.best)

    @property
    def value_before(self) -> float:
        """The same of the configuration that the search began with."""
        return _mean(self.before)

    def table(self) -> dict[str, Any]:
        """All but the trials, ready for JSON."""
        return {
            "protocol": self.protocol,
            "fold": self.fold,
            "metric": self.metric,
            "held_out": list(self.held_out),
            "before": {"value": self.value_before, "folds": dict(self.before)},
            "best": {"value": self.value, "trial": self.best_trial, "folds": dict(self.best)},
            "chosen": dict(self.chosen),
            "importance": dict(self.importance),
            "n_trials": len(self.trials),
            "n_failed": int(self.trials["failed"].ne("").sum()),
            "config": str(self.folder / CONFIG_FILE),
        }

    def write(self, base: str) -> None:
        """Write the files; the configuration as what differs from a shipped one.

        Raises:
            ContractError: what was written would not be read as what was found.
        """
        with replacing(self.folder / TRIALS_FILE) as partial:
            self.trials.to_csv(partial)
        with replacing(self.folder / CONFIG_FILE) as partial:
            partial.write_text(config_text(self.config, base))
        if load_config(self.folder / CONFIG_FILE) != self.config:
            raise ContractError(f"{self.folder / CONFIG_FILE} does not say what was found")
        write_json(self.folder / REPORT_FILE, self.table())


def _mean(scores: Mapping[str, float]) -> float:
    return sum(scores.values()) / len(scores)
