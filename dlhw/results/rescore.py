"""The test metrics of a run, computed again from the predictions that it has stored. NumPy, SciPy, scikit-learn and rapidfuzz only.

An independent second computation: the tasks measure with torch and torchmetrics.
"""

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax
from scipy.stats import rankdata
from sklearn import metrics as sk

from dlhw.correlation import pearson, spearman
from dlhw.edit_distance import count_edits
from dlhw.predictions import indicators, sample_losses

Arrays = Mapping[str, NDArray[Any]]


def rescore(spec: Mapping[str, Any], settings: Mapping[str, Any], predictions: Arrays, only: str | None = None) -> dict[str, float]:
    """Metrics from stored predictions, under the names that they have in ``result.json``.

    Args:
        spec: of ``result.json``.
        settings: the run's flattened configuration.
        predictions: as the run stored them, or rows of them.
        only: a metric that is needed; what takes longer than it is then left out.

    Empty where what was to be predicted is not among the predictions.
    """
    if not {"targets", "measured", "reference"} & predictions.keys():
        return {}
    match spec["spec"]:
        case "ImageSpec":
            values = _classified(spec["labels"], len(spec["classes"]), predictions["probabilities"], predictions["targets"], only)
            if settings.get("model.softmax") == "output":  # the loss has applied a softmax of its own to the probabilities
                logits = predictions["probabilities"].astype(np.float64)
                values["loss"] = float(sample_losses(softmax(logits, axis=1), predictions["targets"]).mean())
            return values
        case "SequenceSpec":
            return _regressed(spec["proteins"], settings, predictions["predicted"], predictions["measured"], only)
        case "TextSpec" | "LineSpec":
            return _transcribed(predictions, only)
    return {}


def _classified(labels: str, classes: int, probabilities: NDArray[Any], targets: NDArray[Any], only: str | None = None) -> dict[str, float]:
    p, true = probabilities.astype(np.float64), indicators(targets, classes)
    there = [k for k in range(classes) if 0 < true[:, k].sum() < len(true)]
    ranked = [k for k in there if not (labels == "binary-class" and k == 0)]
    said = p > 0.5 if labels == "multi-label" else p.argmax(axis=1)
    values = {
        "loss": float(sample_losses(probabilities, targets).mean()),
        "acc": float((said == (true if labels == "multi-label" else targets)).mean()),
    }
    if only in values:
        return values
    values["auc"] = float(_areas(p[:, ranked], true[:, ranked]).mean()) if ranked else np.nan
    if only == "auc":
        return values
    values["average_precision"] = float(np.mean([sk.average_precision_score(true[:, k], p[:, k]) for k in there])) if there else np.nan
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of classes that a split lacks
        answer = sk.precision_recall_fscore_support(true if labels == "multi-label" else targets, said, average="macro", zero_division=0)
    return values | dict(zip(("precision", "recall", "f1"), map(float, answer[:3]), strict=True))


def _areas(scores: NDArray[np.float64], true: NDArray[np.bool_]) -> NDArray[np.float64]:
    """The areas below the ROC curves, from the ranks of the scores (Hanley and McNeil, 1982): (N, K), (N, K) -> (K,)."""
    positive = true.sum(axis=0)
    above = (rankdata(scores, axis=0) * true).sum(axis=0) - positive * (positive + 1) / 2
    return above / (positive * (len(true) - positive))


def _regressed(
    proteins: Sequence[str], settings: Mapping[str, Any], predicted: NDArray[Any], measured: NDArray[Any], only: str | None = None
) -> dict[str, float]:
    """Means over the proteins that the split has values of, and of each of them: ``spearman:RBP04``."""
    predicted, measured = (part.reshape(len(part), -1) for part in (predicted, measured))
    error = (predicted.astype(np.float64) - measured)[~np.isnan(measured)]
    log_cosh = settings.get("task.module.loss") == "log_cosh"
    values = {"loss": float(np.mean(np.logaddexp(error, -error) - np.log(2) if log_cosh else error**2))}
    there = ~np.isnan(measured).all(axis=0)
    names = [name for name, labelled in zip(proteins, there, strict=True) if labelled]
    predicted, measured = predicted[:, there], measured[:, there]
    ranks = str(settings.get("task.module.ranks", "average"))
    for metric in ("spearman", "pearson"):
        if only and only.partition(":")[0] != metric:
            continue
        of_proteins = spearman(predicted, measured, ranks) if metric == "spearman" else pearson(predicted, measured)
        values[metric] = float(of_proteins.mean())
        values |= {f"{metric}:{name}": float(value) for name, value in zip(names, of_proteins, strict=True)}
    return values


def _transcribed(predictions: Arrays, only: str | None = None) -> dict[str, float]:
    """Rates over all texts, and of each group of them where there are several: ``cer:1572``."""
    reference = predictions["reference"].tolist()
    texts = predictions["hypothesis"].reshape(len(reference), -1)
    there = np.isfinite(predictions.get("score", np.zeros(texts.shape))).reshape(texts.shape)  # a beam may find fewer than it was asked for
    there[:, 0] = True
    candidates = [row[found].tolist() for row, found in zip(texts, there, strict=True)]
    edits = count_edits(reference, candidates)
    values = {"cer": edits.cer, "wer": edits.wer}
    if texts.shape[1] > 1:
        values[f"wer@{texts.shape[1]}"] = edits.wer_at_k
    rows_of: dict[str, list[int]] = {}
    for row, group in enumerate(predictions["group"].tolist() if "group" in predictions else []):
        rows_of.setdefault(str(group), []).append(row)
    if only in values or len(rows_of) < 2:
        return values
    for group, rows in rows_of.items():
        edits = count_edits([reference[row] for row in rows], [candidates[row] for row in rows])
        values |= {f"cer:{group}": edits.cer, f"wer:{group}": edits.wer}
    return values
