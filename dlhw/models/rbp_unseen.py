"""What a network without a protein encoder can say of proteins that it never saw: the baselines of the dual encoder.

Legend: B batch, P proteins.
"""

from typing import Any

import torch
from torch import Tensor

from dlhw.errors import UserError
from dlhw.models.rbp_residual import RbpResidual
from dlhw.protein_identity import most_alike
from dlhw.specs import FASTA, SequenceSpec, wants

ANSWERS = ("nearest", "mean")


class RbpUnseen(RbpResidual):
    """The network for many proteins, which answers for a protein that it never saw with what it predicts for others.

    Args:
        answer: ``nearest``: the protein among those trained on with the largest identity of amino acids; ``mean``: the mean of them all.
        options: see :class:`dlhw.models.rbp_residual.RbpResidual`.

    ``reads`` is what of a protein it answers by: see :attr:`dlhw.models.rbp_dual_encoder.RbpDualEncoder.reads`.
    """

    shares: Tensor

    def __init__(self, spec: SequenceSpec, *, answer: str = "nearest", **options: Any) -> None:
        wants(spec, SequenceSpec, "rbp_unseen")
        trained = [number for number, name in enumerate(spec.proteins) if name not in spec.unseen]
        super().__init__(SequenceSpec(spec.length, tuple(spec.proteins[number] for number in trained)), **options)
        if answer not in ANSWERS:
            raise UserError(f"model.answer={answer} is not one of {', '.join(ANSWERS)}")
        if answer == "nearest" and not spec.amino_acids:
            raise UserError(f"model.answer=nearest compares amino acids, and the data has none: {FASTA}")
        self.reads = "amino_acids" if answer == "nearest" else ""
        shares = torch.zeros(len(trained), spec.outputs)  # column: a protein; rows: whose predictions answer for it, and to which share
        for number in range(spec.outputs):
            if number in trained:
                shares[trained.index(number), number] = 1.0
            elif answer == "mean":
                shares[:, number] = 1 / len(trained)
            else:
                shares[most_alike(spec.amino_acids[number], [spec.amino_acids[other] for other in trained]), number] = 1.0
        self.register_buffer("shares", shares, persistent=False)

    def forward(self, bases: Tensor, mask: Tensor) -> Tensor:
        return super().forward(bases, mask) @ self.shares
