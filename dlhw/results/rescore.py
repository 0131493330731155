"""The test metrics of a run, computed again from the predictions that it has stored. NumPy, SciPy, scikit-learn and rapidfuzz only.

An independent second computation: the tasks measure with torch and torchmetrics.
"""

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax
from sklearn import metrics as sk

from dlhw.correlation import pearson, spearman
from dlhw.edit_distance import count_edits
from dlhw.predictions import indicators, sample_losses

Arrays = Mapping[str, NDArray[Any]]


def rescore(spec: Mapping[str, Any], settings: Mapping[str, Any], predictions: Arrays) -> dict[str, float]:
    """Metrics from stored predictions, under the names that they have in ``result.json``.

    Args:
        spec: of ``result.json``.
        settings: the run's flattened configuration.
        predictions: as the run stored them, or rows of them.

    Empty where what was to be predicted is not among the predictions.
    """
    if not {"targets", "measured", "reference"} & predictions.keys():
        return {}
    match spec["spec"]:
        case "ImageSpec":
            values = _classified(spec["labels"], len(spec["classes"]), predictions["probabilities"], predictions["targets"])
            if settings.get("model.softmax") == "output":  # the loss has applied a softmax of its own to the probabilities
                logits = predictions["probabilities"].astype(np.float64)
                values["loss"] = float(sample_losses(softmax(logits, axis=1), predictions["targets"]).mean())
            return values
        case "SequenceSpec":
            return _regressed(predictions["predicted"], predictions["measured"], str(settings.get("task.module.ranks", "average")))
        case "TextSpec" | "LineSpec":
            return _transcribed(predictions["reference"], predictions["hypothesis"])
    return {}


def _classified(labels: str, classes: int, probabilities: NDArray[Any], targets: NDArray[Any]) -> dict[str, float]:
    p, true = probabilities.astype(np.float64), indicators(targets, classes)
    there = [k for k in range(classes) if 0 < true[:, k].sum() < len(true)]
    ranked = [k for k in there if not (labels == "binary-class" and k == 0)]
    values = {
        "loss": float(sample_losses(probabilities, targets).mean()),
        "auc": float(np.mean([sk.roc_auc_score(true[:, k], p[:, k]) for k in ranked])) if ranked else np.nan,
        "average_precision": float(np.mean([sk.average_precision_score(true[:, k], p[:, k]) for k in there])) if there else np.nan,
    }
    said = p > 0.5 if labels == "multi-label" else p.argmax(axis=1)
    values["acc"] = float((said == (true if labels == "multi-label" else targets)).mean())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of classes that a split lacks
        answer = sk.precision_recall_fscore_support(true if labels == "multi-label" else targets, said, average="macro", zero_division=0)
    return values | dict(zip(("precision", "recall", "f1"), map(float, answer[:3]), strict=True))


def _regressed(predicted: NDArray[Any], measured: NDArray[Any], ranks: str) -> dict[str, float]:
    predicted, measured = (part.reshape(len(part), -1) for part in (predicted, measured))
    there = ~np.isnan(measured).all(axis=0)
    predicted, measured = predicted[:, there], measured[:, there]
    return {
        "spearman": float(spearman(predicted, measured, ranks).mean()),
        "pearson": float(pearson(predicted, measured).mean()),
    }


def _transcribed(reference: NDArray[Any], hypothesis: NDArray[Any]) -> dict[str, float]:
    hypothesis = hypothesis.reshape(len(reference), -1)
    edits = count_edits(reference.tolist(), hypothesis.tolist())
    values = {"cer": edits.cer, "wer": edits.wer}
    return values | ({f"wer@{hypothesis.shape[1]}": edits.wer_at_k} if hypothesis.shape[1] > 1 else {})
