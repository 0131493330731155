"""MultiRBP, one network for all proteins: a peer to compare with.

Legend: B batch, L padded length, F filters, P proteins.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dlhw.layers.masked import MaskedConv1d, pool
from dlhw.layers.mlp import mlp
from dlhw.ranges import check_at_least, check_shares
from dlhw.specs import SequenceSpec, wants


class MultiRBP(nn.Module):
    """Short kernels of several lengths and long ones side by side, the maximum of each over the positions, dense layers, an output per
    protein (Karin, Michel, Orenstein: MultiRBP, ACM-BCB 2021, https://doi.org/10.1145/3459930.3469525).

    Changed: without the RNA structure as a second input; the padding is masked. The lengths 5, 7, 9, 11 are the paper's; how many filters
    there are, how long the long ones, and the widths of the dense layers are set here. Its loss is ``task.module.loss=log_cosh``.

    Args:
        kernels: lengths of the short kernels, in nucleotides.
        filters: of each of these lengths.
        long_kernel, long_filters: the long ones; 0 filters leave them out.
        hidden: widths of the dense layers before the last.
        dropout: share of values dropped before each dense layer.

    Shapes: bases (B, 4, L), mask (B, L) -> (B, P).
    """

    def __init__(
        self,
        spec: SequenceSpec,
        *,
        kernels: Sequence[int] = (5, 7, 9, 11),
        filters: int = 64,
        long_kernel: int = 25,
        long_filters: int = 32,
        hidden: Sequence[int] = (256, 128),
        dropout: float = 0.2,
    ) -> None:
        super().__init__()
        wants(spec, SequenceSpec, "multirbp")
        check_at_least(1, "model", kernels=kernels, long_kernel=long_kernel, filters=filters, hidden=hidden)
        check_at_least(0, "model", long_filters=long_filters)
        check_shares("model", dropout=dropout)
        sizes = [(filters, kernel) for kernel in kernels] + ([(long_filters, long_kernel)] if long_filters else [])
        self.motifs = nn.ModuleList(MaskedConv1d(4, count, kernel) for count, kernel in sizes)
        self.head = mlp(sum(count for count, _ in sizes), hidden, spec.outputs, dropout)

    def forward(self, bases: Tensor, mask: Tensor) -> Tensor:
        found = [pool(F.relu(motif(bases, mask)), mask, "max") for motif in self.motifs]  # each (B, F)
        return self.head(torch.cat(found, dim=1))
