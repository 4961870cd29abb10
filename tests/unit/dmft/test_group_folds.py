from __future__ import annotations

import numpy as np
import pytest

from dmft.protocols.group_folds import group_folds


@pytest.mark.parametrize("stratified", [True, False])
@pytest.mark.parametrize("seed", range(5))
def test_every_group_is_in_one_fold_and_no_fold_is_empty(seed: int, stratified: bool) -> None:
    rng = np.random.default_rng(seed)
    groups = np.repeat(np.arange(16), rng.integers(1, 50, 16))
    labels = rng.integers(0, 14, len(groups))
    folds = group_folds(groups, labels, 5, stratified=stratified, seed=seed)
    assert sorted(group for fold in folds for group in fold) == list(range(16))
    assert all(folds)
    assert folds == group_folds(groups, labels, 5, stratified=stratified, seed=seed)


def test_classes_are_spread_where_groups_allow() -> None:
    groups = np.repeat(np.arange(8), 4)
    labels = np.repeat(np.arange(8) % 2, 4)  # half of the people do one thing, half another
    for fold in group_folds(groups, labels, 4, stratified=True, seed=1):
        assert sorted(group % 2 for group in fold) == [0, 1]


def test_as_many_folds_as_groups_are_one_each() -> None:
    groups = np.array([1, 1, 1, 2, 3])
    folds = group_folds(groups, np.zeros(5, int), 3, stratified=True, seed=0)
    assert folds == [(1,), (2,), (3,)]
