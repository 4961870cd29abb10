"""Raw files to ranked activities: group, encode as the run's cache was encoded, recognise.

A file that cannot be read fails by name; the recording goes on with its other modalities, and the
other recordings go on.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dmft.recognise.recogniser import Recogniser, load_recogniser
from dmft.recognise.recordings import Grouped, Recording, group_files
from pipeline.contract import ContractError, Presence, Record, StreamRef

BATCH = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """What became of one recording."""

    recording: str
    """What its files' names have in common."""
    probabilities: Mapping[str, float]
    """Activity to probability, the likeliest first; empty where no file could be read."""
    votes: Mapping[str, Mapping[str, float]]
    """The same for each modality alone; in a teacher it has seen the others."""
    failures: tuple[tuple[str, str], ...] = ()
    """Files that could not be read, with the reason."""

    @property
    def activity(self) -> str | None:
        """The likeliest one."""
        return next(iter(self.probabilities), None)

    def to_json(self) -> dict[str, Any]:
        """As ``dmft predict --json`` prints it."""
        return {
            "recording": self.recording,
            "activity": self.activity,
            "probabilities": dict(self.probabilities),
            "votes": {name: dict(vote) for name, vote in self.votes.items()},
            "failures": [{"file": file, "reason": reason} for file, reason in self.failures],
        }


def predict(
    model: Recogniser | str | Path,
    files: Iterable[str | Path] = (),
    *,
    raw: str | Path | None = None,
    weights: str | None = None,
) -> list[Prediction]:
    """Recognise the recordings that some files make up.

    Args:
        model: A run folder, an export folder, or one that is loaded.
        files: Raw files, any subset of the model's modalities of one or many recordings.
        raw: A raw tree that ``files`` are relative to; all its recordings where there are none.
        weights: Of the network that frames pass; by default those that the run names.

    Raises:
        ConfigError: the weights are not those that the run's cache was encoded with, or no file
            is of a modality that the model knows.
        ContractError: the folder is damaged, or a name says no modality.
        RecordingError: ``raw`` is no folder.
    """
    loaded = model if isinstance(model, Recogniser) else load_recogniser(model, weights=weights)
    grouped = group_files(files, dataset=loaded.dataset, modalities=loaded.shapes, raw=raw)
    if grouped.failures:
        file, reason = grouped.failures[0]
        raise ContractError(f"{file}: {reason}")
    return predict_grouped(loaded, grouped)


def predict_grouped(model: Recogniser, grouped: Grouped) -> list[Prediction]:
    """Recognise recordings, some at a time."""
    found: list[Prediction] = []
    for start in range(0, len(grouped.recordings), BATCH):
        found += _predict_some(model, grouped.recordings[start : start + BATCH])
    return found


def _predict_some(model: Recogniser, recordings: Sequence[Recording]) -> list[Prediction]:
    patches: list[dict[str, NDArray[Any]]] = [{} for _ in recordings]
    failures: list[list[tuple[str, str]]] = [[] for _ in recordings]
    for modality in model.shapes:
        rows = [i for i, recording in enumerate(recordings) if modality in recording.files]
        for row, encoded, reason in _encode(model, modality, recordings, rows):
            if encoded is None:
                shown = ", ".join(file.shown for file in recordings[row].files[modality])
                failures[row].append((shown, reason))
            else:
                patches[row][modality] = encoded
    heard = [row for row, each in enumerate(patches) if each]
    predictions = {row: _no_answer(recordings[row], failures[row]) for row in range(len(patches))}
    if heard:
        probabilities, votes = model.recognise([patches[row] for row in heard])
        for row, overall, alone in zip(heard, probabilities, votes, strict=True):
            by_modality = zip(model.shapes, alone, strict=True)
            predictions[row] = Prediction(
                recording=recordings[row].id,
                probabilities=ranked(overall, model.classes),
                votes={m: ranked(v, model.classes) for m, v in by_modality if m in patches[row]},
                failures=tuple(failures[row]),
            )
    return [predictions[row] for row in range(len(recordings))]


def _encode(
    model: Recogniser, modality: str, recordings: Sequence[Recording], rows: Sequence[int]
) -> Iterable[tuple[int, NDArray[Any] | None, str]]:
    """Row, patches or None, and the reason; files of one tree are encoded together."""
    by_tree: dict[int, list[int]] = {}
    for row in rows:
        by_tree.setdefault(id(recordings[row].files[modality][0].tree), []).append(row)
    for some in by_tree.values():
        tree = recordings[some[0]].files[modality][0].tree
        rows_by_id = {recordings[row].id: row for row in some}
        records = [
            Record(id=each.id, label=0, streams={modality: _streams(each, modality)})
            for each in (recordings[row] for row in some)
        ]
        for encoded in model.encoder(modality, tree).encode(records):
            row = rows_by_id[encoded.record_id]
            if encoded.presence == Presence.PRESENT:
                assert encoded.patches is not None
                yield row, encoded.patches, ""
            else:
                assert encoded.failure is not None
                yield row, None, encoded.failure.message


def _streams(recording: Recording, modality: str) -> tuple[StreamRef, ...]:
    return tuple(StreamRef(name=f.stream, path=f.path) for f in recording.files[modality])


def ranked(probabilities: NDArray[np.float32], classes: Sequence[str]) -> dict[str, float]:
    """Activities with their probabilities, the likeliest first.

    Shapes: probabilities (K,).
    """
    order = np.argsort(-probabilities, kind="stable")
    return {classes[k]: float(probabilities[k]) for k in order}


def _no_answer(recording: Recording, failures: Sequence[tuple[str, str]]) -> Prediction:
    return Prediction(recording=recording.id, probabilities={}, votes={}, failures=tuple(failures))
