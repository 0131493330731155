"""The metrics of each kind of labels, computed once over a whole split."""

import torch
from torch import Tensor
from torchmetrics import MetricCollection
from torchmetrics.classification import (
    MulticlassAccuracy,
    MulticlassAUROC,
    MulticlassAveragePrecision,
    MulticlassF1Score,
    MulticlassPrecision,
    MulticlassRecall,
    MultilabelAccuracy,
    MultilabelAUROC,
    MultilabelAveragePrecision,
    MultilabelF1Score,
    MultilabelPrecision,
    MultilabelRecall,
)

from dlhw.specs import ImageSpec


def classification_metrics(spec: ImageSpec) -> MetricCollection:
    """Accuracy and AUC as MedMNIST defines them, and macro precision, recall, F1 and average precision.

    AUC is one class against the rest, averaged over classes. Accuracy is the share of pictures whose most likely class is right;
    for multi-label sets the share of right labels at a threshold of 0.5, averaged over labels (Yang et al., MedMNIST v2, 2023).
    Takes probabilities (N, K) and targets (N,), or (N, K) for multi-label sets.
    """
    k = spec.outputs
    if spec.labels == "multi-label":
        return MetricCollection(
            {
                "acc": MultilabelAccuracy(k, average="macro", validate_args=False),
                "auc": MultilabelAUROC(k, average="macro", validate_args=False),
                "precision": MultilabelPrecision(k, average="macro", validate_args=False),
                "recall": MultilabelRecall(k, average="macro", validate_args=False),
                "f1": MultilabelF1Score(k, average="macro", validate_args=False),
                "average_precision": MultilabelAveragePrecision(k, average="macro", validate_args=False),
            }
        )
    return MetricCollection(
        {
            "acc": MulticlassAccuracy(k, average="micro", validate_args=False),
            "auc": MulticlassAUROC(k, average="macro", validate_args=False),
            "precision": MulticlassPrecision(k, average="macro", validate_args=False),
            "recall": MulticlassRecall(k, average="macro", validate_args=False),
            "f1": MulticlassF1Score(k, average="macro", validate_args=False),
            "average_precision": MulticlassAveragePrecision(k, average="macro", validate_args=False),
        }
    )


def right(probabilities: Tensor, targets: Tensor) -> Tensor:
    """How right each prediction is, (N,): 1 or 0, or the share of right labels of a multi-label set. Its mean is the accuracy."""
    if targets.ndim == 2:
        return ((probabilities > 0.5) == (targets > 0.5)).to(torch.float32).mean(dim=1)
    return (probabilities.argmax(dim=1) == targets).to(torch.float32)
