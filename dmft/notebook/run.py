"""A finished run in one's hands: its models, what they predict, and its figures as tables.

It trains nothing and measures nothing anew: figures are read from what the run wrote.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import nn

from dmft.data import Cache, open_cache
from dmft.evaluation.calibration import read_calibration
from dmft.evaluation.evaluate import RunCaches
from dmft.evaluation.metrics import RunMetrics
from dmft.models import overall_vote
from dmft.notebook import frames
from dmft.protocols import Fold, make_fold
from dmft.runs.folder import fold_folders
from dmft.runs.published import brought_run
from dmft.runs.spec import RunInfo
from dmft.runs.trained import TrainedRun, load_run, present_of
from pipeline.common.words import first_of
from pipeline.contract import ConfigError, ContractError

if TYPE_CHECKING:
    from dmft.export.folder import ExportInfo
    from dmft.reports.load import Measured

Files = str | Path | Iterable[str | Path]
"""A cache, a raw file, or several raw files."""


class Run:
    """One run of one fold or of several; ``run["subject-3"]`` is that of one of its folds."""

    def __init__(self, folder: Path, folds: tuple[TrainedRun, ...]) -> None:
        """Take what :func:`load` has loaded."""
        self.folder, self.folds = folder, folds

    def __repr__(self) -> str:
        """A line."""
        info, names = self.info, first_of(self.fold_names, 3)
        inputs = ", ".join(info.spec.modalities)
        what = f"{info.spec.model_name} on {inputs}, {info.source.protocol.name}"
        return f"<Run {self.folder}: {what}, {len(self)} fold(s) ({names}), seed {info.spec.seed}>"

    def __len__(self) -> int:
        """How many folds it has."""
        return len(self.folds)

    def __iter__(self) -> Iterator[Run]:
        """Each fold as a run of its own."""
        return (Run(fold.folder, (fold,)) for fold in self.folds)

    def __getitem__(self, fold: str | int) -> Run:
        """One fold, by its name or its number from 0.

        Raises:
            ConfigError: there is no such fold.
        """
        names = self.fold_names
        number = names.index(fold) if fold in names else fold
        if not isinstance(number, int) or not -len(self) <= number < len(self):
            raise ConfigError(f"{self.folder} has no fold {fold!r}: it has {first_of(names, 12)}")
        chosen = self.folds[number]
        return Run(chosen.folder, (chosen,))

    @property
    def fold_names(self) -> list[str]:
        """Names of its folds, in the protocol's order."""
        return [fold.spec.fold.name for fold in self.folds]

    @property
    def info(self) -> RunInfo:
        """What the run says of itself; folds differ in their records alone."""
        return self.folds[0].info

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, K of them."""
        return self.info.spec.classes

    @property
    def trained(self) -> TrainedRun:
        """The one fold's network with its feature transform.

        Raises:
            ConfigError: it has several.
        """
        if len(self) > 1:
            raise ConfigError(
                f"{self.folder} holds {len(self)} models, one a fold: choose one, as "
                f"run[{self.fold_names[0]!r}]"
            )
        return self.folds[0]

    @property
    def module(self) -> nn.Module:
        """The network in evaluation mode.

        Shapes: features {m: (B, P, D)}, present (B, M) -> (B, M, 2, K); ``trained.transform`` makes
        features of patches.

        Raises:
            ConfigError: the run has several.
        """
        return self.trained.model

    # -- predictions -------------------------------------------------------------------------------

    def predict(
        self, data: Cache | Files | None = None, *, raw: str | Path | None = None
    ) -> pd.DataFrame:
        """What the run says of some records or recordings, a row each, indexed by ``record``.

        Columns: ``label`` (of a cache), ``predicted``, ``probability``; of the run's own cache
        ``side``, which is train, test or empty, and of any cache ``reliability_{modality}``, NaN
        where that is absent; of files ``problem``, empty where all could be read; then
        ``p_{class}`` for every class.

        A run of several folds predicts each record of its own cache by the fold that was tested on
        it, and refuses anything else: it is no one model.

        Example::

            run.predict(cache).query("side == 'test' and label != predicted")
            run["subject-1"].predict(["kitchen_skeleton.mat", "kitchen_inertial.mat"])

        Args:
            data: A cache, its path, raw files, or None for the run's own cache.
            raw: A raw tree that files are relative to; all its recordings where no file is named.

        Raises:
            ConfigError: it has several folds, and the records are not those that it was tested on.
            ContractError: the cache does not fit, or a file's name says no modality.
        """
        if raw is not None:
            return self._of_files([] if data is None else _as_files(data), raw)
        if data is None:
            return self._of_cache(RunCaches().of(self.info)[0])
        if isinstance(data, Cache):
            return self._of_cache(data)
        if isinstance(data, str | Path) and (Path(data) / "zarr.json").exists():
            return self._of_cache(open_cache(data, self.info.spec.modalities))
        return self._of_files(_as_files(data), None)

    def _of_cache(self, cache: Cache) -> pd.DataFrame:
        """By each fold, its test records; by a single one all, and which side each was on."""
        K, classes = len(self.classes), np.array(cache.spec.classes, dtype=object)
        probabilities, side = np.full((len(cache), K), np.nan), np.full(len(cache), "", object)
        trust = np.full((len(cache), len(self.info.spec.modalities)), np.nan)
        folds = [self._fold_on(trained, cache) for trained in self.folds]
        if len(self) > 1 and None in folds:
            assert self.trained  # refuses
        for trained, fold in zip(self.folds, folds, strict=True):
            rows = torch.arange(len(cache)) if len(self) == 1 or fold is None else fold.test
            votes, reliability = _answers(trained, cache, rows)
            probabilities[rows.numpy()], trust[rows.numpy()] = votes, reliability
            if fold is not None:
                if len(self) == 1:
                    side[fold.train.numpy()] = "train"
                side[fold.test.numpy()] = "test"
        voted = ~np.isnan(probabilities).any(axis=1)
        labels = classes[cache.labels.numpy()]
        more = {"label": labels[voted], "side": side[voted]}
        for column, name in enumerate(self.info.spec.modalities):
            more[f"reliability_{name}"] = trust[voted, column]
        ids = [cache.record_ids[row] for row in np.flatnonzero(voted)]
        return frames.predictions_frame(ids, probabilities[voted], self.classes, more)

    @staticmethod
    def _fold_on(trained: TrainedRun, cache: Cache) -> Fold | None:
        """A fold of the records that it was trained on; None on another cache."""
        if cache.spec.fingerprint != trained.spec.cache_fingerprint:
            return None
        return make_fold(trained.spec.fold, cache, trained.info.source.protocol.name)

    def _of_files(self, files: Iterable[str | Path], raw: str | Path | None) -> pd.DataFrame:
        from dmft.recognise import predict

        found = predict(self.trained.folder, files, raw=raw)
        unknown = dict.fromkeys(self.classes, np.nan)
        rows = [[(p.probabilities or unknown)[name] for name in self.classes] for p in found]
        problems = ["; ".join(f"{file}: {why}" for file, why in p.failures) for p in found]
        table = np.array(rows, dtype=np.float64).reshape(-1, len(self.classes))
        ids = [p.recording for p in found]
        return frames.predictions_frame(ids, table, self.classes, {"problem": problems})

    # -- figures -----------------------------------------------------------------------------------

    @functools.cached_property
    def _measured(self) -> Measured:
        from dmft.reports.load import load_runs

        (measured,), _ = load_runs([self.folder])
        return measured

    @property
    def metrics(self) -> RunMetrics:
        """As ``metrics.json`` has them; of several folds, their means."""
        return self._measured.metrics

    @property
    def scores(self) -> pd.DataFrame:
        """Accuracy and macro F1 of the vote, the folds, the modalities and their branches.

        Columns: ``what``, ``name``, ``accuracy``, ``macro_f1``.
        """
        return frames.scores_frame(self.metrics)

    @property
    def confusion(self) -> pd.DataFrame:
        """Test records by class (row) and prediction (column). Shapes: (K, K)."""
        return frames.confusion_frame(self.metrics)

    @property
    def epochs(self) -> pd.DataFrame:
        """How the training went: ``epoch``, ``loss``, ``accuracy``, ..., ``fold``."""
        read = self._measured.folds
        return frames.with_fold((fold.info.spec.fold.name, fold.epochs) for fold in read)

    # -- use ---------------------------------------------------------------------------------------

    def export(self, out: str | Path, **options: Any) -> ExportInfo:
        """Write it as ONNX; see :func:`dmft.export.build.export`.

        Raises:
            ConfigError: it has several folds.
            ContractError: ``out`` exists, or the graph disagrees with the run.
        """
        from dmft.export.build import export

        return export(self.trained.folder, out, **options)


def load(run: str | os.PathLike[str], device: str | torch.device = "cpu") -> Run:
    """Load a finished run, of one fold or of all, from its folder or from where it is published.

    A URL (``s3://``, ``gs://``, ``az://``, ``hf://``, ``https://``) is brought into
    ``~/.cache/dmft/runs`` (``DMFT_RUNS`` names another folder), once, every file held against the
    published list of checksums; weights are safetensors.

    Example::

        run = dmft.load("teacher")
        run.predict(cache)           # a DataFrame: record, label, predicted, probability, ...
        run["subject-3"].module      # the network of a fold, an nn.Module
        dmft.load("s3://lab/teacher")

    Raises:
        ContractError: it is not a run, has not ended, is damaged, or its weights do not fit.
    """
    place = os.fspath(run)
    folder = Path(place)
    if "://" in place:
        folder = brought_run(place)
    return Run(folder, tuple(load_run(each, device) for each in fold_folders(folder)))


def _as_files(data: Cache | Files) -> list[str | Path]:
    if isinstance(data, Cache):
        raise ContractError("a cache has no raw files: give either a cache or files with raw=")
    return [data] if isinstance(data, str | Path) else list(data)


def _answers(
    trained: TrainedRun, cache: Cache, rows: torch.Tensor
) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
    """Probabilities, calibrated where the run is, and how far each present modality is relied on.

    Shapes: rows (B,) -> (B, K), (B, M).
    """
    spec = trained.spec
    answer, present = trained.ask(cache, rows), present_of(cache, spec.modalities)[rows]
    votes = overall_vote(answer, present, spec.config.voting).numpy().astype(np.float64)
    calibration = read_calibration(trained.folder, trained.info)
    reliability = answer.reliability.masked_fill(~present, torch.nan).numpy()
    return (votes if calibration is None else calibration.apply(votes)), reliability
