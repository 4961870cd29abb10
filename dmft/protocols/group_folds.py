"""Groups of records to folds, so that no group is on both sides: whole people, sessions, places.

Pure arithmetic on labels and a column; protocols say which column and how many folds.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def group_folds(
    groups: NDArray[np.int64], labels: NDArray[np.int64], k: int, *, stratified: bool, seed: int
) -> list[tuple[int, ...]]:
    """Values of a column by fold, each in one; every fold has one at least.

    Stratified, large and one-sided groups are laid out first, each into the fold in which the
    classes' shares then differ least from fold to fold; else each goes into the smallest fold.
    Where a group has a class alone, no layout can spread it.

    Args:
        groups: Of each record, its group. Shapes: (n,).
        labels: Of each record, its class. Shapes: (n,).
        k: How many folds, at most as many as there are groups.
        stratified: Whether classes count.
        seed: Lays out groups that are alike in another order.

    Example:
        >>> groups, labels = np.array([1, 1, 2, 3, 3, 4]), np.array([0, 1, 0, 0, 1, 1])
        >>> group_folds(groups, labels, 2, stratified=True, seed=0)
        [(1, 4), (2, 3)]
    """
    names, at = np.unique(groups, return_inverse=True)
    counts = np.zeros((len(names), int(labels.max(initial=0)) + 1))
    np.add.at(counts, (at, labels), 1)
    if not stratified:
        counts = counts.sum(axis=1, keepdims=True)
    shuffled = np.random.default_rng(seed).permutation(len(names))
    order = shuffled[np.argsort(-counts[shuffled].std(axis=1), kind="stable")]
    if not stratified:
        order = shuffled[np.argsort(-counts[shuffled, 0], kind="stable")]
    wanted = np.maximum(counts.sum(axis=0), 1)
    held = np.zeros((k, counts.shape[1]))
    folds: list[list[int]] = [[] for _ in range(k)]
    for number, group in enumerate(order):
        n_left = len(order) - number
        empty = [fold for fold in range(k) if not folds[fold]]
        allowed = empty if len(empty) >= n_left else range(k)
        best = min(allowed, key=lambda fold: _unevenness(held, counts[group], wanted, fold))
        folds[best].append(int(names[group]))
        held[best] += counts[group]
    return sorted(tuple(sorted(fold)) for fold in folds)


def _unevenness(
    held: NDArray[np.float64], new: NDArray[np.float64], wanted: NDArray[np.float64], fold: int
) -> tuple[float, float]:
    """How much the classes' shares differ between folds with a group in one, then its size."""
    after = held.copy()
    after[fold] += new
    return float((after / wanted).std(axis=0).mean()), float(after[fold].sum())
