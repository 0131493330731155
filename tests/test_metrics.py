"""Metrics against MedMNIST's own evaluator and scikit-learn."""

import warnings

import numpy as np
import pytest
import torch
from medmnist.evaluator import getACC, getAUC
from sklearn import metrics as sklearn_metrics

from dlhw.metrics import classification_metrics, counted_by_torch, right
from dlhw.specs import ImageSpec

# What MedMNIST calls the tasks, and samples and classes as in the test splits of BloodMNIST, RetinaMNIST, BreastMNIST and ChestMNIST
# (of which a part).
SETS = {
    "multi-class": ("multi-class", 3421, 8),
    "ordinal-regression": ("ordinal-regression", 400, 5),
    "binary-class": ("binary-class", 624, 2),
    "multi-label": ("multi-label, binary-class", 5000, 14),
}
SCORES = {
    "distinct": lambda logits: logits,
    "tied": lambda logits: logits.round(),
    "bfloat16": lambda logits: logits.bfloat16().float(),
    "saturated": lambda logits: 12 * logits,  # most probabilities of float32 are 0 or 1
    "constant": lambda logits: torch.zeros_like(logits),
}


def spec(labels: str, classes: int) -> ImageSpec:
    return ImageSpec(1, 8, 8, tuple(map(str, range(classes))), labels, (0.5,), (0.5,))


def drawn(labels: str, scores: str, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Float32 probabilities (N, K) and imbalanced targets of the size of a MedMNIST set."""
    _, n, k = SETS[labels]
    rng = np.random.default_rng(seed)
    shares = np.linspace(1, 8, k) / np.linspace(1, 8, k).sum()
    targets = rng.random((n, k)) < 0.3 * shares if labels == "multi-label" else rng.choice(k, n, p=shares)
    true = targets if labels == "multi-label" else targets[:, None] == np.arange(k)
    logits = SCORES[scores](torch.tensor(rng.normal(size=(n, k)) + 1.5 * true, dtype=torch.float32))
    return logits.sigmoid() if labels == "multi-label" else logits.softmax(dim=1), torch.from_numpy(targets).long()


def ours(labels: str, probabilities: torch.Tensor, targets: torch.Tensor, parts: int = 1) -> dict[str, float]:
    metrics = classification_metrics(spec(labels, probabilities.shape[1]))
    for batch in zip(probabilities.double().tensor_split(parts), targets.tensor_split(parts), strict=True):
        metrics.update(*batch)
    return {name: float(value) for name, value in metrics.compute().items()}


@pytest.mark.parametrize("labels", [*SETS])
@pytest.mark.parametrize("scores", [*SCORES])
def test_accuracy_and_auc_are_those_of_medmnist(labels, scores):
    probabilities, targets = drawn(labels, scores)
    task = SETS[labels][0]
    got = ours(labels, probabilities, targets)
    column = targets if labels == "multi-label" else targets[:, None]  # as the files have it
    assert got["acc"] == pytest.approx(getACC(column.numpy(), probabilities.numpy(), task), abs=1e-6)
    assert got["auc"] == pytest.approx(getAUC(column.numpy(), probabilities.numpy(), task), abs=1e-6)
    assert right(probabilities, targets).mean().item() == pytest.approx(got["acc"], abs=1e-6)


@pytest.mark.parametrize("labels", [*SETS])
@pytest.mark.parametrize("scores", [*SCORES])
def test_the_macro_means_are_those_of_scikit_learn(labels, scores):
    probabilities, targets = drawn(labels, scores, seed=1)
    p, y = probabilities.numpy(), targets.numpy()
    got = ours(labels, probabilities, targets, parts=3)
    several = labels == "multi-label"
    means = sklearn_metrics.precision_recall_fscore_support(y, p > 0.5 if several else p.argmax(axis=1), average="macro", zero_division=0)
    assert [got[name] for name in ("precision", "recall", "f1")] == pytest.approx(means[:3], abs=1e-6)
    indicators = y if several else y[:, None] == np.arange(p.shape[1])
    assert got["average_precision"] == pytest.approx(sklearn_metrics.average_precision_score(indicators, p, average="macro"), abs=1e-6)


def test_equal_scores_count_half():
    probabilities = torch.tensor([[0.7, 0.3], [0.5, 0.5], [0.5, 0.5], [0.2, 0.8]])
    assert ours("binary-class", probabilities, torch.tensor([0, 0, 1, 1]))["auc"] == (1 + 1 + 1 + 0.5) / 4


def test_the_auc_of_two_classes_ranks_by_the_second_alone():
    """Where float32 rounds a probability to 1, the other keeps its order: the two columns rank differently."""
    probabilities = torch.tensor([[0.0, 30.0], [0.0, 20.0], [1.0, 0.0]]).softmax(dim=1)
    assert probabilities[0, 1] == probabilities[1, 1] and probabilities[0, 0] < probabilities[1, 0]
    assert ours("binary-class", probabilities, torch.tensor([1, 0, 0]))["auc"] == 0.75


@pytest.mark.parametrize("labels", ["multi-class", "multi-label"])
@pytest.mark.parametrize("held_by", ["none", "all"])
def test_a_class_that_cannot_be_ranked_is_left_out_of_auc_and_average_precision(labels, held_by):
    probabilities, targets = drawn(labels, "distinct")
    probabilities, targets = probabilities[:500], targets[:500]
    k = probabilities.shape[1]
    if labels == "multi-label":
        targets[:, 2] = 1 if held_by == "all" else 0
        targets[:, 0] = torch.arange(500) % 2
    elif held_by == "none":
        targets[targets == 2] = 3
    else:
        targets[:] = 2
    indicators = (targets if labels == "multi-label" else targets[:, None] == torch.arange(k)).numpy()
    ranked = [c for c in range(k) if 0 < indicators[:, c].sum() < 500]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        got = ours(labels, probabilities, targets)
    if (labels, held_by) == ("multi-class", "all"):
        assert ranked == [] and np.isnan(got["auc"]) and np.isnan(got["average_precision"])
    else:
        assert 1 < len(ranked) < k
        scores = [
            [score(indicators[:, c], probabilities[:, c].numpy()) for c in ranked]
            for score in (sklearn_metrics.roc_auc_score, sklearn_metrics.average_precision_score)
        ]
        assert [got["auc"], got["average_precision"]] == pytest.approx(np.mean(scores, axis=1), abs=1e-6)
    assert all(np.isfinite(got[name]) for name in ("acc", "precision", "recall", "f1"))


def test_an_absent_class_counts_in_precision_and_recall_only_where_it_was_predicted():
    targets = torch.tensor([0, 0, 1, 1])
    never = torch.tensor([[0.9, 0.1, 0.0], [0.6, 0.4, 0.0], [0.2, 0.8, 0.0], [0.7, 0.3, 0.0]])
    once = torch.tensor([[0.9, 0.1, 0.0], [0.6, 0.4, 0.0], [0.2, 0.8, 0.0], [0.1, 0.2, 0.7]])
    for probabilities in (never, once):
        got, predicted = ours("multi-class", probabilities, targets), probabilities.argmax(dim=1)
        means = sklearn_metrics.precision_recall_fscore_support(targets, predicted, average="macro", zero_division=0)
        assert [got[name] for name in ("precision", "recall", "f1")] == pytest.approx(means[:3], abs=1e-6)


def test_nothing_of_one_split_stays_for_the_next():
    metrics = classification_metrics(spec("multi-class", 8))
    first, second = drawn("multi-class", "distinct"), drawn("multi-class", "distinct", seed=5)
    metrics.update(*first)
    metrics.compute()
    metrics.reset()
    metrics.update(*second)
    again = {name: float(value) for name, value in metrics.compute().items()}
    assert again == pytest.approx(ours("multi-class", *second))


def test_counting_leaves_what_has_to_be_deterministic_as_it_was():
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        with counted_by_torch():
            assert not torch.are_deterministic_algorithms_enabled()
        assert torch.are_deterministic_algorithms_enabled() and torch.is_deterministic_algorithms_warn_only_enabled()
    finally:
        torch.use_deterministic_algorithms(False)
