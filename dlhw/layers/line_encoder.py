"""From pictures of text lines to a sequence of states: convolutions and poolings, then LSTMs in both directions.

What comes out for a line depends on nothing beyond its width: after each convolution the columns there are set to zero again, which
is what the padding of a convolution holds as well, and no LSTM reads beyond the end of a line. In training, the statistics of the batch
normalization do see the padding, as they see the neighbours in the batch; with lines of like width in a batch there is little of it.

Legend: B batch, H height, W width, C channels, S steps along the line, D width of a state.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from dlhw.errors import UserError
from dlhw.layers.masked import BiLSTM
from dlhw.ranges import check_at_least, check_shares


class LineEncoder(nn.Module):
    """Blocks of a 3x3 convolution, batch normalization, pooling and ReLU, then bidirectional LSTMs (Shi et al., CRNN, TPAMI 2017).

    Ours differs in its widths and in that every block normalizes. Ink is 1 and paper 0 at the input, so padding is paper.

    Args:
        height: of the pictures.
        channels: of the convolutions.
        pools: height and width of the maximum after each convolution; 1x1 is none.
        hidden: of each LSTM in each direction.
        layers: LSTMs on top of each other.
        dropout: before each LSTM and after the last.

    Shapes: ink (B, 1, H, W), widths (B,) -> states (B, S, 2 * hidden), zero beyond each line, and lengths (B,).
    """

    def __init__(
        self, height: int, channels: Sequence[int], pools: Sequence[Sequence[int]], hidden: int, layers: int, dropout: float
    ) -> None:
        super().__init__()
        if len(channels) != len(pools) or not channels:
            raise UserError(f"model.pools={[*pools]} must have one pair for each of model.channels={[*channels]}")
        check_at_least(1, "model", hidden=hidden, layers=layers, channels=channels)
        check_shares("model", dropout=dropout)
        if any(len(pool) != 2 or min(pool) < 1 for pool in pools):
            raise UserError(f"model.pools={[*pools]} is out of range: pairs of height and width, each at least 1")
        self.pools = [(int(high), int(wide)) for high, wide in pools]
        self.convolutions, self.norms, before = nn.ModuleList(), nn.ModuleList(), 1
        for after, (high, _) in zip(channels, self.pools, strict=True):
            self.convolutions.append(nn.Conv2d(before, after, 3, padding=1, bias=False))
            self.norms.append(nn.BatchNorm2d(after))
            before, height = after, height // high
        if not height:
            raise UserError(f"model.pools={[*pools]} leave nothing of the height of the lines: fewer poolings or a larger task.data.height")
        self.least = math.prod(wide for _, wide in self.pools)
        self.dropout = nn.Dropout(dropout)
        self.lstm = BiLSTM(before * height, hidden, layers, dropout)
        self.width = 2 * hidden
        self.to(memory_format=torch.channels_last)

    def steps(self, widths: Tensor) -> Tensor:
        """How many states lines of ``widths`` columns give: int64, at least 1."""
        for _, wide in self.pools:
            widths = widths // wide
        return widths.clamp(min=1)

    def forward(self, ink: Tensor, widths: Tensor) -> tuple[Tensor, Tensor]:
        ink = nn.functional.pad(ink, (0, max(0, self.least - ink.shape[3])))  # poolings need as much
        x = ink.contiguous(memory_format=torch.channels_last)  # (B, 1, H, W)
        for convolution, norm, pool in zip(self.convolutions, self.norms, self.pools, strict=True):
            x, widths = self._pooled(norm(convolution(x)), widths, pool)
            x = x.relu()  # commutes with the maximum and the mask, and does less work after the first
        x = self.dropout(x.permute(0, 3, 1, 2).flatten(2))  # (B, C, H', S) -> (B, S, C * H')
        lengths = widths.clamp(min=1)
        inside = torch.arange(x.shape[1], device=x.device) < lengths[:, None]  # (B, S)
        return self.dropout(self.lstm(x, inside)) * inside[:, :, None], lengths

    @staticmethod
    def _pooled(x: Tensor, widths: Tensor, pool: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """Maxima of ``x`` and the widths they have; zero beyond, also where a maximum has seen one column of the line."""
        if pool != (1, 1):
            x, widths = nn.functional.max_pool2d(x, pool), widths // pool[1]
        inside = torch.arange(x.shape[3], device=x.device) < widths[:, None]  # (B, W')
        return x * inside[:, None, None, :], widths
