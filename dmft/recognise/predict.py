"""Raw files to ranked activities: group, encode as the run's cache was encoded, recognise.

A file that cannot be read fails by name; the recording goes on with its other modalities, and the
other recordings go on.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dmft.recognise.recogniser import Recogniser, load_recogniser
from dmft.recognise.recordings import Grouped, RawFile, Recording, group_files
from pipeline.contract import ContractError, Presence, Record, StreamRef
from pipeline.encode.records import Encoded

BATCH = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """What became of one recording."""

    recording: str
    """What its files' names have in common."""
    files: tuple[str, ...] = ()
    """Those that were taken to be of it, as they were named."""
    probabilities: Mapping[str, float] = field(default_factory=dict)
    """Activity to probability, the likeliest first; empty where no file could be read."""
    votes: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """The same for each modality alone; in a teacher it has seen the others."""
    reliability: Mapping[str, float] = field(default_factory=dict)
    """How far each modality was believed, from 0 to 1."""
    credible: tuple[str, ...] | None = None
    """Activities of which one is right as often as the run was calibrated for; none where nothing
    fits, None where it was not calibrated."""
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
            "files": list(self.files),
            "activity": self.activity,
            "probabilities": dict(self.probabilities),
            "votes": {name: dict(vote) for name, vote in self.votes.items()},
            "reliability": dict(self.reliability),
            "credible": None if self.credible is None else list(self.credible),
            "failures": [{"file": file, "reason": reason} for file, reason in self.failures],
        }


def predict(
    model: Recogniser | str | Path,
    files: Iterable[str | Path] = (),
    *,
    raw: str | Path | None = None,
    trials: str | Path | None = None,
    weights: str | None = None,
) -> list[Prediction]:
    """Recognise the recordings that some files make up.

    Args:
        model: A run folder, an export folder, or one that is loaded.
        files: Raw files, any subset of the model's modalities of one or many recordings.
        raw: A raw tree that ``files`` are relative to; all its recordings where there are none.
        trials: A table of trials of a described data set, whose paths are in ``raw``.
        weights: Of the network that frames pass; by default those that the run names.

    Raises:
        ConfigError: the weights are not those that the run's cache was encoded with, or no file
            is of a modality that the model knows.
        ContractError: the folder is damaged, or a name says no modality.
        RecordingError: ``raw`` is no folder.
    """
    loaded = model if isinstance(model, Recogniser) else load_recogniser(model, weights=weights)
    grouped = grouped_for(loaded, files, raw=raw, trials=trials)
    if grouped.failures:
        file, reason = grouped.failures[0]
        raise ContractError(f"{file}: {reason}")
    return predict_grouped(loaded, grouped)


def grouped_for(
    model: Recogniser,
    files: Iterable[str | Path],
    *,
    raw: str | Path | None = None,
    trials: str | Path | None = None,
) -> Grouped:
    """The recordings that some files make up, for a model; as :func:`predict` takes them."""
    return group_files(
        files,
        dataset=model.dataset,
        modalities=model.shapes,
        raw=raw,
        trials=trials,
        own=model.description,
    )


def predict_grouped(model: Recogniser, grouped: Grouped) -> list[Prediction]:
    """Recognise recordings, some at a time."""
    starts = range(0, len(grouped.recordings), BATCH)
    batches = (grouped.recordings[start : start + BATCH] for start in starts)
    return [prediction for batch in batches for prediction in _predict_some(model, batch)]


def _predict_some(model: Recogniser, recordings: Sequence[Recording]) -> list[Prediction]:
    by_id = {f"r{number}": recording for number, recording in enumerate(recordings)}
    patches: dict[str, dict[str, NDArray[Any]]] = {record_id: {} for record_id in by_id}
    failures: dict[str, list[tuple[str, str]]] = {record_id: [] for record_id in by_id}
    for modality in model.shapes:
        files = {i: each.files[modality] for i, each in by_id.items() if modality in each.files}
        for encoded in _encode(model, modality, files):
            if encoded.presence == Presence.PRESENT:
                assert encoded.patches is not None
                patches[encoded.record_id][modality] = encoded.patches
            else:
                assert encoded.failure is not None
                shown = ", ".join(file.shown for file in files[encoded.record_id])
                failures[encoded.record_id].append((shown, encoded.failure.message))
    answers: dict[str, dict[str, Any]] = {}
    encoded_ids = [record_id for record_id, encoded in patches.items() if encoded]
    if encoded_ids:
        by_record = zip(*model.recognise([patches[i] for i in encoded_ids]), strict=True)
        for record_id, (probabilities, votes, reliability) in zip(
            encoded_ids, by_record, strict=True
        ):
            had = patches[record_id]
            by_modality = dict(zip(model.shapes, votes, strict=True))
            believed = dict(zip(model.shapes, reliability.tolist(), strict=True))
            answers[record_id] = {
                "probabilities": ranked(probabilities, model.classes),
                "votes": {m: ranked(v, model.classes) for m, v in by_modality.items() if m in had},
                "reliability": {m: share for m, share in believed.items() if m in had},
                "credible": model.credible(probabilities),
            }
    return [
        Prediction(
            recording=recording.id,
            files=tuple(file.shown for files in recording.files.values() for file in files),
            failures=tuple(failures[i]),
            **answers.get(i, {}),
        )
        for i, recording in by_id.items()
    ]


def _encode(
    model: Recogniser, modality: str, files: Mapping[str, tuple[RawFile, ...]]
) -> Iterator[Encoded]:
    """Encode recordings by their files of a modality; those of one tree are encoded together."""
    by_tree: dict[int, list[str]] = {}
    for record_id, streams in files.items():
        by_tree.setdefault(id(streams[0].tree), []).append(record_id)
    for ids in by_tree.values():
        records = [
            Record(
                id=record_id,
                label=0,
                streams={
                    modality: tuple(
                        StreamRef(name=file.stream, path=file.path) for file in files[record_id]
                    )
                },
            )
            for record_id in ids
        ]
        yield from model.encoder(modality, files[ids[0]][0].tree).encode(records)


def ranked(probabilities: NDArray[np.float32], classes: Sequence[str]) -> dict[str, float]:
    """Activities with their probabilities, the likeliest first.

    Shapes: probabilities (K,).
    """
    order = np.argsort(-probabilities, kind="stable")
    return {classes[k]: float(probabilities[k]) for k in order}
