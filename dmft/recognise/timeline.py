"""Windows to moments, and moments to a timeline of activities with times."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from dmft.recognise.live import OnProblem, Window
from dmft.recognise.predict import ranked
from dmft.recognise.recogniser import Recogniser
from pipeline.contract import RecordingError

NONE_FITS = "(none fits)"
"""The activity of a window that a calibrated model takes for none of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """What one window shows."""

    start_s: float
    end_s: float
    probabilities: Mapping[str, float]
    """Activity to probability, the likeliest first."""
    modalities: tuple[str, ...]
    """Those that the window has."""
    credible: tuple[str, ...] | None = None
    """Activities that a calibrated model leaves possible; None where it is not calibrated."""

    @property
    def activity(self) -> str:
        """The likeliest one, or that none fits."""
        return NONE_FITS if self.credible == () else next(iter(self.probabilities))

    @property
    def probability(self) -> float:
        """Of the activity, and of the likeliest one where none fits."""
        return next(iter(self.probabilities.values()))

    @property
    def middle_s(self) -> float:
        """The time that the window speaks for."""
        return (self.start_s + self.end_s) / 2

    def to_json(self) -> dict[str, Any]:
        """As ``dmft predict --sliding --json`` prints it."""
        return {
            "kind": "window",
            "start_s": round(self.start_s, 3),
            "end_s": round(self.end_s, 3),
            "activity": self.activity,
            "probability": self.probability,
            "modalities": list(self.modalities),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Activity:
    """A span of the timeline with one activity."""

    start_s: float
    end_s: float
    activity: str
    probability: float
    """Mean over its windows."""

    def to_json(self) -> dict[str, Any]:
        """As ``dmft predict --sliding --json`` prints it."""
        return {
            "kind": "activity",
            "start_s": round(self.start_s, 3),
            "end_s": round(self.end_s, 3),
            "activity": self.activity,
            "probability": self.probability,
        }


def moments(
    model: Recogniser, windows: Iterable[Window], on_problem: OnProblem
) -> Iterator[Moment]:
    """Recognise each window as it comes; one that cannot be encoded at all is told of."""
    for window in windows:
        patches = {}
        for modality in model.shapes:
            if modality not in window.rows:
                continue
            try:
                patches[modality] = model.encode_rows(modality, window.rows[modality])
            except RecordingError as error:
                span = f"{window.start_s:.2f} to {window.end_s:.2f} s"
                on_problem(f"{modality} from {span} cannot be encoded: {error}")
        if patches:
            probabilities = model.recognise([patches]).probabilities
            yield Moment(
                start_s=window.start_s,
                end_s=window.end_s,
                probabilities=ranked(probabilities[0], model.classes),
                modalities=tuple(patches),
                credible=model.credible(probabilities[0]),
            )


def timeline(found: Iterable[Moment]) -> Iterator[Activity]:
    """Join neighbouring moments of one activity; each is given out when the next has begun.

    Where the activity changes, the border is half-way between the middles of the two windows.
    Windows that do not touch have a hole between them.
    """
    run: list[Moment] = []
    start = 0.0
    for moment in found:
        if run and moment.start_s > run[-1].end_s:
            yield _joined(run, start, run[-1].end_s)
            run = []
        if not run:
            start = moment.start_s
        elif moment.activity != run[-1].activity:
            border = (run[-1].middle_s + moment.middle_s) / 2
            yield _joined(run, start, border)
            run, start = [], border
        run.append(moment)
    if run:
        yield _joined(run, start, run[-1].end_s)


def _joined(run: list[Moment], start: float, end: float) -> Activity:
    mean = sum(moment.probability for moment in run) / len(run)
    return Activity(start_s=start, end_s=end, activity=run[0].activity, probability=mean)
