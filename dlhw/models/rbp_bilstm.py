"""A recurrent network over the positions, pooled plainly or by attention (R6, R7).

Legend: B batch, L padded length, D = 2 hidden, P proteins.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dlhw.errors import UserError
from dlhw.layers.masked import BiLSTM, MaskedConv1d, pool, pooled_width
from dlhw.ranges import check_at_least, check_shares, check_within
from dlhw.specs import SequenceSpec, wants

ATTENTION = ("none", "pool", "multihead")
KERNEL, POOL, HEADS = 8, "mean", 4  # the defaults, which stay where nothing reads these knobs


class AttentionPool(nn.Module):
    """A linear score per position, a softmax over the positions of the sequence, the weighted sum: (B, L, D) -> (B, D), weights (B, L)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.score = nn.Linear(width, 1)

    def forward(self, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        scores = self.score(x).squeeze(2).masked_fill(~mask, -torch.inf)
        weights = scores.softmax(dim=1)
        return (weights.unsqueeze(1) @ x).squeeze(1), weights


class RbpBiLSTM(nn.Module):
    """Perhaps a convolution, then a bidirectional LSTM, pooling or attention, and a linear layer.

    Args:
        filters, kernel: of a convolution before the LSTM, with ReLU; 0 filters leave it out, and the LSTM reads single bases.
        hidden: width of each direction.
        layers: LSTM layers.
        pool: over the positions, where ``attention`` is not ``pool``: mean, max, max_mean.
        attention: none; pool: :class:`AttentionPool` in place of ``pool``; multihead: self-attention with ``heads`` heads, added to what
            it reads and normalised, before ``pool``.
        dropout: share of values dropped between LSTM layers and before the last layer.

    ``kernel`` without filters, ``pool`` with ``attention=pool`` and ``heads`` without self-attention would change nothing: other values
    than these defaults are refused there.

    Shapes: bases (B, 4, L), mask (B, L) -> (B, P). ``weights`` holds the attention of the last call: (B, L), or (B, L, L) as the mean
    over heads; None without attention.
    """

    weights: Tensor | None = None

    def __init__(
        self,
        spec: SequenceSpec,
        *,
        filters: int = 0,
        kernel: int = KERNEL,
        hidden: int = 64,
        layers: int = 1,
        pool: str = POOL,
        attention: str = "none",
        heads: int = HEADS,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        wants(spec, SequenceSpec, "rbp_bilstm")
        check_at_least(0, "model", filters=filters)
        check_at_least(1, "model", hidden=hidden, layers=layers, heads=heads)
        if attention not in ATTENTION:
            raise UserError(f"model.attention={attention} is not one of {', '.join(ATTENTION)}")
        if attention == "multihead" and 2 * hidden % heads:
            raise UserError(f"model.heads={heads} does not divide {2 * hidden}, twice model.hidden")
        check_shares("model", dropout=dropout)
        for name, value, usual, read, where in (
            ("kernel", kernel, KERNEL, filters > 0, "model.filters=0"),
            ("pool", pool, POOL, attention != "pool", "model.attention=pool"),
            ("heads", heads, HEADS, attention == "multihead", f"model.attention={attention}"),
        ):
            if not read and value != usual:
                raise UserError(f"model.{name}={value} changes nothing where {where}: leave it at {usual}")
        if filters:
            check_within(spec.length, kernel=kernel)
        self.pool, self.attention = pool, attention
        width = 2 * hidden
        self.motifs = MaskedConv1d(4, filters, kernel) if filters else None
        self.lstm = BiLSTM(filters or 4, hidden, layers, dropout)
        if attention == "pool":
            self.attend: nn.Module = AttentionPool(width)
            pooled = width
        else:
            pooled = pooled_width(width, pool)
        if attention == "multihead":
            self.attend = nn.MultiheadAttention(width, heads, batch_first=True)
            self.norm = nn.LayerNorm(width)
        self.head = nn.Sequential(nn.Dropout(dropout), nn.Linear(pooled, spec.outputs))

    def forward(self, bases: Tensor, mask: Tensor) -> Tensor:
        x = F.relu(self.motifs(bases, mask)) if self.motifs else bases
        x = self.lstm(x.transpose(1, 2), mask)  # (B, C, L) -> (B, L, D)
        if self.attention == "pool":
            x, self.weights = self.attend(x, mask)
            return self.head(x)  # (B, D) -> (B, P)
        if self.attention == "multihead":
            attended, self.weights = self.attend(x, x, x, key_padding_mask=~mask)
            x = self.norm(x + attended)
        return self.head(pool(x.transpose(1, 2), mask, self.pool))
