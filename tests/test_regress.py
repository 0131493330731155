"""Losses and metrics of regression. Whole runs are in test_regress_command.py."""

import logging
import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from harness import composed
from scipy import stats
from torch import Tensor, nn

from dlhw.data.rna import encode
from dlhw.errors import UserError
from dlhw.optimization import Optimization
from dlhw.specs import SequenceSpec
from dlhw.tasks.regress import Regression

SPEC = SequenceSpec(4, ("P1", "P2", "P3"))
ONE_PROCESS = SimpleNamespace(world_size=1, datamodule=SimpleNamespace(answers={}))


class Lookup(nn.Module):
    """Predicts a row of a table for each sequence, in the order in which they come."""

    def __init__(self, rows: Tensor) -> None:
        super().__init__()
        self.rows = nn.Parameter(rows.clone())

    def forward(self, bases: Tensor, mask: Tensor) -> Tensor:
        return self.rows[: len(bases)]


def task(rows: Any, **knobs: Any) -> Regression:
    cfg = composed("task=rbp", "task.data.protein=P1", "model=rbp_cnn")
    rows = torch.as_tensor(rows)
    regression = Regression(Lookup(rows), SPEC, optimization=Optimization(None, cfg.optim), seed=0, **knobs)
    regression._trainer = ONE_PROCESS  # type: ignore[assignment]
    return regression


def batch(measured: Any) -> tuple[Tensor, Tensor, Tensor]:
    measured = torch.as_tensor(measured)
    codes = torch.from_numpy(encode(["ACGU"] * len(measured), 4, "here"))
    return codes, measured, torch.arange(len(measured))


NAN = math.nan


def test_the_loss_counts_what_was_measured():
    """By hand: errors 1, 2 and 3 in four measured values, one of them met; the others are missing."""
    regression = task([[1.0, 0, 5], [2, 7, 3]])
    loss, sums = regression._step(batch([[0.0, NAN, 5], [NAN, 5, 0]]), "train")
    assert loss.item() == pytest.approx((1 + 0 + 4 + 9) / 4) and sums == {}
    loss.backward()
    assert regression.net.rows.grad.tolist() == [[2 / 4, 0, 0], [0, 4 / 4, 6 / 4]]


def test_a_batch_without_any_measured_value_moves_nothing():
    regression = task([[1.0, 0, 5]])
    loss, _ = regression._step(batch([[NAN] * 3]), "train")
    loss.backward()
    assert loss.item() == 0 and regression.net.rows.grad.tolist() == [[0, 0, 0]]


def test_log_cosh_and_its_gradient():
    differences = torch.tensor([0.0, 1e-4, -0.3, 2.0, -15.0, 700.0], dtype=torch.float64)
    found = differences.clone().requires_grad_()
    total, values = task([[0.0]], loss="log_cosh").errors(found.unsqueeze(1), torch.zeros(6, 1, dtype=torch.float64))
    total.backward()
    assert total.item() == pytest.approx(sum(math.log(math.cosh(d)) for d in differences.tolist()), rel=1e-12) and values == 6
    torch.testing.assert_close(found.grad, torch.tanh(differences))


def test_log_cosh_does_not_overflow():
    total, _ = task([[0.0]], loss="log_cosh").errors(torch.tensor([[-1e6]]), torch.zeros(1, 1))
    assert total.item() == pytest.approx(1e6 - math.log(2))


@pytest.mark.parametrize("knobs", [{"loss": "mae"}, {"ranks": "dense"}])
def test_unknown_knobs(knobs):
    [(name, value)] = knobs.items()
    with pytest.raises(UserError, match=rf"^task\.module\.{name}={value} is not one of (mse, log_cosh|average, course)$"):
        task([[0.0]], **knobs)


@pytest.fixture
def outcome() -> tuple[np.ndarray, np.ndarray]:
    """Predicted and measured values of a split, with ties; a third of the measured ones of the second protein missing."""
    draw = np.random.default_rng(0)
    measured = draw.normal(size=(60, 3)).round(1).astype(np.float32)
    predicted = (measured + draw.normal(size=(60, 3))).round(1).astype(np.float32)
    measured[::3, 1] = np.nan
    return predicted, measured


def metrics(predicted: np.ndarray, measured: np.ndarray, split: str, **knobs: Any) -> dict[str, float]:
    index = torch.arange(len(predicted))
    found = task(predicted, **knobs).metrics_of((torch.from_numpy(predicted), torch.from_numpy(measured), index), split)
    return {name: float(value) for name, value in found.items()}


def test_metrics_over_the_whole_split(outcome):
    predicted, measured = outcome
    found, validated = metrics(predicted, measured, "test"), metrics(predicted, measured, "val")
    each: dict[str, list[float]] = {"spearman": [], "pearson": []}
    for column, name in enumerate(SPEC.proteins):
        there = ~np.isnan(measured[:, column])
        for metric, theirs in (("spearman", stats.spearmanr), ("pearson", stats.pearsonr)):
            value = theirs(predicted[there, column].astype(float), measured[there, column].astype(float)).statistic
            assert found[f"{metric}:{name}"] == pytest.approx(value)
            each[metric].append(value)
    assert found["spearman"] == pytest.approx(np.mean(each["spearman"])) and found["pearson"] == pytest.approx(np.mean(each["pearson"]))
    assert found["loss"] == pytest.approx(np.nanmean((predicted - measured) ** 2))
    assert validated == {name: found[name] for name in ("loss", "spearman", "pearson")}
    assert set(validated) == set(task(predicted).measured)
    assert metrics(predicted, measured, "val", ranks="course")["spearman"] != pytest.approx(found["spearman"], abs=1e-6)


def test_a_single_protein_is_a_part_as_well(outcome):
    predicted, measured = outcome
    measured[:, 1:] = np.nan
    found = metrics(predicted, measured, "test")
    assert found["spearman:P1"] == found["spearman"] and found["pearson:P1"] == found["pearson"]


def test_a_protein_without_labels_in_a_split_has_no_metric_there(outcome):
    predicted, measured = outcome
    measured[:, 1] = np.nan
    found = metrics(predicted, measured, "test")
    assert "spearman:P2" not in found
    assert found["spearman"] == pytest.approx((found["spearman:P1"] + found["spearman:P3"]) / 2)


def test_what_other_proteins_measured_is_scored_beside_the_predictions(outcome):
    """An answer is compared where it and the held-out protein were measured, and in the order in which the split was predicted."""
    predicted, measured = outcome
    measured[:, 0] = np.nan  # a protein that was trained on
    answer = np.random.default_rng(1).normal(size=measured.shape).astype(np.float32)
    answer[5:9, 2] = np.nan
    regression = task(predicted)
    regression._trainer = SimpleNamespace(world_size=1, datamodule=SimpleNamespace(answers={"nearest_protein": answer}))  # type: ignore[assignment]
    order = np.random.default_rng(2).permutation(len(measured))
    rows = tuple(torch.from_numpy(part) for part in (predicted[order], measured[order], order))
    found = regression.metrics_of(rows, "test")
    expected = []
    for column, name in ((1, "P2"), (2, "P3")):
        both = ~np.isnan(answer[:, column]) & ~np.isnan(measured[:, column])
        expected.append(stats.spearmanr(answer[both, column], measured[both, column]).statistic)
        assert float(found[f"spearman_nearest_protein:{name}"]) == pytest.approx(expected[-1])
    assert float(found["spearman_nearest_protein"]) == pytest.approx(np.mean(expected))
    assert {name for name in found if name.startswith("pearson_nearest_protein")} == {
        f"pearson_nearest_protein{part}" for part in ("", ":P2", ":P3")
    }
    assert not any("nearest" in name for name in regression.metrics_of(rows, "val"))


def test_a_second_measurement_is_scored_and_so_are_the_predictions_on_the_same_probes(outcome):
    predicted, measured = outcome
    again = (measured + np.random.default_rng(1).normal(size=measured.shape)).astype(np.float32)
    again[7:] = np.nan
    regression = task(predicted)
    regression._trainer = SimpleNamespace(world_size=1, datamodule=SimpleNamespace(answers={"second_measurement": again}))  # type: ignore[assignment]
    found = regression.metrics_of(tuple(torch.from_numpy(part) for part in (predicted, measured, np.arange(len(measured)))), "test")
    for column, name in enumerate(("P1", "P2", "P3")):
        there = ~np.isnan(measured[:, column]) & ~np.isnan(again[:, column])
        for what, answer in (("second_measurement", again), ("measured_twice", predicted)):
            expected = stats.spearmanr(answer[there, column], measured[there, column]).statistic
            assert float(found[f"spearman_{what}:{name}"]) == pytest.approx(expected)


@pytest.mark.parametrize("value", [0.5, np.nan])
def test_a_prediction_that_ranks_nothing_is_nan_and_told(outcome, caplog, value):
    predicted, measured = outcome
    predicted[:, 1] = value
    with caplog.at_level(logging.WARNING, "dlhw"):
        found = metrics(predicted, measured, "test")
        metrics(predicted, measured, "val")
    assert math.isnan(found["spearman:P2"]) and math.isnan(found["pearson:P2"]) and math.isnan(found["spearman"])
    assert not math.isnan(found["spearman:P1"])
    told = "no correlation for P2: the predictions or the intensities are constant or NaN; so the mean is NaN"
    assert caplog.messages == [f"test: {told}", f"val: {told}, and an epoch that is judged by it counts as the worst"]
