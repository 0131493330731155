"""Means with their intervals, and differences that are paired over seeds or over parts. Every interval is one of 95 %.

Of few values a percentile bootstrap is too narrow (of three it covers far less than it says), so theirs is Student's t interval; from
``BOOTSTRAPPED`` on it is the percentile bootstrap, which assumes no normal distribution: Efron and Tibshirani, An Introduction to the
Bootstrap, 1993. The draws have a fixed seed: the same results, the same report.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Key = TypeVar("Key", int, str)  # a seed, or the name of a part

Interval = tuple[float, float]  # lower and upper end

LEVEL = 0.95
DRAWS = 10_000
FEWEST = 3  # values that an interval of their mean is made from
BOOTSTRAPPED = 20  # values from which on that interval is a bootstrap's
INTERVAL = f"Student's t interval of three to {BOOTSTRAPPED - 1} values, bootstrap interval from {BOOTSTRAPPED} on"


@dataclass(frozen=True)
class Estimate:
    """A mean, its interval (None: there is none) and what the interval is over: ``seeds``, ``parts`` or ``test samples``."""

    mean: float
    low: float | None
    high: float | None
    n: int
    over: str = "seeds"


def mean_with_interval(values: Sequence[float], over: str = "seeds") -> Estimate:
    """The mean of one value a seed (or a part), with its interval from ``FEWEST`` values on: Student's t, then the bootstrap's."""
    x = np.asarray(values, np.float64)
    mean = float(x.mean())
    if len(x) < FEWEST or not np.isfinite(x).all():
        return Estimate(mean, None, None, len(x), over)
    if len(x) < BOOTSTRAPPED:
        half = float(stats.t.ppf(0.5 * (1 + LEVEL), len(x) - 1) * x.std(ddof=1)) / math.sqrt(len(x))
        low, high = mean - half, mean + half
    else:
        low, high = _percentiles(_resampled(x).mean(axis=1))
    return Estimate(mean, low, high, len(x), over)


def over_samples(samples: int, scores: Callable[[NDArray[np.intp]], Mapping[str, float]], draws: int = 1000) -> dict[str, Interval]:
    """The bootstrap intervals of one run's scores over the test samples; ``scores`` takes the rows that were drawn."""
    random = np.random.default_rng(0)
    drawn = [scores(random.integers(samples, size=samples)) for _ in range(draws)]
    found = {name: [some.get(name, math.nan) for some in drawn] for name in drawn[0]}
    return {name: _percentiles(np.asarray(values)) for name, values in found.items() if np.isfinite(values).any()}


def paired_difference(first: Mapping[Key, float], second: Mapping[Key, float], over: str = "seeds") -> Estimate | None:
    """``first`` minus ``second``, seed by seed (or part by part) over those that both have; None without a common one."""
    common = sorted(first.keys() & second.keys())
    return mean_with_interval([first[key] - second[key] for key in common], over) if common else None


def _resampled(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.random.default_rng(0).choice(x, size=(DRAWS, len(x)))


def _percentiles(drawn: NDArray[np.float64]) -> Interval:
    low, high = np.nanpercentile(drawn, [50 * (1 - LEVEL), 50 * (1 + LEVEL)])
    return float(low), float(high)
