"""The trainer as a scikit-learn classifier, for people whose data is an array.

It trains by the very functions that ``dmft train`` trains by, on arrays instead of a cache, and
writes nothing. It refuses arrays whose columns are not those that its modalities take.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from dmft.config import Configuration, make_config
from dmft.data import Cache, make_features
from dmft.data.sources import choose_source
from dmft.models import ModelShape, answer_of, overall_vote
from dmft.models.config import require
from dmft.models.own import find_own
from dmft.runs.trained import PREDICT_BATCH, build_network
from dmft.training.device import resolve_device
from dmft.training.loop import Learner, fit
from dmft.training.losses import hard_objective
from dmft.training.train import learnt_with
from pipeline.contract import CacheSpec, CacheState, ConfigError, ModalitySpec

try:
    from sklearn.base import BaseEstimator, ClassifierMixin
    from sklearn.utils.multiclass import check_classification_targets
    from sklearn.utils.validation import check_is_fitted, validate_data
except ModuleNotFoundError as error:
    raise ImportError(
        "dmft.Recognizer needs scikit-learn 1.6 or newer: pip install 'dmft[sklearn]'"
    ) from error

KINDS = ("teacher", "student")
SERIES = "series"
"""What an array's one modality is called where nobody names it."""


class Recognizer(ClassifierMixin, BaseEstimator):
    """Teacher or student as a scikit-learn classifier of time series.

    ``X`` is one of

    - (N, P, D): one modality, N records of P patches (moments) of D features;
    - (N, F): the patches of several modalities, one after another and flattened, whose shapes
      ``modalities`` gives; or, without it, a series of F moments of one number.

    A record whose modality is NaN throughout lacks it.

    Example::

        from sklearn.model_selection import LeaveOneGroupOut, cross_val_score

        cross_val_score(dmft.Recognizer(epochs=20), X, y, groups=people, cv=LeaveOneGroupOut())

    Args:
        kind: ``student`` or ``teacher``; they differ where there are several modalities.
        modalities: The one modality's name, which chooses its settings, or a table of names to
            (P, D).
        config: As :func:`dmft.train` takes it: a name, a file, changes, or a configuration.
        epochs: Short for ``{"training.epochs": N}``; None for the configuration's.
        model: A network of your own in the place of both.
        random_state: Source of everything random: a number, a generator, or None for 0.
        device: ``auto``, ``cpu`` or ``cuda``.
    """

    def __init__(
        self,
        kind: str = "student",
        *,
        modalities: str | Mapping[str, tuple[int, int]] = SERIES,
        config: Configuration | None = None,
        epochs: int | None = None,
        model: Any = None,
        random_state: Any = None,
        device: str = "auto",
    ) -> None:
        self.kind = kind
        self.modalities = modalities
        self.config = config
        self.epochs = epochs
        self.model = model
        self.random_state = random_state
        self.device = device

    def fit(self, X: ArrayLike, y: ArrayLike, rows: ArrayLike | None = None) -> Self:
        """Train on some records.

        Shapes: X (N, P, D) or (N, F), y (N,), rows (N,).

        Args:
            X: Their patches.
            y: Their classes.
            rows: Numbers of the records, by which their random changes are drawn: what they are in
                the whole data set, where a training on a part of it shall give the weights that
                ``dmft train`` gives on its fold; their order here where None.

        Raises:
            ConfigError: a setting is wrong, or the columns are not those of ``modalities``.
            ValueError: ``y`` has one class, or scikit-learn can make nothing of the arrays.
        """
        require(self.kind in KINDS, "kind", self.kind, " or ".join(KINDS))
        values, labels = validate_data(
            self, X, y, allow_nd=True, ensure_all_finite="allow-nan", dtype=np.float32
        )
        check_classification_targets(labels)
        self.classes_, codes = np.unique(labels, return_inverse=True)
        if len(self.classes_) < 2:  # a ValueError, as scikit-learn's own classifiers raise
            raise ValueError(f"y has one class, {self.classes_.tolist()}: wanted at least two")
        config = make_config(self.config)
        if self.epochs is not None:
            config = make_config({"training.epochs": self.epochs}, config)
        self.shapes_ = self._shapes_of(values)
        places = np.arange(len(values)) if rows is None else np.asarray(rows, dtype=np.int64)
        require(len(set(places.tolist())) == len(values), "rows", len(set(places)), "all different")
        cache = _as_cache(*self._patches(values), codes, places, [str(c) for c in self.classes_])
        trained = torch.from_numpy(np.sort(places))
        seed, device = self._seed(), resolve_device(self.device)
        transform = make_features(cache, config, trained).to(device)
        shape = ModelShape(inputs=transform.inputs, n_classes=len(self.classes_))
        network = build_network(self.kind, shape, config, seed, find_own(self.model)).to(device)
        kept = trained[cache.present[trained].any(dim=1)]
        if not len(kept):
            raise ConfigError(f"not one of the {len(values)} records has any modality")
        learner = Learner(
            model=network,
            objective=hard_objective(config),
            source=choose_source(cache, kept, None, device),
            transform=transform,
            config=learnt_with(self.kind, config),
            seed=seed,
        )
        fit(learner)
        self.network_, self.transform_, self.config_ = network.eval(), transform, config
        return self

    def predict_proba(self, X: ArrayLike) -> NDArray[np.float32]:
        """Probability of each class, in the order of ``classes_``.

        Shapes: X as in :meth:`fit` -> (N, K); rows sum to 1.
        """
        check_is_fitted(self)
        values = validate_data(
            self, X, reset=False, allow_nd=True, ensure_all_finite="allow-nan", dtype=np.float32
        )
        if self._shapes_of(values) != self.shapes_:
            raise ConfigError(
                f"X has records of {self._shapes_of(values)}: wanted those of fit, {self.shapes_}"
            )
        return np.concatenate(list(self._voted(*self._patches(values))))

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """The likeliest class of each record.

        Shapes: X as in :meth:`fit` -> (N,).
        """
        probabilities = self.predict_proba(X)
        chosen: NDArray[Any] = self.classes_[probabilities.argmax(axis=1)]
        return chosen

    def __sklearn_tags__(self) -> Any:
        """Absent modalities are NaN."""
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.three_d_array = True
        return tags

    def _seed(self) -> int:
        if self.random_state is None:
            return 0
        if isinstance(self.random_state, int | np.integer):
            return int(self.random_state)
        from sklearn.utils import check_random_state

        return int(check_random_state(self.random_state).randint(2**31))

    def _shapes_of(self, values: NDArray[np.float32]) -> dict[str, tuple[int, int]]:
        """Modality to P and D."""
        n_columns = int(np.prod(values.shape[1:]))
        if isinstance(self.modalities, str):
            P, D = values.shape[1:] if values.ndim == 3 else (n_columns, 1)
            shapes = {self.modalities: (int(P), int(D))}
        else:
            shapes = {name: (int(P), int(D)) for name, (P, D) in self.modalities.items()}
        wanted = sum(P * D for P, D in shapes.values())
        if values.ndim > 3 or wanted != n_columns:
            raise ConfigError(
                f"X has records of shape {values.shape[1:]}: wanted {wanted} numbers a record, as "
                f"modalities say ({shapes})"
            )
        return shapes

    def _patches(self, values: NDArray[np.float32]) -> tuple[dict[str, Tensor], Tensor]:
        """Patches {m: (N, P, D)}, zero where absent, and presence (N, M)."""
        flat, start = values.reshape(len(values), -1), 0
        patches, present = {}, []
        for name, (P, D) in self._shapes_of(values).items():
            part = torch.from_numpy(flat[:, start : start + P * D].copy()).view(-1, P, D)
            missing = part.isnan()
            absent = missing.all(dim=(1, 2))
            if (some := missing.any(dim=(1, 2)) & ~absent).any():
                raise ConfigError(
                    f"record {int(some.nonzero()[0])} of X has NaN in some of its {name}: wanted "
                    "numbers, or NaN throughout where the record lacks it"
                )
            patches[name] = part.masked_fill(missing, 0.0)
            present.append(~absent)
            start += P * D
        return patches, torch.stack(present, dim=1)

    def _voted(self, patches: Mapping[str, Tensor], present: Tensor) -> Iterator[NDArray[Any]]:
        on = next(self.network_.parameters()).device
        for rows in torch.split(torch.arange(len(present)), PREDICT_BATCH):
            stored = {name: values[rows].to(on) for name, values in patches.items()}
            present_rows = present[rows].to(on)
            with torch.no_grad():
                answer = answer_of(
                    self.network_(self.transform_.apply(stored, present_rows), present_rows)
                )
                votes = overall_vote(answer, present_rows, self.config_.voting)
            yield votes.cpu().numpy()


def _as_cache(
    patches: Mapping[str, Tensor],
    present: Tensor,
    codes: NDArray[Any],
    places: NDArray[np.int64],
    classes: list[str],
) -> Cache:
    """Arrays as the trainer reads a cache, each record at its place; those between are absent."""
    from pathlib import Path

    N, rows = int(places.max()) + 1, torch.from_numpy(places)

    def placed(values: Tensor) -> Tensor:
        whole = values.new_zeros(N, *values.shape[1:])
        whole[rows] = values
        return whole

    specs = {
        name: ModalitySpec(
            name=name,
            n_patches=values.shape[1],
            n_features=values.shape[2],
            dtype="float32",
            records_per_chunk=1,
        )
        for name, values in patches.items()
    }
    return Cache(
        path=Path("X"),
        spec=CacheSpec(
            state=CacheState.COMPLETE,
            dataset="",
            classes=tuple(classes),
            columns=(),
            n_records=N,
            modalities=specs,
        ),
        modalities=tuple(specs),
        record_ids=tuple(map(str, range(N))),
        labels=placed(torch.from_numpy(codes.astype(np.int64))),
        columns={},
        features={name: placed(values) for name, values in patches.items()},
        present=placed(present),
    )
