"""Batches of text lines: lines of like width together, each batch as wide as its widest line.

A batch is ``((pictures, widths), targets, index)``: uint8 (B, H, W), white beyond the width of each line, int64 (B,), (B, T), (B,).
The loader hands out lists of batches, as :class:`dlhw.data.batches.Batches` does.

Legend: N lines of the split, B batch size, H height, W width, K batches of a list, T length of the targets.
"""

import math
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from dlhw.data.line_pictures import LineSplit
from dlhw.randomness import permutation

LineBatch = tuple[tuple[Tensor, Tensor], Tensor, Tensor]


class LineTensors(NamedTuple):
    """A split of lines on a device."""

    columns: Tensor  # uint8 (sum of W, H), all lines one after the other
    starts: Tensor  # int64 (N,), the first column of each line
    widths: Tensor  # int64 (N,), how many it has
    targets: Tensor  # int16 (N, T)

    @classmethod
    def of(cls, split: LineSplit, device: torch.device) -> "LineTensors":
        return cls(*(torch.from_numpy(array).to(device) for array in (split.inputs, split.starts, split.widths, split.targets)))


class LineBatches:
    """Lists of batches over one split of lines.

    Args:
        lines: on any device.
        batch_size: B, per device.
        pool: a shuffled order is cut into pools of so many batches, in which the lines are sorted by width: more of them, less padding
            and less mixture.
        steps_per_call: K.
        seed: shuffle as a function of (seed, epoch); None takes the widest lines first.
        steps: end an epoch after so many batches; None takes all.
        start: (epoch, step) where a resumed run goes on; the lists before it come out empty.
        rank, world: this process takes every ``world``-th batch of a shuffled order, filled up from its start so that all processes take
            the same number of steps; of the order by width every ``world``-th line, so that each is evaluated once.
    """

    def __init__(
        self,
        lines: LineTensors,
        batch_size: int,
        *,
        pool: int = 8,
        steps_per_call: int = 1,
        seed: int | None = None,
        steps: int | None = None,
        start: tuple[int, int] = (0, 0),
        rank: int = 0,
        world: int = 1,
    ) -> None:
        self.lines = lines
        self.batch_size, self.pool, self.steps_per_call, self.seed = batch_size, pool, steps_per_call, seed
        self.start, self.rank, self.world = start, rank, world
        self._sizes = lines.widths.cpu()
        n = len(self._sizes)
        all_steps = math.ceil(math.ceil(n / batch_size) / world) if seed is not None else math.ceil(len(range(rank, n, world)) / batch_size)
        self.steps = min(all_steps, steps or all_steps)
        self.epoch = 0
        if seed is not None:
            self.sampler = self  # where Lightning looks for set_epoch

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        return math.ceil(self.steps / self.steps_per_call)

    def order(self) -> list[Tensor]:
        """The lines of each batch of this process in this epoch: int64 (at most B,) each, the widest first."""
        n, b = len(self._sizes), self.batch_size
        if self.seed is None:
            widest_first = torch.argsort(self._sizes, descending=True, stable=True)
            return list(widest_first[self.rank :: self.world].split(b))[: self.steps]
        batches: list[Tensor] = []
        for pool in permutation(n, self.seed, self.epoch).split(b * self.pool):
            batches += pool[torch.argsort(self._sizes[pool], descending=True, stable=True)].split(b)
        mixed = permutation(len(batches), self.seed + 1, self.epoch).tolist()
        filled = [*mixed, *mixed[: -len(mixed) % self.world]]
        return [batches[number] for number in filled[self.rank :: self.world]][: self.steps]

    def __iter__(self) -> Iterator[list[LineBatch]]:
        order = self.order()
        first = self.start[1] if self.epoch == self.start[0] else 0
        for begin in range(0, self.steps, self.steps_per_call):
            end = min(begin + self.steps_per_call, self.steps)
            yield [self._cut(index) for index in order[max(begin, first) : end]]

    def _cut(self, index: Tensor) -> LineBatch:
        columns, starts, widths, targets = self.lines
        place = torch.arange(int(self._sizes[index].max()), device=columns.device)  # (W,)
        index = index.to(columns.device)
        widths = widths[index]
        beyond = place >= widths[:, None]  # (B, W)
        source = (starts[index, None] + place).masked_fill(beyond, 0)
        pictures = columns[source].masked_fill(beyond[:, :, None], 255).transpose(1, 2)  # (B, W, H) -> (B, H, W)
        return (pictures, widths), targets[index], index
