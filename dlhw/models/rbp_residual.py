"""Parallel kernels, then dilated residual blocks: the best network found here for RNA probes, for one protein or many.

Legend: B batch, L padded length, C channels, P proteins.
"""

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F

from dlhw.errors import UserError
from dlhw.layers.masked import BatchNorm, MaskedConv1d, pool, pooled_width, side_by_side
from dlhw.layers.mlp import mlp
from dlhw.ranges import check_at_least, check_shares
from dlhw.specs import SequenceSpec, wants


class Block(nn.Module):
    """Two dilated convolutions with batch normalisation, added to what they read: (B, C, L) -> (B, C, L)."""

    def __init__(self, channels: int, kernel: int, dilation: int) -> None:
        super().__init__()
        self.convs = nn.ModuleList(MaskedConv1d(channels, channels, kernel, dilation=dilation, bias=False) for _ in range(2))
        self.norms = nn.ModuleList(BatchNorm(channels) for _ in range(2))

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        y = F.relu(self.norms[0](self.convs[0](x, mask)))
        return F.relu(x + self.norms[1](self.convs[1](y, mask)))


class RbpResidual(nn.Module):
    """Convolutions of several lengths side by side (as in MultiRBP: Karin et al., 2021), dilated residual blocks (as in ResidualBind:
    Koo et al., 2021), pooling, fully connected layers.

    Args:
        kernels: lengths of the first convolutions, in nucleotides.
        filters: of each of them.
        width: channels of the blocks.
        dilations: one block for each.
        kernel: length of the blocks' convolutions.
        pool: over the positions: mean, max, max_mean.
        hidden: widths of the fully connected layers before the last.
        dropout: share of values dropped before each fully connected layer.

    Shapes: bases (B, 4, L), mask (B, L) -> (B, P).
    """

    def __init__(
        self,
        spec: SequenceSpec,
        *,
        kernels: Sequence[int] = (5, 7, 9, 11),
        filters: int = 32,
        width: int = 64,
        dilations: Sequence[int] = (1, 2, 4, 8),
        kernel: int = 7,
        pool: str = "max_mean",
        hidden: Sequence[int] = (128,),
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        wants(spec, SequenceSpec, "rbp_residual")
        check_at_least(1, "model", kernels=kernels, dilations=dilations, hidden=hidden, filters=filters, width=width, kernel=kernel)
        if not kernels:
            raise UserError("model.kernels=[] finds no motif: one width or more is right")
        check_shares("model", dropout=dropout)
        self.pool = pool
        # One convolution as long as the longest kernel would do the same with zeros in it; side by side they cost less.
        self.motifs = nn.ModuleList(MaskedConv1d(4, filters, size) for size in kernels)
        self.first = BatchNorm(filters * len(kernels))
        self.mix = MaskedConv1d(filters * len(kernels), width, 1, bias=False)
        self.second = BatchNorm(width)
        self.blocks = nn.ModuleList(Block(width, kernel, dilation) for dilation in dilations)
        self.head = mlp(pooled_width(width, pool), hidden, spec.outputs, dropout)

    def features(self, bases: Tensor, mask: Tensor) -> Tensor:
        """(B, 4, L) -> (B, C), or (B, 2 C) for two pools: what the sequence is to the fully connected layers."""
        x = side_by_side([motif(bases, mask) for motif in self.motifs])
        x = F.relu(self.first(x))
        x = F.relu(self.second(self.mix(x, mask)))
        for block in self.blocks:
            x = block(x, mask)
        return pool(x, mask, self.pool)

    def forward(self, bases: Tensor, mask: Tensor) -> Tensor:
        return self.head(self.features(bases, mask))
