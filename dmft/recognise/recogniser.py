"""A run or an export, and the encoding that its inputs need: patches in, votes out.

An export is run by onnxruntime and PyTorch is not imported, so that a cold start is short. It
refuses a run that does not say how its cache was encoded, and an encoding by another version of
an encoder, whose numbers would not be those that the model learnt on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dmft.evaluation.calibration import Calibration, read_calibration
from dmft.export.folder import EXPORT_FILE, GRAPH_FILE, Vote, Votes, open_export
from pipeline.common.settings import parse_table
from pipeline.contract import ContractError
from pipeline.datasets import Description, described
from pipeline.encode.records import Encoder, Encoders
from pipeline.encoders.kinds import READER, VERSION, encoding_noted, kind_noted
from pipeline.raw.tree import RawTree


@dataclass(slots=True, kw_only=True)
class Recogniser:
    """A model with all that turns raw recordings into its inputs."""

    dataset: str
    """Names the readers."""
    classes: tuple[str, ...]
    """In the order of the probabilities."""
    shapes: Mapping[str, tuple[int, int]]
    """Modality to P and D as encoded, in the order of the model."""
    encodings: Mapping[str, Mapping[str, Any]]
    """How the cache says that each modality was encoded."""
    weights: str
    """Name of the weights that frames pass."""
    vote: Vote
    """The model."""
    description: Description | None = None
    """Of a data set that is described."""
    calibration: Calibration | None = None
    """How sure is sure enough; None where that was not learnt."""
    _encoders: Encoders | None = field(default=None, repr=False)

    def encoder(self, modality: str, tree: RawTree) -> Encoder:
        """The encoder of a modality for files of a tree; a network is loaded once.

        Raises:
            ConfigError: the weights are not those that the cache was made with.
        """
        if self._encoders is None:
            self._encoders = Encoders(dataset=self.dataset, weights=self.weights)
        return self._encoders.encoder(modality, self.encodings[modality], tree)

    @property
    def noted(self) -> Mapping[str, Mapping[str, Any]]:
        """Modality to how its files are read, of those that a description describes."""
        return {name: note[READER] for name, note in self.encodings.items() if READER in note}

    def encode_rows(self, modality: str, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Encode rows that are in memory already, of a modality without a network.

        Shapes: values (T, ...) in the reader's units -> (P, D).

        Raises:
            RecordingError: the values cannot be encoded.
        """
        note = self.encodings[modality]
        return kind_noted(note).encode(values, encoding_noted(note))

    def recognise(self, records: list[Mapping[str, NDArray[Any]]]) -> Votes:
        """Vote on some records, each with the modalities that it has.

        Shapes: records B times {m: (P, D)}.
        """
        patches = {
            name: np.stack([record.get(name, np.zeros(shape)) for record in records])
            for name, shape in self.shapes.items()
        }
        present = np.array([[name in record for name in self.shapes] for record in records])
        voted = self.vote({m: each.astype(np.float32) for m, each in patches.items()}, present)
        if self.calibration is None:
            return voted
        calibrated = self.calibration.apply(voted.probabilities.astype(np.float64))
        return voted._replace(probabilities=calibrated.astype(np.float32))

    def credible(self, probabilities: NDArray[np.float32]) -> tuple[str, ...] | None:
        """The activities that one of :meth:`recognise`'s rows leaves possible, likeliest first.

        None where the model was not calibrated; empty where nothing fits.

        Shapes: probabilities (K,).
        """
        if self.calibration is None:
            return None
        (chosen,) = self.calibration.sets(probabilities[None].astype(np.float64))
        order = np.argsort(-probabilities, kind="stable")
        return tuple(self.classes[k] for k in order if chosen[k])


def load_recogniser(
    folder: str | Path, *, weights: str | None = None, device: str = "cpu", graph: str = GRAPH_FILE
) -> Recogniser:
    """Load the run of one fold, or an export.

    Args:
        folder: What ``dmft train``, ``dmft distill`` or ``dmft export`` wrote.
        weights: Of the network that frames pass; by default those that the run names.
        device: Where a run computes: ``cpu`` or ``cuda``. An export computes on the CPU.
        graph: Which file of an export.

    Raises:
        ContractError: it is neither, it is damaged, or its encoding cannot be done again here.
    """
    folder = Path(folder)
    made = _of_export(folder, graph) if (folder / EXPORT_FILE).exists() else _of_run(folder, device)
    made.weights = weights or made.weights or "imagenet"
    for name in made.shapes:
        stored = made.encodings.get(name) or {}
        if not stored.get(VERSION) or not made.dataset:
            raise ContractError(
                f"{folder} does not say how its {name} was encoded, so raw files cannot be encoded "
                "the same way. Train it again on a cache that 'dmft encode' made."
            )
        version = kind_noted(stored).version
        if stored[VERSION] != version:
            raise ContractError(
                f"{folder} learnt on {name} of encoder version {stored[VERSION]}: this software "
                f"has version {version}. Encode and train again, or install the version that it "
                "was made with."
            )
    return made


def _of_export(folder: Path, graph: str) -> Recogniser:
    opened = open_export(folder, file=graph)
    info = opened.info
    return Recogniser(
        dataset=info.dataset,
        classes=info.classes,
        shapes={name: (each.n_patches, each.n_features) for name, each in info.inputs.items()},
        encodings=info.encodings,
        weights=info.encoder_weights,
        vote=opened,
        calibration=parse_table(Calibration, info.calibration, where=str(folder))
        if info.calibration
        else None,
        description=described(info.description),
    )


def _of_run(folder: Path, device: str) -> Recogniser:
    from dmft.export.graph import vote_of
    from dmft.runs.folder import fold_folders
    from dmft.runs.trained import load_run

    folders = fold_folders(folder)
    if folders != (folder,):
        raise ContractError(
            f"{folder} holds {len(folders)} models, one a fold: train one on every record with "
            f"'dmft train --on all', or name one of them, as {folders[0]}"
        )
    run = load_run(folder, device)
    return Recogniser(
        dataset=run.info.source.dataset,
        classes=run.info.spec.classes,
        shapes={name: (s.n_patches, s.n_features) for name, s in run.info.spec.stored.items()},
        encodings=run.info.source.encodings,
        weights=run.info.source.encoder_weights,
        vote=vote_of(run),
        calibration=read_calibration(folder, run.info),
        description=described(run.info.source.description),
    )
