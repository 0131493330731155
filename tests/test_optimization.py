"""What an update does to the weights, against loops and tables written by hand."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from harness import BEST, METRICS, Shell, Starter, assert_same_tensors, composed, result, weights
from torch import Tensor
from torch.nn import functional as F

from dlhw.config import OptimConfig
from dlhw.errors import UserError
from dlhw.hardware import computes_bf16
from dlhw.optimization import Optimization
from dlhw.randomness import permutation
from dlhw.run_files import read_metrics
from dlhw.training import build, warm_start

FP32 = ("trainer.accelerator=cpu", "trainer.precision=32-true", "trainer.final_pictures=false")
NETWORK = ("model.channels=[4]", "model.hidden=[8]")

HALF = math.sqrt(0.5)
TABLE: list[tuple[dict[str, Any], dict[float, float]]] = [
    ({}, {0: 1, 0.5: 1, 0.999: 1}),
    ({"warmup": 0.1}, {0: 0, 0.05: 0.5, 0.1: 1, 0.9: 1}),
    ({"schedule": "cosine"}, {0: 1, 0.25: (1 + HALF) / 2, 0.5: 0.5, 0.75: (1 - HALF) / 2, 1: 0}),
    ({"schedule": "cosine", "warmup": 0.2}, {0.1: 0.5, 0.2: 1, 0.6: 0.5, 1: 0}),
    ({"schedule": "onecycle", "warmup": 0.25}, {0: 0, 0.125: 0.5, 0.25: 1, 0.625: 0.5, 1: 0}),
    ({"schedule": "step"}, {0: 1, 0.33: 1, 0.34: 0.1, 0.66: 0.1, 0.67: 0.01, 0.99: 0.01}),
    ({"schedule": "step", "step_every": 0.5, "step_factor": 0.5, "warmup": 0.1}, {0.05: 0.5, 0.2: 1, 0.5: 0.5, 0.9: 0.5}),
]


@pytest.mark.parametrize(("settings", "rates"), TABLE)
def test_schedules(settings: dict[str, Any], rates: dict[float, float]) -> None:
    optimization = Optimization(torch.optim.SGD, OptimConfig(optimizer={}, lr=0.02, **settings))
    for done, factor in rates.items():
        assert optimization.rate(done) == pytest.approx(0.02 * factor, abs=1e-12)


def by_hand(words: tuple[str, ...], *, rate: list[float], accumulate: int, clip: float, decay: float) -> tuple[list[Tensor], list[Tensor]]:
    """Two epochs in plain torch: stochastic gradient descent with momentum 0.9. Returns the weights and their running average."""
    data, task = build(composed(*words))
    pictures, targets = torch.from_numpy(data.splits["train"].inputs), torch.from_numpy(data.splits["train"].targets)
    values = [*task.net.parameters()]
    momentum = [torch.zeros_like(value) for value in values]
    average: list[Tensor] = []
    gradient = [torch.zeros_like(value) for value in values]
    waiting, updates = 0, iter(rate)
    for epoch in range(2):
        batches = permutation(len(targets), 0, epoch).split(64)
        for number, index in enumerate(batches, 1):
            x = (pictures[index].permute(0, 3, 1, 2).float() / 255 - 0.5) / 0.5
            loss = F.cross_entropy(task.net(x), targets[index])
            gradient = [g + d for g, d in zip(gradient, torch.autograd.grad(loss, values), strict=True)]
            waiting += 1
            if waiting < accumulate and number < len(batches):
                continue
            gradient = [g / waiting for g in gradient]  # the mean, also of those that are left over at the end of an epoch
            norm = math.sqrt(sum(float((g.double() ** 2).sum()) for g in gradient))
            gradient = [g * min(1.0, clip / norm) for g in gradient]
            momentum = [0.9 * m + g for m, g in zip(momentum, gradient, strict=True)]
            lr = next(updates)
            with torch.no_grad():
                for value, m in zip(values, momentum, strict=True):
                    value -= lr * m
            new = [value.detach().clone() for value in values]
            average = [decay * a + (1 - decay) * v for a, v in zip(average, new, strict=True)] if average else new
            gradient, waiting = [torch.zeros_like(value) for value in values], 0
    assert next(updates, None) is None
    return [value.detach() for value in values], average


def test_clipping_accumulation_schedule_and_averaging(shell: Shell) -> None:
    words = (*FP32, *NETWORK, "optim=sgd", "optim.optimizer.momentum=0.9", "optim.lr=0.1", "trainer.max_epochs=2")
    more = ("optim.accumulate=3", "optim.clip_norm=0.5", "optim.schedule=onecycle", "optim.warmup=0.25", "optim.ema=0.8")
    shell.run(*words, *more)
    after = [3, 6, 9, 12, 15, 18, 19]  # batches of an epoch: three an update, and what is left over
    done = [(epoch * 19 + batch - 1) / 38 for epoch in range(2) for batch in after]
    rate = [0.1 * (4 * share if share < 0.25 else (1 - share) / 0.75) for share in done]
    values, average = by_hand(words, rate=rate, accumulate=3, clip=0.5, decay=0.8)
    trained = weights(shell.only_run())
    names = [name for name in trained if name.startswith("net.")]
    for name, value, mean in zip(names, values, average, strict=True):
        torch.testing.assert_close(trained[name], value, rtol=0, atol=1e-6)
        torch.testing.assert_close(trained[name.replace("net.", "average.module.", 1)], mean, rtol=0, atol=1e-6)
    rates = [row["lr"] for row in read_metrics(shell.only_run() / METRICS)]
    assert rates == pytest.approx([rate[6], rate[13]])  # of the last update of each epoch


@pytest.fixture(scope="module")
def source(starter: Starter, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run to start from."""
    shell = Shell(starter, tmp_path_factory.mktemp("source"))
    shell.run("trainer=smoke", *FP32, *NETWORK)
    return shell.only_run()


def test_warm_start(shell: Shell, source: Path) -> None:
    cfg = composed(*FP32, *NETWORK, "seed=5")
    task = build(cfg)[1]
    warm_start(task, source)
    assert_same_tensors(dict(task.state_dict()), weights(source, BEST))
    still = ("optim.lr=1e-30", "optim.weight_decay=0", "seed=5")
    assert "warm start: 6 of 6 weights" in shell.run("trainer=smoke", *FP32, *NETWORK, *still, f"warm_start={source}")
    assert_same_tensors(weights(shell.only_run()), weights(source, BEST))


def test_warm_start_takes_the_averaged_weights(shell: Shell) -> None:
    shell.run("trainer=smoke", *FP32, *NETWORK, "optim.ema=0.8")
    task = build(composed(*FP32, *NETWORK))[1]
    warm_start(task, shell.only_run())
    there = weights(shell.only_run(), BEST)
    for name, value in task.state_dict().items():
        assert torch.equal(value, there[name.replace("net.", "average.module.", 1)])
        assert not torch.equal(value, there[name])


def test_warm_start_where_a_part_fits(source: Path) -> None:
    task = build(composed(*FP32, "model.channels=[4]", "model.hidden=[9]"))[1]
    before = {name: value.clone() for name, value in task.state_dict().items()}
    warm_start(task, source)
    after, there = task.state_dict(), weights(source, BEST)
    taken = {name for name in after if not torch.equal(after[name], before[name])}
    assert taken == {"net.features.0.weight", "net.features.0.bias", "net.classifier.2.bias"}
    assert all(torch.equal(after[name], there[name]) for name in taken)


def test_warm_start_tells_where_names_are_others(source: Path, caplog: pytest.LogCaptureFixture) -> None:
    task = build(composed(*FP32, *NETWORK))[1]
    warm_start(task, source)
    assert "knows other" not in caplog.text
    task.spec = replace(task.spec, classes=task.spec.classes[::-1])
    warm_start(task, source)
    assert f"{source} knows other classes: weights of layers that have kept their shape stood for those" in caplog.text


def test_warm_start_where_nothing_fits(source: Path) -> None:
    task = build(composed(*FP32, "model.channels=[5]", "model.hidden=[]"))[1]
    with pytest.raises(UserError, match=r"warm_start=.*: none of its weights fits this network"):
        warm_start(task, source)


def test_early_stopping(shell: Shell) -> None:
    """Nothing is better by 1 than the first epoch, so the patience of 2 ends with the third."""
    shell.run("trainer=smoke", *FP32, *NETWORK, "trainer.max_epochs=9", "trainer.patience=2", "trainer.min_delta=1")
    assert result(shell.only_run())["epochs"] == len(read_metrics(shell.only_run() / METRICS)) == 3


def test_a_callback_from_the_command_line(shell: Shell) -> None:
    key = "+trainer.callbacks.enough"
    target = f"{key}._target_=lightning.pytorch.callbacks.EarlyStopping"
    words = ("trainer=smoke", *FP32, *NETWORK, target, f"{key}.monitor=val/acc", f"{key}.mode=max", f"{key}.stopping_threshold=0.001")
    shell.run(*words)
    assert result(shell.only_run())["epochs"] == 1
    assert "skipped" in shell.run(*words)


def test_precision_auto_is_recorded_as_what_was_used(shell: Shell) -> None:
    shell.run("trainer=smoke", "trainer.accelerator=cpu", *NETWORK)
    [automatic] = shell.runs()
    used = result(automatic)["precision"]
    assert used == ("bf16-mixed" if computes_bf16(torch.device("cpu")) else "32-true")
    for precision in ("32-true", "bf16-mixed"):
        shell.run("trainer=smoke", "trainer.accelerator=cpu", *NETWORK, f"trainer.precision={precision}")
    explicit = {result(run)["precision"]: run for run in shell.runs() if run != automatic}
    assert explicit.keys() == {"32-true", "bf16-mixed"}
    first = "net.features.0.weight"
    equal = {precision for precision, run in explicit.items() if torch.equal(weights(run)[first], weights(automatic)[first])}
    assert equal == {used}
