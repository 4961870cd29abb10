"""What a configuration is worth: its mean figure on people held out inside the training side.

Each of them is a training of its own, an ordinary row of an experiment in the search's folder: one
that was interrupted goes on at its last epoch, and none is done twice. The test side of the fold is
in no row, neither to learn from nor to be measured on.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from dmft.config import RunConfig
from dmft.data import Cache
from dmft.experiments.plan import PlannedRow, planned_row
from dmft.experiments.pool import Pool
from dmft.experiments.results import RESULTS_FILE, RUNS_FOLDER, load_results
from dmft.experiments.runner import RunCallback, run_experiment
from dmft.own import Own
from dmft.protocols import Fold, FoldRule, Protocol
from dmft.tuning.teachers import TeacherSettings
from pipeline.contract import ContractError


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is asked of every configuration."""

    cache: Cache
    """Its records; the features of the rows are read where they are trained."""
    protocol: Protocol
    """Whose training side is learnt from."""
    fold: Fold
    """The fold; of its test side nothing is used."""
    inner: tuple[Fold, ...]
    """The folds inside its training side."""
    modalities: tuple[str, ...]
    """In the order of the model."""
    kind: str
    """teacher, student or distilled."""
    network: Own | None
    """The user's own in its place; None for ours."""
    teacher: TeacherSettings | None
    """Of those who teach a distilled student; None for the others."""
    seed: int
    """Of every training."""
    device: str
    """cpu or cuda."""

    def rows(self, config: RunConfig, recipe: str) -> list[PlannedRow]:
        """The trainings that tell what a configuration is worth, teachers before their students.

        A fold's teacher is the same row whatever the configuration, and is trained once.
        """
        rules = tuple(fold.rule for fold in self.inner)
        protocol = inner_protocol(self.protocol, self.fold, rules)
        rows = []
        for fold in self.inner:
            place = (self.cache, protocol, fold, len(rules), self.modalities)
            row = partial(planned_row, *place, seed=self.seed, device=self.device)
            fusion, teachers = self._fusion(self.kind, config, self.network), tuple[str, ...]()
            if self.teacher is not None:
                settings, network = self.teacher.config, self.teacher.network
                fusion = self._fusion("teacher", settings, network)
                taught_by = row(
                    model="teacher", recipe="teacher", config=settings, network=network, **fusion
                )
                rows.append(taught_by)
                teachers = (taught_by.key,)
            rows.append(
                row(
                    model=self.kind,
                    config=config,
                    recipe=recipe,
                    network=self.network,
                    teachers=teachers,
                    **fusion,
                )
            )
        return rows

    def _fusion(self, kind: str, config: RunConfig, network: Own | None) -> dict[str, Any]:
        """How the modalities of a model, or of what teaches it, are joined."""
        several = len(self.modalities) > 1
        if several and kind == "teacher" and network is None and config.teacher.fusion_layers > 0:
            return {"fusion": "mid", "fusion_tokens": config.teacher.fusion_tokens}
        return {"fusion": "late" if several else "none", "fusion_tokens": 0}


def inner_protocol(protocol: Protocol, fold: Fold, rules: Sequence[FoldRule]) -> Protocol:
    """The folds inside a training side as a protocol, with the figure of the one they are of."""
    return Protocol(
        name=f"{protocol.name}, inside {fold.name}",
        metric=protocol.metric,
        folds=tuple(rules),
        group=protocol.group,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Worth:
    """What a configuration is worth."""

    scores: Mapping[str, float]
    """Inner fold to the protocol's figure on those who were held out; without what failed."""
    why_not: str = ""
    """Why it has no figure, where a training failed."""

    @property
    def mean(self) -> float:
        """Over the inner folds."""
        return sum(self.scores.values()) / len(self.scores)


def worth_of(
    rows: Sequence[PlannedRow],
    cache: Path,
    out: Path,
    *,
    pool: Pool | None,
    trust: bool,
    callback: RunCallback | None,
) -> Worth:
    """Train what is left of some rows and gather the figures of those who teach nobody.

    Their models are thrown away; teachers are kept for the students of the next trial.

    Raises:
        ContractError: the folder's results are damaged, or another process works in it.
    """
    outcome = run_experiment(
        rows,
        cache,
        out,
        experiment="tune",
        n_workers=0,
        pool=pool,
        trust=trust,
        callback=callback,
    )
    teachers = {key for row in rows for key in row.teachers}
    asked = [row for row in rows if row.key not in teachers]
    for row in asked:
        shutil.rmtree(out / RUNS_FOLDER / row.folder, ignore_errors=True)
    found = load_results(out) if (out / RESULTS_FILE).exists() else ()
    by_key = {result.key: result.score for result in found}
    scores = {row.fold: by_key[row.key] for row in asked if row.key in by_key}
    if outcome.failures:
        return Worth(scores=scores, why_not=next(iter(outcome.failures.values())))
    if len(scores) < len(asked):
        n_missing = len(asked) - len(scores)
        raise ContractError(f"{out}: {n_missing} of {len(asked)} rows have no result")
    return Worth(scores=scores)
