"""One convolution that looks for motifs, pooled over the positions (R5).

Legend: B batch, L padded length, F filters, P proteins.
"""

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F

from dlhw.errors import UserError
from dlhw.layers.masked import MaskedConv1d, pool, pooled_width
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
        if filters < 1 or any(width < 1 for width in hidden):
            raise UserError(f"model.filters={filters}, model.hidden={list(hidden)} are out of range: each at least 1")
        if not 1 <= kernel <= spec.length:
            raise UserError(f"model.kernel={kernel} is out of range: 1 to {spec.length}, the length of the sequences")
        if not 0 <= dropout < 1:
            raise UserError(f"model.dropout={dropout} is out of range: 0 to below 1")
        self.pool = pool
        self.motifs = MaskedConv1d(4, filters, kernel)
        layers: list[nn.Module] = []
        wide = pooled_width(filters, pool)
        for after in hidden:
            layers += [nn.Dropout(dropout), nn.Linear(wide, after), nn.ReLU()]
            wide = after
        self.head = nn.Sequential(*layers, nn.Dropout(dropout), nn.Linear(wide, spec.outputs))

    def forward(self, bases: Tensor, mask: Tensor) -> Tensor:
        x = F.relu(self.motifs(bases, mask))  # (B, 4, L) -> (B, F, L)
        return self.head(pool(x, mask, self.pool))  # -> (B, F) -> (B, P)
