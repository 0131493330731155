"""Rank and linear correlation over a whole split, a column at a time. NumPy and SciPy only.

Legend: N samples, P columns.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

Values = NDArray[np.floating]
RANKS = ("average", "course")


def spearman(predicted: Values, measured: Values, ranks: str = "average") -> Values:
    """Spearman's rank correlation of each column, over the rows where it was measured: (N, P), (N, P) -> (P,).

    ``ranks``: ``average`` gives equal values the mean of their ranks (the definition); ``course`` ranks them in the order in which they
    come, as the course's code does. NaN where the predictions or the measured values are constant, or a prediction is NaN.
    """

    def ranked(values: Values) -> Values:
        if ranks == "average":
            return rankdata(values)
        order = np.argsort(values, kind="stable")
        return np.argsort(order, kind="stable").astype(np.float64)

    return _by_column(predicted, measured, lambda a, b: _pearson(ranked(a), ranked(b)))


def pearson(predicted: Values, measured: Values) -> Values:
    """Pearson's correlation of each column, over the rows where it was measured: (N, P), (N, P) -> (P,). NaN as in :func:`spearman`."""
    return _by_column(predicted, measured, _pearson)


def _by_column(predicted: Values, measured: Values, correlation: Callable[[Values, Values], float]) -> Values:
    values = []
    for a, b in zip(predicted.T.astype(np.float64), measured.T.astype(np.float64), strict=True):
        there = ~np.isnan(b)
        a, b = a[there], b[there]
        defined = len(a) > 1 and np.isfinite(a).all() and a.min() < a.max() and b.min() < b.max()
        values.append(correlation(a, b) if defined else np.nan)
    return np.array(values)


def _pearson(a: Values, b: Values) -> float:
    a, b = a - a.mean(), b - b.mean()
    return float(a @ b / np.sqrt((a @ a) * (b @ b)))
