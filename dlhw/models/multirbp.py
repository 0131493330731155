"""MultiRBP, one network for all proteins: a peer to compare with.

Legend: B batch, L padded length, P proteins.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dlhw.errors import UserError
from dlhw.layers.masked import MaskedConv1d, pool
from dlhw.ranges import check_at_least, check_shares
from dlhw.specs import SequenceSpec, wants


class MultiRBP(nn.Module):
    """Short kernels of several lengths and long ones side by side, the maximum of each over the positions, and two dense layers; beside
    them a second path of its own kernels and dense layer. The output layer sees both paths, and what the dense layers see and say
    (Karin, Michel, Orenstein: MultiRBP, ACM-BCB 2021, https://doi.org/10.1145/3459930.3469525; layers as in the authors' code).

    Changed: without the RNA structure as a second input and without L2 penalties; the padding is masked; all widths are set here, and
    far smaller. Its loss is ``task.module.loss=log_cosh``.

    Args:
        kernels: lengths of the short kernels, in nucleotides.
        filters: of each of these lengths.
        long_kernel, long_filters: the long ones; 0 filters leave them out.
        hidden: widths of the two dense layers.
        side_kernel, side_filters, side_hidden: of the second path.
        dropout: share of values dropped before each dense layer.
        leak: slope of the output where it is negative; 1 leaves it as it is.

    Shapes: bases (B, 4, L), mask (B, L) -> (B, P).
    """

    def __init__(
        self,
        spec: SequenceSpec,
        *,
        kernels: Sequence[int] = (5, 7, 9, 11),
        filters: int = 96,
        long_kernel: int = 25,
        long_filters: int = 32,
        hidden: Sequence[int] = (512, 256),
        side_kernel: int = 5,
        side_filters: int = 32,
        side_hidden: int = 64,
        dropout: float = 0.2,
        leak: float = 0.3,
    ) -> None:
        super().__init__()
        wants(spec, SequenceSpec, "multirbp")
        check_at_least(1, "model", kernels=kernels, long_kernel=long_kernel, filters=filters, hidden=hidden)
        check_at_least(1, "model", side_kernel=side_kernel, side_filters=side_filters, side_hidden=side_hidden)
        check_at_least(0, "model", long_filters=long_filters, leak=leak)
        check_shares("model", dropout=dropout)
        if not kernels or len(hidden) != 2:
            raise UserError(f"model.kernels={list(kernels)} model.hidden={list(hidden)}: one kernel at least and two widths are right")
        sizes = [(filters, kernel) for kernel in kernels] + ([(long_filters, long_kernel)] if long_filters else [])
        found = sum(count for count, _ in sizes)
        self.motifs = nn.ModuleList(MaskedConv1d(4, count, kernel) for count, kernel in [*sizes, (side_filters, side_kernel)])
        self.first, self.second = nn.Linear(found, hidden[0]), nn.Linear(hidden[0], hidden[1])
        self.side = nn.Linear(side_filters, side_hidden)
        self.head = nn.Linear(side_hidden + hidden[1] + found + hidden[0], spec.outputs)
        self.dropout, self.leak = nn.Dropout(dropout), leak

    def forward(self, bases: Tensor, mask: Tensor) -> Tensor:
        *found, beside = [pool(F.relu(motif(bases, mask)), mask, "max") for motif in self.motifs]  # each (B, filters)
        x = self.dropout(torch.cat(found, dim=1))
        first = F.relu(self.first(x))
        second = F.relu(self.second(self.dropout(first)))
        side = F.relu(self.side(self.dropout(beside)))
        return F.leaky_relu(self.head(torch.cat([side, second, x, first], dim=1)), self.leak)
