"""Figures on cases that can be counted by hand."""

import numpy as np
import pytest
import torch

from dmft.evaluation.baseline import distances
from dmft.evaluation.metrics import (
    accuracy,
    class_accuracies,
    confusion,
    macro_f1,
    vote_metrics,
)
from dmft.models import answer_of
from dmft.models.vote import SUM


def test_confusion_counts_classes_in_rows_and_predictions_in_columns():
    matrix = confusion(torch.tensor([0, 0, 1, 2]), torch.tensor([0, 1, 1, 0]), 3)
    assert matrix.tolist() == [[1, 1, 0], [0, 1, 0], [1, 0, 0]]
    assert accuracy(matrix) == 0.5
    assert class_accuracies(matrix) == (0.5, 1.0, 0.0)


def test_macro_f1_is_the_mean_over_classes_that_occur():
    matrix = confusion(torch.tensor([0, 0, 1, 1]), torch.tensor([0, 1, 1, 1]), 4)
    assert macro_f1(matrix) == pytest.approx((2 / 3 + 4 / 5) / 2)
    assert class_accuracies(matrix)[3] is None
    assert macro_f1(np.zeros((2, 2), np.int64)) == 0


def test_a_modality_is_measured_on_the_records_that_have_it():
    certain = torch.tensor([[9.0, 0.0], [0.0, 9.0], [9.0, 0.0]])
    wrong = certain.flip(1)
    logits = torch.stack(
        [torch.stack([certain, certain], 1), torch.stack([certain, wrong * 2], 1)], 1
    )
    present = torch.tensor([[True, False], [True, True], [False, False]])
    metrics = vote_metrics(answer_of(logits), present, torch.tensor([0, 1, 0]), ("a", "b"), SUM)
    assert (metrics.n_records, metrics.n_without_modality) == (2, 1)
    assert metrics.modalities["a"].accuracy == 1
    assert metrics.modalities["a"].n_records == 2
    assert metrics.modalities["b"].n_records == 1
    assert metrics.modalities["b"].spatial.accuracy == 1
    assert metrics.modalities["b"].temporal.accuracy == 0


def test_the_nearest_neighbour_is_sought_over_common_modalities():
    train = {"a": torch.tensor([[[0.0]], [[5.0]]]), "b": torch.tensor([[[9.0]], [[0.0]]])}
    test = {"a": torch.tensor([[[4.0]], [[4.0]]]), "b": torch.tensor([[[9.0]], [[9.0]]])}
    both = torch.ones(2, 2, dtype=torch.bool)
    only_first = torch.tensor([[True, False], [True, True]])
    found = distances(train, both, test, only_first).argmin(dim=1)
    assert found.tolist() == [1, 0]


def test_a_modality_has_a_confusion_matrix_of_its_own():
    certain = torch.tensor([[9.0, 0.0], [0.0, 9.0]])
    logits = torch.stack(
        [torch.stack([certain, certain], 1), torch.stack([certain.flip(1)] * 2, 1)]
    )
    metrics = vote_metrics(
        answer_of(logits.transpose(0, 1)),
        torch.ones(2, 2, dtype=torch.bool),
        torch.tensor([0, 1]),
        ("a", "b"),
        SUM,
    )
    assert metrics.modalities["a"].confusion == ((1, 0), (0, 1))
    assert metrics.modalities["b"].confusion == ((0, 1), (1, 0))
