"""From measured intensities to what is learnt: clipped, perhaps logarithms or normal scores, with mean 0 and standard deviation 1.

Legend: N probes, P proteins.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from dlhw.errors import UserError

Values = NDArray[np.float32]
STANDARD_DEVIATIONS, NORMAL_SCORES = "standard deviations", "normal scores"  # units of what is learnt, and so of predictions


@dataclass(frozen=True)
class Scale:
    """What was fitted on one split, a value per protein: (P,) each."""

    least: NDArray[np.float64]
    most: NDArray[np.float64]
    mean: NDArray[np.float64]
    std: NDArray[np.float64]
    log: bool

    def apply(self, values: Values) -> Values:
        """(N, P) -> (N, P) in standard deviations from the mean; NaN stays NaN."""
        return ((_clipped(values, self.least, self.most, self.log) - self.mean) / self.std).astype(np.float32)


@dataclass(frozen=True)
class NormalScores:
    """The intensities of one split, sorted, of each protein: (N,) each, without NaN."""

    sorted: Sequence[NDArray[np.float32]]

    def apply(self, values: Values) -> Values:
        """(N, P) -> (N, P): the quantile of the standard normal distribution at a value's rank among those of the split, rank / (N + 1),
        the mean of its ranks where several are equal. What lies beyond all of them gets the lowest or the highest score; NaN stays NaN.
        """
        scores = np.full(values.shape, np.nan, np.float32)
        for protein, known in enumerate(self.sorted):
            there = ~np.isnan(values[:, protein])
            cut = values[there, protein].clip(known[0], known[-1])
            below, up_to = (np.searchsorted(known, cut, side) for side in ("left", "right"))
            rank = (below + up_to + 1) / 2
            scores[there, protein] = ndtri(rank / (len(known) + 1))
        return scores


def fit_scale(
    values: Values, proteins: tuple[str, ...], split: str, clip_percentile: float, log: bool = False, normal_scores: bool = False
) -> Scale | NormalScores:
    """The scale of intensities (N, P): values above a percentile are cut to it; logarithms are taken after a shift to 1 and more; normal
    scores keep the order of the values and nothing else.

    Args:
        split: what the values are of, for messages.

    Raises:
        UserError: a protein without a value, or with one value only.
    """
    for name, column in zip(proteins, values.T, strict=True):
        if np.isnan(column).all():
            raise UserError(f"{name} has no measured intensity among the probes of {split}: {without(name, proteins)} is right")
    most = np.nanpercentile(values, clip_percentile, axis=0).astype(np.float64)
    least = np.nanmin(values, axis=0).astype(np.float64)
    scaled = _clipped(values, least, most, log)
    mean, std = np.nanmean(scaled, axis=0), np.nanstd(scaled, axis=0)
    if flat := [name for name, spread in zip(proteins, std, strict=True) if spread == 0]:
        raise UserError(f"{', '.join(flat)} has the same intensity on all probes of {split}: there is nothing to learn")
    if normal_scores:
        return NormalScores([np.sort(column[~np.isnan(column)].clip(max=top)) for column, top in zip(values.T, most, strict=True)])
    return Scale(least, most, mean, std, log)


def without(name: str, names: Sequence[str]) -> str:
    """What is right where a protein of several, or the only one, cannot be learnt."""
    return f"task.data.exclude=[{name}]" if len(names) > 1 else "another task.data.protein"


def unit_of(settings: Mapping[str, Any]) -> str:
    """The unit of what a run learns and predicts, by the settings of its data; those of older runs know standard deviations only."""
    return NORMAL_SCORES if settings.get("normal_scores") else STANDARD_DEVIATIONS


def _clipped(values: Values, least: NDArray[np.float64], most: NDArray[np.float64], log: bool) -> NDArray[np.float64]:
    cut = np.minimum(values.astype(np.float64), most)
    return np.log(np.maximum(cut - least, 0.0) + 1.0) if log else cut
