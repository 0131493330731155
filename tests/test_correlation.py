"""Correlations of whole splits, against SciPy and the course's code."""

import numpy as np
import pytest
from scipy import stats

from dlhw.correlation import pearson, spearman


@pytest.fixture
def values() -> tuple[np.ndarray, np.ndarray]:
    """Predictions and measured values of 4 columns with many ties, a fifth of the measured ones missing."""
    draw = np.random.default_rng(0)
    measured = draw.integers(0, 12, (300, 4)).astype(np.float32)
    predicted = np.round(measured * [[0.5, -0.5, 0, 0.1]] + draw.normal(size=(300, 4)), 1).astype(np.float32)
    measured[draw.random((300, 4)) < 0.2] = np.nan
    return predicted, measured


@pytest.mark.parametrize(("ours", "theirs"), [(spearman, stats.spearmanr), (pearson, stats.pearsonr)])
def test_equal_to_scipy_with_ties_and_missing_values(values, ours, theirs):
    predicted, measured = values
    found = ours(predicted, measured)
    for column in range(4):
        there = ~np.isnan(measured[:, column])
        assert 0 < there.sum() < 300
        expected = theirs(predicted[there, column].astype(float), measured[there, column].astype(float)).statistic
        assert found[column] == pytest.approx(expected, abs=1e-12)


def test_ranks_of_the_course_break_ties_by_the_order_of_the_rows(values):
    predicted, measured = values
    found = spearman(predicted, measured, ranks="course")
    for column in range(4):
        there = ~np.isnan(measured[:, column])
        x, y = (part[there, column].argsort(kind="stable").argsort(kind="stable").astype(float) for part in (predicted, measured))
        assert found[column] == pytest.approx(np.corrcoef(x, y)[0, 1], abs=1e-12)
    assert found != pytest.approx(spearman(predicted, measured), abs=1e-3)


def test_ranks_of_the_course_agree_where_nothing_is_tied():
    draw = np.random.default_rng(1)
    x, y = draw.normal(size=(2, 500, 1))
    assert spearman(x, y, ranks="course") == pytest.approx(spearman(x, y), abs=1e-12)


NO_CORRELATION = {
    "constant prediction": ([1, 1, 1], [1, 2, 3]),
    "constant measurement": ([1, 2, 3], [2, 2, 2]),
    "constant where measured": ([1, 1, 2], [1, 2, np.nan]),
    "NaN prediction": ([1, np.nan, 3], [1, 2, 3]),
    "infinite prediction": ([1, np.inf, 3], [1, 2, 3]),
    "one measured value": ([1, 2, 3], [np.nan, 2, np.nan]),
    "no measured value": ([1, 2, 3], [np.nan] * 3),
}


@pytest.mark.parametrize("case", NO_CORRELATION)
@pytest.mark.filterwarnings("error")
def test_what_has_no_correlation_is_nan(case):
    predicted, measured = (np.column_stack([part, [1, 2, 4]]) for part in NO_CORRELATION[case])
    for ranks in ("average", "course"):
        assert np.isnan(spearman(predicted, measured, ranks)[0])
        assert spearman(predicted, measured, ranks)[1] == pytest.approx(1)  # the column beside it
    assert np.isnan(pearson(predicted, measured)[0])


def test_a_nan_prediction_counts_only_where_something_was_measured():
    predicted, measured = np.array([[1.0], [np.nan], [3.0], [2.0]]), np.array([[1.0], [np.nan], [3.0], [2.0]])
    assert spearman(predicted, measured)[0] == pearson(predicted, measured)[0] == pytest.approx(1)
