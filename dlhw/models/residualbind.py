"""ResidualBind with several outputs: a peer to compare with.

Legend: B batch, L padded length, C channels, K bins, P proteins.
"""

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F

from dlhw.errors import UserError
from dlhw.layers.batch_norm import BatchNorm1d
from dlhw.layers.masked import BatchNorm, MaskedConv1d
from dlhw.ranges import check_at_least, check_within
from dlhw.specs import SequenceSpec, wants


class ResidualBind(nn.Module):
    """A convolution, one residual block of dilated convolutions, means over bins of positions, a dense layer (Koo, Majdandzic, Ploenzke,
    Anand, Paul: Global importance analysis, PLOS Computational Biology 2021, https://doi.org/10.1371/journal.pcbi.1008925).

    Changed: an output for each protein, where the paper trains a network for each; the padding is masked.

    Args:
        filters, kernel: of the first convolution.
        dilations: of the block's convolutions after its first.
        bin_size: positions that are averaged to one; what is left over at the end is dropped, as there.
        hidden: width of the dense layer.
        dropouts: shares of values dropped after convolutions, after the averaging, after the dense layer.

    Shapes: bases (B, 4, L), mask (B, L) -> (B, P).
    """

    def __init__(
        self,
        spec: SequenceSpec,
        *,
        filters: int = 96,
        kernel: int = 11,
        dilations: Sequence[int] = (2, 4, 8),
        bin_size: int = 10,
        hidden: int = 256,
        dropouts: Sequence[float] = (0.1, 0.2, 0.5),
    ) -> None:
        super().__init__()
        wants(spec, SequenceSpec, "residualbind")
        check_at_least(1, "model", filters=filters, kernel=kernel, dilations=dilations, hidden=hidden)
        check_within(spec.length, bin_size=bin_size)
        if len(dropouts) != 3 or not all(0 <= share < 1 for share in dropouts):
            raise UserError(f"model.dropouts={list(dropouts)} is out of range: three shares of 0 to below 1")
        self.dropouts, self.bin_size, self.bins = tuple(dropouts), bin_size, spec.length // bin_size
        self.motifs = MaskedConv1d(4, filters, kernel, bias=False)
        self.first = BatchNorm(filters)
        self.convs = nn.ModuleList(MaskedConv1d(filters, filters, 3, dilation=dilation, bias=False) for dilation in (1, *dilations))
        self.norms = nn.ModuleList(BatchNorm(filters) for _ in self.convs)
        self.dense = nn.Linear(filters * self.bins, hidden, bias=False)
        self.last = BatchNorm1d(hidden)
        self.head = nn.Linear(hidden, spec.outputs)

    def forward(self, bases: Tensor, mask: Tensor) -> Tensor:
        after_conv, after_bins, after_dense = self.dropouts
        x = F.dropout(F.relu(self.first(self.motifs(bases, mask))), after_conv, self.training)  # (B, C, L)
        y = self.norms[0](self.convs[0](x, mask))
        for conv, norm in zip(self.convs[1:], self.norms[1:], strict=True):
            y = norm(conv(F.dropout(F.relu(y), after_conv, self.training), mask))
        x = F.dropout(self.averaged(F.relu(x + y), mask), after_bins, self.training)
        x = F.relu(self.last(self.dense(x.flatten(1))))
        return self.head(F.dropout(x, after_dense, self.training))

    def averaged(self, x: Tensor, mask: Tensor) -> Tensor:
        """The means over each bin's positions that a sequence has, 0 where it has none: (B, C, L) -> (B, C, K)."""
        end = self.bins * self.bin_size
        inside = F.pad(mask, (0, end - mask.shape[1])).unflatten(1, (self.bins, self.bin_size)).unsqueeze(1)  # (B, 1, K, bin size)
        values = F.pad(x, (0, end - x.shape[2])).unflatten(2, (self.bins, self.bin_size))
        return (values * inside).sum(dim=3) / inside.sum(dim=3).clamp(min=1)
