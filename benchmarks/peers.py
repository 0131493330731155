"""The peers that dlhw is timed against, written as they are commonly written, and the same loop as ours without Lightning.

Every variant is a function of (model, precision, seconds) that trains on random pictures of BloodMNIST's shape (the speed does not
depend on what is in them) and returns images per second after a warm-up.
"""

from functools import cache
from tempfile import TemporaryDirectory
from typing import Any

import lightning as L
import numpy as np
import torch
from lightning.pytorch.callbacks import LearningRateMonitor
from lightning.pytorch.loggers import CSVLogger
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader, Dataset
from torchmetrics.classification import MulticlassAccuracy
from torchvision import transforms

from benchmarks.clock import Clock, StopAfter, composed, rate_in_trainer, trainer
from dlhw.data.arrays import ArrayData, Split
from dlhw.data.image_arrays import image_spec
from dlhw.hardware import prepare
from dlhw.training import build_task

SAMPLES, CLASSES, BATCH = 11_959, 8, 64  # of BloodMNIST's training split


@cache
def pictures() -> tuple[np.ndarray, np.ndarray]:
    """Random pictures uint8 (N, 28, 28, 3) and labels int64 (N,)."""
    random = np.random.default_rng(0)
    return random.integers(0, 256, (SAMPLES, 28, 28, 3), dtype=np.uint8), random.integers(0, CLASSES, SAMPLES)


class RandomData(ArrayData):
    """The random pictures as a datamodule of dlhw."""

    def read(self) -> None:
        split = Split(*pictures())
        small = Split(split.inputs[:64], split.targets[:64])
        self.splits = {"train": split, "val": small, "test": small}
        self.spec = image_spec(self.splits, [str(k) for k in range(CLASSES)], "multi-class", "half", "random pictures")
        self.checksums = {}


class PictureDataset(Dataset[Any]):
    """One PIL picture a sample, as the datasets of torchvision and medmnist hand them out."""

    def __init__(self) -> None:
        self.transform = transforms.Compose([transforms.ToTensor(), transforms.Normalize([0.5] * 3, [0.5] * 3)])

    def __len__(self) -> int:
        return SAMPLES

    def __getitem__(self, index: int) -> Any:
        images, labels = pictures()
        return self.transform(Image.fromarray(images[index])), int(labels[index])


class PlainCNN(nn.Sequential):
    """R1 or, with pooling, R3, as a student writes it: pooling after the ReLU."""

    def __init__(self, model: str) -> None:
        layers: list[nn.Module] = []
        for before, after in ((3, 32), (32, 64), (64, 128)):
            layers += [nn.Conv2d(before, after, 3, padding=1), nn.ReLU()]
            if model == "cnn_pool":
                layers.append(nn.MaxPool2d(2, 2))
        flat = 128 * (9 if model == "cnn_pool" else 784)
        super().__init__(*layers, nn.Flatten(), nn.Linear(flat, 256), nn.ReLU(), nn.Linear(256, CLASSES))


def plain(model: str, precision: str, seconds: float) -> float:
    """Peer (a): a DataLoader over PIL pictures, fp32, Adam, ``loss.item()`` at each step."""
    net = PlainCNN(model)
    optimizer, criterion = torch.optim.Adam(net.parameters(), lr=1e-3), nn.CrossEntropyLoss()
    clock, running = Clock(seconds), 0.0
    while True:
        for x, y in DataLoader(PictureDataset(), batch_size=BATCH, shuffle=True):
            optimizer.zero_grad()
            loss = criterion(net(x), y)
            loss.backward()
            optimizer.step()
            running += loss.item()
            if clock.tick(len(x)):
                return clock.rate


class TemplateModule(L.LightningModule):
    """Peer (b): automatic optimization and the logging of the usual Lightning template."""

    def __init__(self, model: str) -> None:
        super().__init__()
        self.net, self.criterion = PlainCNN(model), nn.CrossEntropyLoss()
        self.accuracy = MulticlassAccuracy(CLASSES)

    def training_step(self, batch: Any, index: int) -> Any:
        x, y = batch
        logits = self.net(x)
        loss = self.criterion(logits, y)
        self.accuracy(logits.argmax(dim=1), y)
        self.log("train/loss", loss, on_step=True, on_epoch=True, prog_bar=True)
        self.log("train/acc", self.accuracy, on_step=True, on_epoch=True, prog_bar=True)
        return loss

    def configure_optimizers(self) -> Any:
        return torch.optim.Adam(self.parameters(), lr=1e-3)


def template(model: str, precision: str, seconds: float) -> float:
    """Peer (b)."""
    timer = StopAfter(seconds)
    with TemporaryDirectory() as folder:
        training = trainer("32-true", [timer, LearningRateMonitor("step")], CSVLogger(folder))
        training.fit(TemplateModule(model), DataLoader(PictureDataset(), batch_size=BATCH, shuffle=True))
    return timer.clock.rate


def ours(model: str, precision: str, seconds: float) -> float:
    """dlhw as ``train.py`` runs it."""
    prepare()
    task, data = _task(model)
    return rate_in_trainer(task, data, precision, seconds)


def bare(model: str, precision: str, seconds: float) -> float:
    """The same steps as ours in a loop of its own, without Lightning: what the Trainer's cost is measured against."""
    prepare()
    task, data = _task(model)
    optimizer = task.configure_optimizers()
    clock, enabled = Clock(seconds), precision == "bf16-mixed"
    while True:
        for batches in data.train_dataloader():
            for batch in batches:
                with torch.autocast("cpu", dtype=torch.bfloat16, enabled=enabled):
                    loss, _ = task._step(batch, "train")
                loss.backward()
                optimizer.step()
                optimizer.zero_grad()
                if clock.tick(len(batch[1])):
                    return clock.rate


def _task(model: str) -> Any:
    cfg = composed("task=bloodmnist", f"model={model}")
    data = RandomData(batch_size=BATCH, eval_batch_size=512, steps_per_call=cfg.trainer.steps_per_call)
    data.setup()
    return build_task(cfg, data.spec), data
