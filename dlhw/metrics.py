"""The metrics of each kind of labels, computed once over a whole split."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor
from torchmetrics import Metric, MetricCollection
from torchmetrics.classification import (
    MulticlassAccuracy,
    MulticlassF1Score,
    MulticlassPrecision,
    MulticlassRecall,
    MultilabelAccuracy,
    MultilabelF1Score,
    MultilabelPrecision,
    MultilabelRecall,
)
from torchmetrics.functional.classification import binary_auroc, binary_average_precision
from torchmetrics.utilities import dim_zero_cat

from dlhw.specs import ImageSpec


class OneAgainstRest(Metric):
    """The mean over classes of a ranking score of one class against the rest.

    A class that no sample of the split has, or every one, gives nothing to rank. It is left out of the mean, which is NaN where none
    remains: torchmetrics counts an AUC of 0 for it, which would depend on the split, not on the network.

    Args:
        score: of probabilities (N,) and targets (N,), 0 or 1.
        first: the first class that counts.
    """

    probabilities: list[Tensor]
    targets: list[Tensor]

    def __init__(self, score: Callable[..., Tensor], first: int = 0) -> None:
        super().__init__()
        self.score, self.first = score, first
        self.add_state("probabilities", default=[], dist_reduce_fx="cat")
        self.add_state("targets", default=[], dist_reduce_fx="cat")

    def update(self, probabilities: Tensor, targets: Tensor) -> None:
        self.probabilities.append(probabilities)
        self.targets.append(targets)

    def compute(self) -> Tensor:
        probabilities, targets = dim_zero_cat(self.probabilities), dim_zero_cat(self.targets)
        scores = []
        for k in range(self.first, probabilities.shape[1]):
            true = (targets[:, k] if targets.ndim == 2 else targets == k).long()
            if 0 < true.sum() < len(true):
                scores.append(self.score(probabilities[:, k], true, validate_args=False))
        return torch.stack(scores).mean() if scores else torch.tensor(torch.nan, device=probabilities.device)


@contextmanager
def counted_by_torch() -> Iterator[None]:
    """Let torchmetrics count with ``torch.bincount``, whose counts of samples are the same each time on every device. Where algorithms have
    to be deterministic it would make a table of samples by classes squared: 80 GB of 10,000 samples in 1,000 classes.
    """
    required, warn_only = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    torch.use_deterministic_algorithms(False)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(required, warn_only=warn_only)


def classification_metrics(spec: ImageSpec) -> MetricCollection:
    """Accuracy and AUC as MedMNIST defines them, and macro precision, recall, F1 and average precision.

    Accuracy is the share of pictures whose most likely class is right; for multi-label sets the share of right labels at a threshold of
    0.5, averaged over labels. AUC is one class against the rest, averaged over classes; with two classes it is that of the second alone
    (Yang et al., MedMNIST v2, 2023). Classes that a split lacks count in neither AUC nor average precision, nor, unless one was predicted
    where none was, in the other macro means.
    Takes probabilities (N, K) and targets (N,), or (N, K) for multi-label sets.
    """
    k = spec.outputs
    curves: dict[str, Metric | MetricCollection] = {
        "auc": OneAgainstRest(binary_auroc, first=1 if spec.labels == "binary-class" else 0),
        "average_precision": OneAgainstRest(binary_average_precision),
    }
    if spec.labels == "multi-label":
        return MetricCollection(
            curves
            | {
                "acc": MultilabelAccuracy(k, average="macro", validate_args=False),
                "precision": MultilabelPrecision(k, average="macro", validate_args=False),
                "recall": MultilabelRecall(k, average="macro", validate_args=False),
                "f1": MultilabelF1Score(k, average="macro", validate_args=False),
            }
        )
    return MetricCollection(
        curves
        | {
            "acc": MulticlassAccuracy(k, average="micro", validate_args=False),
            "precision": MulticlassPrecision(k, average="macro", validate_args=False),
            "recall": MulticlassRecall(k, average="macro", validate_args=False),
            "f1": MulticlassF1Score(k, average="macro", validate_args=False),
        }
    )


def right(probabilities: Tensor, targets: Tensor) -> Tensor:
    """How right each prediction is, (N,): 1 or 0, or the share of right labels of a multi-label set. Its mean is the accuracy."""
    if targets.ndim == 2:
        return ((probabilities > 0.5) == (targets > 0.5)).to(torch.float32).mean(dim=1)
    return (probabilities.argmax(dim=1) == targets).to(torch.float32)
