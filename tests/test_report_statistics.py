"""Means, intervals and paired differences, against hand-worked cases and scipy."""

import numpy as np
import pytest
from scipy import stats

from dlhw.results.statistics import mean_with_interval, over_samples, paired_difference


@pytest.mark.parametrize("seeds", [3, 5])
def test_the_interval_of_few_values_is_students(seeds):
    values = [0.91, 0.94, 0.93, 0.95, 0.90][:seeds]
    found = mean_with_interval(values, "parts")
    reference = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((reference.low, reference.high)) and (found.n, found.over) == (seeds, "parts")


def test_the_interval_of_more_values_is_that_of_the_percentile_bootstrap():
    values = np.random.default_rng(3).normal(0.9, 0.02, 22).tolist()
    found = mean_with_interval(values)
    reference = stats.bootstrap(
        (values,), np.mean, method="percentile", n_resamples=20_000, rng=np.random.default_rng(1)
    ).confidence_interval
    assert found.mean == pytest.approx(np.mean(values)) and found.n == 22 and found.over == "seeds"
    assert (found.low, found.high) == pytest.approx((reference.low, reference.high), abs=1e-3)
    assert mean_with_interval(values) == found  # the draws are fixed


@pytest.mark.parametrize("values", [[0.5], [0.5, 0.7]])
def test_few_seeds_have_no_interval(values):
    found = mean_with_interval(values)
    assert (found.low, found.high) == (None, None) and found.mean == pytest.approx(np.mean(values))


def test_differences_are_paired_over_common_seeds():
    found = paired_difference({0: 0.9, 1: 0.8, 2: 0.7, 5: 0.0}, {2: 0.6, 1: 0.7, 0: 0.8, 7: 1.0})
    assert found is not None and found.n == 3
    assert (found.mean, found.low, found.high) == pytest.approx((0.1, 0.1, 0.1))
    assert paired_difference({0: 1.0}, {1: 1.0}) is None


def test_the_interval_over_samples_is_near_the_binomial_one():
    right = np.arange(400) < 360
    low, high = over_samples(400, lambda rows: {"acc": float(right[rows].mean())})["acc"]
    wilson = stats.binomtest(360, 400).proportion_ci(method="wilson")
    assert (low, high) == pytest.approx((wilson.low, wilson.high), abs=0.01)
