"""What can be read off the predictions that a run has stored. NumPy only, so that a report needs no torch.

Legend: N samples, K classes or labels. ``targets`` are integers (N,), or 0 and 1 (N, K) for multi-label sets.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]
TINY = 1e-45  # the smallest probability that a loss is computed from: float32 rounds lower ones to 0


def confusion_counts(targets: NDArray[np.integer], predicted: NDArray[np.integer], classes: int) -> NDArray[np.int64]:
    """How often each class was taken for each: (K, K), rows the true class, columns the predicted one."""
    return np.bincount(targets * classes + predicted, minlength=classes * classes).reshape(classes, classes)


def indicators(targets: NDArray[Any], classes: int) -> NDArray[np.bool_]:
    """Whether each class is true of each sample: (N, K)."""
    return targets > 0.5 if targets.ndim == 2 else targets[:, None] == np.arange(classes)


def precision_recall(true: NDArray[np.bool_], scores: Floats) -> tuple[Floats, Floats]:
    """Precision and recall of one class at each threshold, from the highest score to the lowest; equal scores share a threshold.

    ``true`` and ``scores`` are (N,). At least one sample must be true.
    """
    order = np.argsort(-scores, kind="stable")
    ranked = scores[order]
    last = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True))  # of each group of equal scores
    found = np.cumsum(true[order])[last]
    return found / (last + 1), found / found[-1]


def average_precision(precision: Floats, recall: Floats) -> float:
    """The mean of the precision over the recall, each step weighted by the recall that it gains (scikit-learn's definition)."""
    return float(np.diff(recall, prepend=0.0) @ precision)


def sample_losses(probabilities: Floats, targets: NDArray[Any]) -> Floats:
    """The cross-entropy of each sample in nats: (N,), or for multi-label sets of each label: (N, K)."""
    p = np.clip(probabilities.astype(np.float64), TINY, 1.0)
    if targets.ndim == 1:
        return -np.log(p[np.arange(len(targets)), targets])
    return -np.log(np.where(targets > 0.5, p, np.clip(1.0 - probabilities.astype(np.float64), TINY, 1.0)))
