"""Probes that were measured more than once: how well one measurement foretells another is what a prediction can be held against.

Legend: N probes, L padded length, P proteins.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

LEAST = 100  # probes that were measured again; a correlation of fewer tells little


def as_texts(codes: NDArray[np.uint8]) -> NDArray[Any]:
    """Each row of (N, L) as one value that sorts and compares fast: (N,). The padding is no zero byte, so nothing is cut off."""
    return np.ascontiguousarray(codes).view(f"S{codes.shape[1]}").ravel()


def measured_again(codes: NDArray[np.uint8], values: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
    """``second_measurement``: for each probe what another one with the same sequence measured, (N, P).

    Of several others it is the next one, and for the last the first; NaN for a sequence that stands once. Empty where fewer than
    :data:`LEAST` probes stand with others.

    Args:
        codes: bases, (N, L).
        values: intensities, (N, P).
    """
    _, sequence, times = np.unique(as_texts(codes), return_inverse=True, return_counts=True)
    if times[times > 1].sum() < LEAST:
        return {}
    order = np.argsort(sequence, kind="stable")  # equal sequences side by side
    sequence, first = sequence[order], (np.cumsum(times) - times)[sequence[order]]
    place = np.arange(len(order)) - first  # of a probe among those of its sequence
    other = order[first + (place + 1) % times[sequence]]
    again = np.full_like(values, np.nan)
    several = times[sequence] > 1
    again[order[several]] = values[other[several]]
    return {"second_measurement": again}
