"""The datamodule of every set that fits in memory as arrays: what a set must read, and how its splits become batches."""

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import torch
from torch import Tensor

from dlhw.data.batches import Batches
from dlhw.errors import UserError
from dlhw.randomness import permutation
from dlhw.ranges import check_at_least

SPLITS = ("train", "val", "test")
ON_DEVICE = 4 << 30  # bytes: a split up to this size is copied to the accelerator once, a larger one batch by batch


@dataclass(frozen=True)
class Split:
    """One split: ``inputs`` (N, ...) and ``targets`` (N,) or (N, labels); ``names`` says where each sample comes from, if it has a file."""

    inputs: np.ndarray
    targets: np.ndarray
    names: tuple[str, ...] = ()


class ArrayData(L.LightningDataModule):
    """Base of the datamodules. A subclass implements :meth:`read`, which sets ``splits``, ``spec`` and ``checksums``.

    Args:
        batch_size: samples of a training batch, per device.
        eval_batch_size: samples of a validation or test batch; changes the speed only.
        seed: of the order of the training split.
        data_root: folder of data sets.
        steps_per_call, steps_per_epoch: see :class:`dlhw.data.batches.Batches`.
        test_every_epoch: score the test split beside the validation split.
        score_train: so many samples of the training split, drawn once, are scored beside the validation split; 0: none.
    """

    splits: dict[str, Split]
    spec: Any
    checksums: dict[str, str]  # name of a file: its SHA-256
    notes: Mapping[str, Any] = {}  # what else the result should tell of the data

    def __init__(
        self,
        *,
        batch_size: int,
        eval_batch_size: int,
        seed: int = 0,
        data_root: str = "data",
        steps_per_call: int = 1,
        steps_per_epoch: int | None = None,
        test_every_epoch: bool = False,
        score_train: int = 0,
    ) -> None:
        super().__init__()
        check_at_least(1, "task.data", batch_size=batch_size, eval_batch_size=eval_batch_size)
        check_at_least(0, "task.data", score_train=score_train)
        self.score_train = score_train
        self.batch_size, self.eval_batch_size, self.seed, self.data_root = batch_size, eval_batch_size, seed, data_root
        self.steps_per_call, self.steps_per_epoch, self.test_every_epoch = steps_per_call, steps_per_epoch, test_every_epoch
        self.start = (0, 0)  # epoch and step where a resumed run goes on
        self._resident: dict[str, tuple[Tensor | np.ndarray, Tensor]] = {}

    @abstractmethod
    def read(self) -> None:
        """Read the set: ``splits``, ``spec``, ``checksums``.

        Raises:
            UserError: the data is missing or wrong; says where it looked and what would be right.
        """

    def find(self, key: str, path: str, right: str) -> Path:
        """Where a file or folder of the user's lies: a relative path is looked for in the working folder, then in ``data_root``.

        Raises:
            UserError: naming ``key`` and where it looked; ``right`` ends the sentence and says what would be right.
        """
        places = [Path(path).expanduser().absolute(), (Path(self.data_root).expanduser() / path).absolute()]
        for place in places:
            if place.exists():
                return place
        raise UserError(f"{key}={path} is missing: looked for {' and '.join(dict.fromkeys(map(str, places)))}; {right}")

    def setup(self, stage: str | None = None) -> None:
        if not hasattr(self, "splits"):
            self.read()

    def train_dataloader(self) -> Batches:
        return self._batches(
            "train", self.batch_size, steps_per_call=self.steps_per_call, seed=self.seed, steps=self.steps_per_epoch, start=self.start
        )

    @property
    def scored(self) -> tuple[str, ...]:
        """The splits of :meth:`val_dataloader`."""
        return ("val", *(["test"] if self.test_every_epoch else []), *(["train"] if self.score_train else []))

    def val_dataloader(self) -> list[Batches]:
        drawn = {"rows": permutation(len(self.splits["train"].targets), 0, 0)[: self.score_train]} if self.score_train else {}
        return [self._batches(split, self.eval_batch_size, **(drawn if split == "train" else {})) for split in self.scored]

    def test_dataloader(self) -> Batches:
        return self._batches("test", self.eval_batch_size)

    def _batches(self, split: str, batch_size: int, **options: Any) -> Batches:
        rank, world = (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)
        return Batches(*self._on_device(split), batch_size, rank=rank, world=world, **options)

    def _on_device(self, split: str) -> tuple[Tensor | np.ndarray, Tensor]:
        device = self.trainer.strategy.root_device if self.trainer else torch.device("cpu")
        key = f"{split} on {device}"
        if key not in self._resident:
            data = self.splits[split]
            targets = torch.from_numpy(data.targets)
            if isinstance(data.inputs, np.memmap):
                self._resident[key] = (data.inputs, targets)
            elif data.inputs.nbytes > ON_DEVICE:
                self._resident[key] = (torch.from_numpy(data.inputs), targets)
            else:
                self._resident[key] = (torch.from_numpy(data.inputs).to(device), targets.to(device))
        return self._resident[key]
