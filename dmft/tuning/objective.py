"""What a configuration is worth: its mean figure on people held out inside the training side.

Each of them is a training of its own, an ordinary row of an experiment in the search's folder: one
that was interrupted goes on at its last epoch, and none is done twice. The test side of the fold is
in no row, neither to learn from nor to be measured on.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dmft.config import RunConfig
from dmft.data import Cache
from dmft.experiments.plan import PlannedRow, planned_row
from dmft.experiments.pool import Pool
from dmft.experiments.results import RESULTS_FILE, RUNS_FOLDER, load_results
from dmft.experiments.runner import RunCallback, run_experiment
from dmft.own import Own
from dmft.protocols import Fold, FoldRule, Protocol
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
    """teacher or student."""
    network: Own | None
    """The user's own in its place; None for ours."""
    seed: int
    """Of every training."""
    device: str
    """cpu or cuda."""

    def rows(self, config: RunConfig, recipe: str) -> list[PlannedRow]:
        """The trainings that tell what a configuration is worth."""
        rules = tuple(fold.rule for fold in self.inner)
        protocol = inner_protocol(self.protocol, self.fold, rules)
        fused = self.kind == "teacher" and self.network is None and config.teacher.fusion_layers > 0
        several = len(self.modalities) > 1
        mid = fused and several
        return [
            planned_row(
                self.cache,
                protocol,
                fold,
                len(rules),
                self.modalities,
                model=self.kind,
                fusion="mid" if mid else "late" if several else "none",
                fusion_tokens=config.teacher.fusion_tokens if mid else 0,
                seed=self.seed,
                config=config,
                recipe=recipe,
                device=self.device,
                network=self.network,
            )
            for fold in self.inner
        ]


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
    """Train what is left of some rows and gather their figures; the models are thrown away.

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
    for row in rows:
        shutil.rmtree(out / RUNS_FOLDER / row.folder, ignore_errors=True)
    found = load_results(out) if (out / RESULTS_FILE).exists() else ()
    by_key = {result.key: result.score for result in found}
    scores = {row.fold: by_key[row.key] for row in rows if row.key in by_key}
    if outcome.failures:
        return Worth(scores=scores, why_not=next(iter(outcome.failures.values())))
    if len(scores) < len(rows):
        raise ContractError(f"{out}: {len(rows) - len(scores)} of {len(rows)} rows have no result")
    return Worth(scores=scores)
