"""What a run scored with modalities at fault, as its folder keeps it, and that in one figure."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from dmft.data.fault_words import ANOTHERS, FAULTS, REMOVED
from dmft.evaluation.metrics import Scores
from dmft.models.config import require
from dmft.runs.folder import ROBUSTNESS_FILE, read_kept
from dmft.runs.spec import RunInfo

INTACT = "intact"
SURE_FROM = (0.5, 0.9, 0.95)
"""Probabilities from which answers are counted."""
AND = " and "
"""Between what two modalities have at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultScores(Scores):
    """Scores of records with one fault, the mean over its severities, or with none."""

    n_records: int
    """Test records that were measured."""
    confidence: float
    """Mean probability of what the vote chose."""
    answered: Mapping[str, float]
    """Probability to the part of the records whose vote gives what it chose that much."""
    wrong: Mapping[str, float]
    """The same of the records whose vote is also wrong."""
    reliability: Mapping[str, float]
    """Modality to its mean reliability."""
    by_severity: Mapping[str, float]
    """Severity to the accuracy; empty where the fault has no degrees."""

    @property
    def sure_wrong(self) -> float:
        """Part of the records whose vote is wrong and gives what it chose at least 0.5."""
        return self.wrong[str(SURE_FROM[0])]


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedFaults:
    """What ``robustness.json`` holds."""

    model_sha256: str
    """SHA-256 of the weights that were measured."""
    faults: Mapping[str, FaultScores]
    """By ``intact``, ``removed skeleton``, ``frozen skeleton and swapped inertial`` and so on."""

    def __post_init__(self) -> None:
        require(INTACT in self.faults, "faults", sorted(self.faults), f"{INTACT!r} among them")


@dataclass(frozen=True, slots=True, kw_only=True)
class SuiteScores:
    """The suite in a few figures; each family of faults counts the same."""

    families: Mapping[str, float]
    """Family to its score, the mean over modalities and severities."""
    score: float
    """Mean over families."""
    seen: float | None
    """Mean over the families that the model learnt from, and ``removed``; None where none is."""
    unseen: float | None
    """Mean over the others."""
    both_sure_wrong: float | None
    """With two modalities at fault at once: part of the records that are wrong with a probability
    above 0.5. The right answer there is to be unsure."""


CONDITIONS: Mapping[str, Callable[[str], bool]] = {
    INTACT: lambda name: name == INTACT,
    "one at fault": lambda name: name != INTACT and AND not in name,
    "one another record's": lambda name: name.split()[0] in ANOTHERS and AND not in name,
    "two at fault": lambda name: AND in name,
}
"""What answers are summed up over, and which faults belong to it."""


def answers_left(
    faults: Mapping[str, FaultScores], condition: str, least: str
) -> tuple[float, float] | None:
    """Answers of at least a probability: part of the records that have one, and a wrong one.

    Args:
        faults: Scores by fault, as :class:`SavedFaults` has them.
        condition: One of :data:`CONDITIONS`, whose faults count; None where there are none.
        least: One of :data:`SURE_FROM`, as text.
    """
    chosen = [scores for name, scores in faults.items() if CONDITIONS[condition](name)]
    if not chosen:
        return None
    answered = statistics.fmean(scores.answered[least] for scores in chosen)
    return answered, statistics.fmean(scores.wrong[least] for scores in chosen)


def suite_scores(
    faults: Mapping[str, FaultScores], metric: str, learnt_from: Iterable[str]
) -> SuiteScores:
    """Sum up the suite.

    Args:
        faults: Scores by fault, as :class:`SavedFaults` has them.
        metric: The score that counts: accuracy or macro_f1.
        learnt_from: Faults that the model met in training.
    """
    single = {name: scores for name, scores in faults.items() if AND not in name}
    families: dict[str, float] = {}
    for family in (REMOVED, *FAULTS):
        of_family = [s.score(metric) for name, s in single.items() if name.split()[0] == family]
        if of_family:
            families[family] = statistics.fmean(of_family)
    known = {REMOVED, *learnt_from}
    seen = [score for family, score in families.items() if family in known]
    unseen = [score for family, score in families.items() if family not in known]
    both = [scores.sure_wrong for name, scores in faults.items() if AND in name]
    return SuiteScores(
        families=families,
        score=statistics.fmean(families.values()) if families else 0.0,
        seen=statistics.fmean(seen) if seen else None,
        unseen=statistics.fmean(unseen) if unseen else None,
        both_sure_wrong=statistics.fmean(both) if both else None,
    )


def read_faults(folder: Path, info: RunInfo) -> Mapping[str, FaultScores]:
    """Figures by fault that were saved in a run's folder; empty where there are none.

    Raises:
        ContractError: the file is damaged, or of another run.
    """
    saved = read_kept(
        folder, info, ROBUSTNESS_FILE, SavedFaults, command="robustness", verb="measure"
    )
    return saved.faults if saved else {}
