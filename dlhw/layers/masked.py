"""What sequences of different lengths need: layers whose results do not depend on the padding.

Legend: B batch, C channels, L padded length. ``mask`` is bool (B, L), true where a sequence has a position; each has one at least.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from dlhw.errors import UserError
from dlhw.layers.lstm import LSTM

POOLS = ("mean", "max", "max_mean")


def pool(x: Tensor, mask: Tensor, how: str) -> Tensor:
    """Mean and maximum over the positions of each sequence: (B, C, L) -> (B, C), or (B, 2C) for both, the maximum first."""
    parts = []
    x, inside = x.transpose(1, 2), mask.unsqueeze(2)  # (B, L, C), as it lies in memory, so that the gradient does too; (B, L, 1)
    if how in ("max", "max_mean"):
        parts.append(x.masked_fill(~inside, torch.finfo(x.dtype).min).amax(dim=1))
    if how in ("mean", "max_mean"):
        parts.append((x * inside).sum(dim=1) / inside.sum(dim=1))
    return torch.cat(parts, dim=1)


def side_by_side(parts: Sequence[Tensor]) -> Tensor:
    """Concatenate channels in the memory layout of :class:`MaskedConv1d`: several (B, C, L) -> (B, sum of C, L)."""
    return torch.cat([part.transpose(1, 2) for part in parts], dim=2).transpose(1, 2)


def pooled_width(channels: int, how: str, knob: str = "model.pool") -> int:
    """How many values :func:`pool` gives.

    Raises:
        UserError: no such way.
    """
    if how not in POOLS:
        raise UserError(f"{knob}={how} is not one of {', '.join(POOLS)}")
    return channels * (2 if how == "max_mean" else 1)


class MaskedConv1d(nn.Conv2d):
    """A convolution that keeps the length and sees zeros beyond the ends of a sequence, not what a layer before it left there.

    An even kernel reaches one position further to the right than to the left. Computed as a convolution over pictures of height 1 whose
    channels lie side by side in memory: in training on a CPU about half the time of a Conv1d from 64 channels to 64; from the 4 channels
    of a first layer, which reads the bases, the gain is smaller, about a third. (B, C, L) -> (B, C', L).
    """

    def __init__(self, channels: int, filters: int, kernel: int, *, dilation: int = 1, bias: bool = True) -> None:
        reach = dilation * (kernel - 1)
        super().__init__(channels, filters, (1, kernel), dilation=(1, dilation), padding=(0, reach // 2), bias=bias)
        self.further = reach % 2  # to the right, for an even kernel

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:  # type: ignore[override]
        x = nn.functional.pad(x * mask.unsqueeze(1), (0, self.further)) if self.further else x * mask.unsqueeze(1)
        return super().forward(x.unsqueeze(2).contiguous(memory_format=torch.channels_last)).squeeze(2)


class BatchNorm(nn.BatchNorm2d):
    """Batch normalisation over batch and positions, in the memory layout of :class:`MaskedConv1d`. (B, C, L) -> (B, C, L).

    In training, positions of the padding count in the statistics; in evaluation nothing depends on them.
    """

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.unsqueeze(2)).squeeze(2)


class Turned(torch.autograd.Function):
    """Each sequence turned around within its length, padding left where it is: (L, B, C) -> (L, B, C).

    ``rows`` (L * B) says for each position in memory which one comes there. Turned twice it is as it was, so the gradient is turned by
    the same rows, where autograd would add up into zeros, several times as slow.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, rows: Tensor) -> Tensor:
        ctx.save_for_backward(rows)
        return x.flatten(0, 1).index_select(0, rows).view_as(x)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (rows,) = ctx.saved_tensors
        return gradient.flatten(0, 1).index_select(0, rows).view_as(gradient), None


class BiLSTM(nn.Module):
    """LSTM layers in both directions over sequences of different lengths; what it gives for a position does not depend on the padding.

    Each direction is a layer of its own; the one from the end gets each sequence turned around within its length, so neither meets padding
    before a sequence, and no packed sequences are needed, for which there are no fast kernels on CPUs. Positions come before sequences in
    memory, as torch's kernels want them. (B, L, C) -> (B, L, 2 hidden).

    Args:
        dropout: share of values dropped between layers.
    """

    def __init__(self, channels: int, hidden: int, layers: int = 1, dropout: float = 0.0) -> None:
        super().__init__()
        widths = [channels] + [2 * hidden] * (layers - 1)
        self.onward = nn.ModuleList(LSTM(width, hidden, batch_first=True) for width in widths)
        self.reverse = nn.ModuleList(LSTM(width, hidden, batch_first=True) for width in widths)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        sequences, length = mask.shape
        position = torch.arange(length, device=x.device).unsqueeze(1)
        turned = torch.where(mask.t(), mask.sum(dim=1) - 1 - position, position)  # (L, B)
        rows = (turned * sequences + torch.arange(sequences, device=x.device)).flatten()
        x = x.transpose(0, 1).contiguous()
        for layer, (onward, back) in enumerate(zip(self.onward, self.reverse, strict=True)):
            x = self.dropout(x) if layer else x
            ahead = onward(x.transpose(0, 1))[0].transpose(0, 1)
            behind = back(Turned.apply(x, rows).transpose(0, 1))[0].transpose(0, 1)
            x = torch.cat([ahead, Turned.apply(behind, rows)], dim=2)
        return x.transpose(0, 1)
