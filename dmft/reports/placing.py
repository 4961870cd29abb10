"""Where records lie on a map: what a model says of them, wide, in two dimensions.

Principal components keep distances as well as two axes can. UMAP keeps who is near to whom, and its
distances and axes say nothing; its package is heavy, and imported where it is asked for alone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.contract import ConfigError

Places = tuple[NDArray[np.float64], NDArray[np.float64] | None]
"""Shapes: (B, 2); and the part of the variance that each axis holds, (2,), where there is one."""
MAPS = ("pca", "umap")
N_NEIGHBOURS = 15
SEED = 0


def placing(kind: str) -> Callable[[NDArray[np.float64]], Places]:
    """The function that gives records, (B, W), their places.

    Raises:
        ConfigError: there is no such map, or its package is not installed.
    """
    if kind == "pca":
        return principal_components
    if kind != "umap":
        raise ConfigError(f"map is {kind!r}: wanted {' or '.join(MAPS)}")
    try:
        from umap import UMAP
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"a map by umap needs a package that is not installed ({error.name}): pip install "
            "'dmft[umap]', or take pca"
        ) from error

    def neighbours(values: NDArray[np.float64]) -> Places:
        if len(values) < 4:  # of so few it makes no graph
            return principal_components(values)
        reducer: Any = UMAP(
            n_neighbors=min(N_NEIGHBOURS, len(values) - 1), random_state=SEED, n_jobs=1
        )
        return np.asarray(reducer.fit_transform(values), dtype=np.float64), None

    return neighbours


def principal_components(values: NDArray[np.float64]) -> Places:
    """The first two principal components, and the part of the variance that each holds.

    The larger end of each component is positive, so that the same values give the same map.

    Shapes: (B, W) -> (B, 2), (2,).
    """
    centred = values - values.mean(axis=0)
    left, scale, _ = np.linalg.svd(centred, full_matrices=False)
    places = np.zeros((len(values), 2))
    n = min(2, len(scale))
    places[:, :n] = left[:, :n] * scale[:n]
    sign = np.sign(places[np.abs(places).argmax(axis=0), [0, 1]])
    variance = np.zeros(2)
    variance[:n] = scale[:n] ** 2 / max(float((scale**2).sum()), 1e-12)
    return places * np.where(sign == 0, 1, sign), variance
