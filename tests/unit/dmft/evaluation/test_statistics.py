"""Statistics, held against figures that can be counted by hand."""

import math
from fractions import Fraction

import numpy as np
import pytest

from dmft.evaluation.significance import (
    bootstrap_interval,
    bootstrap_macro_f1,
    calibration_error,
    mcnemar,
    mcnemar_p,
    paired_test,
    wilson,
)
from pipeline.contract import ConfigError


def test_an_interval_has_the_width_that_theory_gives():
    values = np.repeat([0.0, 1.0], [100, 300])
    found = bootstrap_interval(values)
    half = 1.96 * np.sqrt(0.75 * 0.25 / 400)
    assert found.value == 0.75
    assert found.low == pytest.approx(0.75 - half, abs=0.005)
    assert found.high == pytest.approx(0.75 + half, abs=0.005)
    assert bootstrap_interval(values) == found, "the same seed draws the same records"


def test_people_who_differ_widen_the_interval():
    values = np.repeat([0.5, 0.7, 0.9, 1.0], 50)
    people = np.repeat([1, 3, 5, 7], 50)
    alone, together = bootstrap_interval(values), bootstrap_interval(values, people)
    assert together.high - together.low > 3 * (alone.high - alone.low)


def test_clusters_of_different_sizes_weigh_by_their_records():
    assert bootstrap_interval(np.ones(5), np.array([1, 1, 1, 1, 2])).low == 1.0


def test_no_values_and_a_senseless_level_are_refused():
    with pytest.raises(ConfigError, match="values has 0 records"):
        bootstrap_interval(np.array([]))
    with pytest.raises(ConfigError, match=r"level is 95: wanted a number between 0 and 1"):
        bootstrap_interval(np.ones(3), level=95)


@pytest.mark.parametrize(("n_first", "n_second", "p"), [(1, 5, 14 / 64), (0, 5, 2 / 32), (3, 3, 1)])
def test_mcnemar_counts_the_binomial_exactly(n_first, n_second, p):
    first = np.array([True] * n_first + [False] * n_second + [True] * 7)
    second = np.array([False] * n_first + [True] * n_second + [True] * 7)
    found = mcnemar(first, second)
    assert (found.n_only_first, found.n_only_second) == (n_first, n_second)
    assert found.p == pytest.approx(p)


@pytest.mark.parametrize(("n_first", "n_second"), [(450, 549), (450, 550), (451, 549), (700, 800)])
def test_mcnemar_has_one_p_for_the_same_counts_however_many_they_are(n_first, n_second):
    """The report once took another, approximate test from 1,000 records on."""
    first = np.repeat([True, False], [n_first, n_second])
    n, least = n_first + n_second, min(n_first, n_second)
    exact = Fraction(2 * sum(math.comb(n, k) for k in range(least + 1)), 2**n)
    assert mcnemar_p(n_first, n_second) == mcnemar(first, ~first).p
    assert mcnemar_p(n_first, n_second) == pytest.approx(float(exact), rel=1e-9)


def test_mcnemar_of_equal_predictions_shows_nothing_and_of_many_does_not_overflow():
    same = np.ones(10, dtype=bool)
    assert mcnemar(same, same).p == 1.0
    assert mcnemar(np.ones(5000, dtype=bool), np.zeros(5000, dtype=bool)).p < 1e-300
    with pytest.raises(ConfigError, match="predictions are of 10 and of 9 records"):
        mcnemar(same, same[:9])


def test_the_paired_test_counts_all_signs_of_few_pairs():
    assert paired_test(np.array([1.0, 2.0, 3.0, 4.0])) == pytest.approx(2 / 16)
    assert paired_test(np.zeros(4)) == 1.0
    assert paired_test(np.array([0.3])) == 1.0
    with pytest.raises(ConfigError, match="differences has 0 pairs"):
        paired_test(np.array([]))


def test_the_paired_test_draws_signs_of_many_pairs():
    assert paired_test(np.full(30, 0.5)) < 1e-3
    assert paired_test(np.tile([1.0, -1.0], 15)) == 1.0


def test_calibration_error_is_the_distance_of_confidence_from_accuracy():
    labels = np.arange(100) % 10 >= 7
    sure = np.tile([0.7, 0.3], (100, 1))
    assert calibration_error(sure, labels.astype(int), n_steps=1) == pytest.approx(0.0)
    too_sure = np.tile([1.0, 0.0], (100, 1))
    assert calibration_error(too_sure, labels.astype(int), n_steps=1) == pytest.approx(0.3)
    assert calibration_error(np.zeros((0, 3)), np.zeros(0, dtype=int)) == 0.0
    with pytest.raises(ConfigError, match="probabilities are of 2 records, labels of 3"):
        calibration_error(np.ones((2, 2)), np.zeros(3, dtype=int))


@pytest.mark.parametrize(
    ("n_hits", "n", "low", "high"),
    [(0, 10, 0.0, 0.2775), (10, 10, 0.7225, 1.0), (50, 100, 0.4038, 0.5962), (0, 0, 0.0, 1.0)],
)
def test_wilsons_interval_is_the_published_one(n_hits, n, low, high):
    assert wilson(n_hits, n) == pytest.approx((low, high), abs=1e-4)


def test_a_proportion_above_one_is_refused():
    with pytest.raises(ValueError, match="7 hits of 5"):
        wilson(7, 5)


def test_the_bootstrap_surrounds_the_macro_f1_and_repeats_itself():
    matrix = [[8, 2], [1, 9]]
    low, high = bootstrap_macro_f1(matrix)
    assert low < 0.8496 < high
    assert (low, high) == bootstrap_macro_f1(matrix)
    assert bootstrap_macro_f1([[5, 0], [0, 5]]) == (1.0, 1.0)
    assert bootstrap_macro_f1([[0]]) == (0.0, 1.0)


def test_mcnemars_test_is_exact_and_goes_on_for_many():
    assert mcnemar_p(0, 5) == pytest.approx(2 / 32)
    assert mcnemar_p(3, 3) == 1
    assert mcnemar_p(450, 549) == pytest.approx(mcnemar_p(451, 549), abs=3e-4)
