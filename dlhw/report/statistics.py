"""Means with their intervals, and differences that are paired over seeds. Every interval is one of 95 %.

Bootstrap: Efron and Tibshirani, An Introduction to the Bootstrap, 1993. The draws have a fixed seed: the same results, the same report.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

LEVEL = 0.95
DRAWS = 10_000
FEWEST = 3  # seeds that an interval over seeds is drawn from


@dataclass(frozen=True)
class Estimate:
    """A mean, its interval (None: there is none) and what the interval is over: ``seeds`` or ``test samples``."""

    mean: float
    low: float | None
    high: float | None
    n: int
    over: str = "seeds"


def mean_over_seeds(values: Sequence[float]) -> Estimate:
    """The mean of one value a seed, with its percentile bootstrap interval from ``FEWEST`` seeds on."""
    x = np.asarray(values, np.float64)
    mean = float(x.mean())
    if len(x) < FEWEST or not np.isfinite(x).all():
        return Estimate(mean, None, None, len(x))
    low, high = _percentiles(_resampled(x).mean(axis=1))
    return Estimate(mean, low, high, len(x))


def over_samples(samples: int, score: Callable[[NDArray[np.intp]], float], draws: int = 1000) -> Estimate:
    """The score of one run with its bootstrap interval over the test samples; ``score`` takes the rows that were drawn."""
    random = np.random.default_rng(0)
    drawn = [score(random.integers(samples, size=samples)) for _ in range(draws)]
    low, high = _percentiles(np.asarray(drawn))
    return Estimate(score(np.arange(samples)), low, high, samples, "test samples")


def paired_difference(first: Mapping[int, float], second: Mapping[int, float]) -> Estimate | None:
    """``first`` minus ``second``, seed by seed over the seeds that both have; None without a common one."""
    common = sorted(first.keys() & second.keys())
    return mean_over_seeds([first[seed] - second[seed] for seed in common]) if common else None


def _resampled(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.random.default_rng(0).choice(x, size=(DRAWS, len(x)))


def _percentiles(drawn: NDArray[np.float64]) -> tuple[float, float]:
    low, high = np.nanpercentile(drawn, [50 * (1 - LEVEL), 50 * (1 + LEVEL)])
    return float(low), float(high)
