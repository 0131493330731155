"""Training on RNA probes against the loop that a student writes: one-hot of each probe in Python, padded, without a mask.

Probes are random, of 30 to 41 nucleotides; the speed does not depend on what is in them. The peer computes in float32.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from benchmarks.clock import Clock, composed, rate_in_trainer
from benchmarks.turns import Variant, rates, row
from dlhw.data.arrays import ArrayData, Split
from dlhw.data.rna import ALPHABET, decode
from dlhw.data.simulate import random_probes
from dlhw.hardware import prepare
from dlhw.layers.lstm import LSTM
from dlhw.specs import SequenceSpec
from dlhw.training import build_task

PROBES, SHORTEST, LENGTH, BATCH = 20_000, 30, 41, 64
TARGETS = {"rbp_cnn": 2.5, "rbp_bilstm": 3.0}


class RandomProbes(ArrayData):
    """Random probes, each with one random intensity."""

    def read(self) -> None:
        random = np.random.default_rng(0)
        split = Split(random_probes(random, PROBES, SHORTEST, LENGTH), random.standard_normal((PROBES, 1), np.float32))
        self.splits = dict.fromkeys(("train", "val", "test"), split)
        self.spec = SequenceSpec(LENGTH, ("protein",))
        self.checksums = {}


def ours(model: str, precision: str, seconds: float) -> float:
    """``task=rbp`` with a network's own settings: probes per second."""
    prepare()
    cfg = composed("task=rbp", f"model={model}", "task.data.protein=protein")
    probes = RandomProbes(batch_size=BATCH, eval_batch_size=BATCH, steps_per_call=cfg.trainer.steps_per_call)
    probes.setup()
    return rate_in_trainer(build_task(cfg, probes.spec), probes, precision, seconds)


class ProbeDataset(Dataset[Any]):
    """One-hot, base by base, of the probe that is asked for."""

    def __init__(self, sequences: list[str], intensities: np.ndarray) -> None:
        self.sequences, self.intensities = sequences, intensities

    def __len__(self) -> int:
        return len(self.sequences)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        x = torch.zeros(len(ALPHABET), LENGTH)
        for place, base in enumerate(self.sequences[index][:LENGTH]):
            if base in ALPHABET:
                x[ALPHABET.index(base), place] = 1.0
            else:
                x[:, place] = 0.25
        return x, torch.tensor(self.intensities[index])


class PlainCNN(nn.Sequential):
    """R5 as commonly written: the maximum over all positions, those of the padding too."""

    def __init__(self) -> None:
        layers = [nn.Conv1d(4, 32, 12), nn.ReLU(), nn.AdaptiveMaxPool1d(1), nn.Flatten()]
        super().__init__(*layers, nn.Linear(32, 64), nn.ReLU(), nn.Linear(64, 1))


class PlainBiLSTM(nn.Module):
    """R6 as commonly written: the LSTM runs over the padding, and the mean is over all positions."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(4, 64, bidirectional=True, batch_first=True)
        self.head = nn.Linear(128, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.lstm(x.transpose(1, 2))[0].mean(dim=1))


def plain(model: str, seconds: float) -> float:
    """A DataLoader, Adam, ``loss.item()`` at each step: probes per second."""
    probes = RandomProbes(batch_size=BATCH, eval_batch_size=BATCH)
    probes.setup()
    split = probes.splits["train"]
    net = PlainCNN() if model == "rbp_cnn" else PlainBiLSTM()
    optimizer, criterion = torch.optim.Adam(net.parameters(), lr=1e-3), nn.MSELoss()
    dataset, clock = ProbeDataset(decode(split.inputs), split.targets), Clock(seconds)
    while True:
        for x, y in DataLoader(dataset, batch_size=BATCH, shuffle=True):
            optimizer.zero_grad()
            loss = criterion(net(x), y)
            loss.backward()
            optimizer.step()
            loss.item()
            if clock.tick(len(x)):
                return clock.rate


def lstms_alone(precision: str, seconds: float) -> float:
    """Forward and backward of the two directions of ``rbp_bilstm`` and of nothing else: about what torch's LSTM allows."""
    prepare()
    x, directions = torch.randn(BATCH, LENGTH, len(ALPHABET)), nn.ModuleList(LSTM(len(ALPHABET), 64, batch_first=True) for _ in range(2))
    clock = Clock(seconds)
    while True:
        directions.zero_grad()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=precision == "bf16-mixed"):
            said = [direction(x)[0] for direction in directions]
        torch.cat(said, dim=2).float().sum().backward()
        if clock.tick(BATCH):
            return clock.rate


def measure(rounds: int, seconds: float, auto: str) -> list[dict[str, object]]:
    """Probes per second of training, turn by turn; ``auto`` is what ``trainer.precision=auto`` picks here.

    The LSTM's target is set for processors that compute in bf16.
    """
    rows = []
    for model, target in TARGETS.items():
        pair = [Variant("rna", "ours", (model, auto), ours=True), Variant("rna", "plain", (model,))]
        rows.append(row(f"{model}: training, probes/s (ours in {auto} / one-hot of each probe)", rates(pair, rounds, seconds), target))
    pair = [Variant("rna", "lstms_alone", (auto,), ours=True), Variant("rna", "plain", ("rbp_bilstm",))]
    what = f"rbp_bilstm: its two LSTMs alone, probes/s (in {auto} / training, one-hot of each probe)"
    return [*rows, row(what, rates(pair, rounds, seconds), None)]
