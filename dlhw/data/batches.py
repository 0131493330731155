"""Batches cut by index from arrays in memory (or mapped from a file), without per-sample Python.

A batch is ``(inputs, targets, index)``; the loader hands out lists of batches, so that one call of ``training_step`` takes several
optimizer steps and Lightning's cost per call is shared.

Legend: N samples of the split, B batch size, K batches of a list.
"""

import math
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from dlhw.randomness import permutation

Batch = tuple[Tensor, Tensor, Tensor]


class Batches:
    """Lists of batches over one split.

    Args:
        inputs: (N, ...) a tensor, on any device, or a memory-mapped array.
        targets: (N, ...) tensor on the same device.
        batch_size: B, per device.
        steps_per_call: K.
        seed: shuffle as a function of (seed, epoch); None keeps the order of the split.
        steps: end an epoch after so many batches; None takes all.
        rows: the samples to take, int64, where the order is kept; None takes all.
        start: (epoch, step) where a resumed run goes on; the lists before it come out empty.
        rank, world: this process takes every ``world``-th sample from ``rank`` on. A shuffled order is filled up from its start, so that
            all processes take the same number of steps; an order that is kept is not, so that each sample is evaluated once.
    """

    def __init__(
        self,
        inputs: Tensor | np.ndarray,
        targets: Tensor,
        batch_size: int,
        *,
        steps_per_call: int = 1,
        seed: int | None = None,
        steps: int | None = None,
        rows: Tensor | None = None,
        start: tuple[int, int] = (0, 0),
        rank: int = 0,
        world: int = 1,
    ) -> None:
        self.inputs, self.targets = inputs, targets
        self.batch_size, self.steps_per_call, self.seed = batch_size, steps_per_call, seed
        self.start, self.rank, self.world = start, rank, world
        self.rows = torch.arange(len(targets)) if rows is None else rows
        n = len(self.rows)
        share = math.ceil(n / world) if seed is not None else len(range(rank, n, world))
        self.steps = min(math.ceil(share / batch_size), steps or share)
        self.epoch = 0
        if seed is not None:
            self.sampler = self  # where Lightning looks for set_epoch

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        return math.ceil(self.steps / self.steps_per_call)

    def order(self) -> Tensor:
        """The samples of this process in this epoch: int64 (at most ceil(N / world),)."""
        n = len(self.targets)
        if self.seed is None:
            return self.rows[self.rank :: self.world]
        order = permutation(n, self.seed, self.epoch)
        filled = torch.cat([order, order[: -n % self.world]])
        return filled[self.rank :: self.world]

    def __iter__(self) -> Iterator[list[Batch]]:
        order = self.order()[: self.steps * self.batch_size].to(self.targets.device)
        first = self.start[1] if self.epoch == self.start[0] else 0
        for begin in range(0, self.steps, self.steps_per_call):
            end = min(begin + self.steps_per_call, self.steps)
            index = order[max(begin, first) * self.batch_size : end * self.batch_size]
            yield self._cut(index) if len(index) else []

    def _cut(self, index: Tensor) -> list[Batch]:
        if isinstance(self.inputs, Tensor):
            inputs = self.inputs[index]
        else:  # ascending reads from the mapped file, then the order of the batch
            ascending, back = np.unique(index.cpu().numpy(), return_inverse=True)
            inputs = torch.from_numpy(self.inputs[ascending][back])
        parts = (part.split(self.batch_size) for part in (inputs, self.targets[index], index))
        return list(zip(*parts, strict=True))
