"""One convolution that looks for motifs, pooled over the positions (R5).

Legend: B batch, L padded length, F filters, P proteins.
"""

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F

from dlhw.layers.masked import MaskedConv1d, pool, pooled_width
from dlhw.layers.mlp import mlp
from dlhw.ranges import check_at_least, check_shares, check_within
from dlhw.specs import SequenceSpec, wants


class RbpCNN(nn.Module):
    """Convolution, ReLU, pooling over the positions, fully connected layers (after DeepBind: Alipanahi et al., 2015).

    Args:
        filters, kernel: of the convolution, in nucleotides.
        pool: over the positions: mean, max, max_mean.
        hidden: widths of the fully connected layers before the last.
        dropout: share of values dropped before each fully connected layer.

    Shapes: bases (B, 4, L), mask (B, L) -> (B, P).
    """

    def __init__(
        self,
        spec: SequenceSpec,
        *,
        filters: int = 32,
        kernel: int = 12,
        pool: str = "max",
        hidden: Sequence[int] = (64,),
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        wants(spec, SequenceSpec, "rbp_cnn")
        check_at_least(1, "model", filters=filters, hidden=hidden)
        check_within(spec.length, kernel=kernel)
        check_shares("model", dropout=dropout)
        self.pool = pool
        self.motifs = MaskedConv1d(4, filters, kernel)
        self.head = mlp(pooled_width(filters, pool), hidden, spec.outputs, dropout)

    def forward(self, bases: Tensor, mask: Tensor) -> Tensor:
        x = F.relu(self.motifs(bases, mask))  # (B, 4, L) -> (B, F, L)
        return self.head(pool(x, mask, self.pool))  # -> (B, F) -> (B, P)
