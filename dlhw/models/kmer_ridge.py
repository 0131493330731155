"""Ridge regression on the counts of k-mers, solved in closed form: the baseline of the networks.

Legend: B batch, L padded length, K k-mers of all lengths, P proteins, N probes.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from dlhw.errors import UserError
from dlhw.ranges import check
from dlhw.specs import SequenceSpec, wants

Batches = Iterable[tuple[Tensor, Tensor, Tensor]]  # bases (B, 4, L), mask (B, L), measured (B, P)


class KmerRidge(nn.Module):
    """Each protein's intensity as a weighted sum of how often each k-mer stands in the probe, plus a constant.

    :meth:`solve` finds the weights; there are no gradient steps, so one epoch is all. What N stands for is counted as a quarter of each.

    Args:
        longest: k-mers of 1 to so many bases.
        penalties: of the squared weights; for each protein the one with the smallest squared error on the validation split is taken.

    Shapes: bases (B, 4, L), mask (B, L) -> (B, P).
    """

    penalty: Tensor

    def __init__(self, spec: SequenceSpec, *, longest: int = 5, penalties: Sequence[float] = (1.0, 10.0, 100.0, 1000.0, 10000.0)) -> None:
        super().__init__()
        wants(spec, SequenceSpec, "kmer_ridge")
        if spec.unseen:
            raise UserError(
                "model=kmer_ridge solves each protein from its own values, so it says nothing of unseen ones: model=rbp_mean, rbp_nearest "
                "or rbp_dual_encoder is right, or task.data.unseen=null"
            )
        check("model", "1 to 6 bases", lambda bases: 1 <= bases <= 6, longest=longest)
        if not penalties or any(penalty <= 0 for penalty in penalties):
            raise UserError(f"model.penalties={list(penalties)} is out of range: one or more, each above 0")
        self.longest, self.penalties = longest, tuple(penalties)
        width = sum(4**k for k in range(1, longest + 1))
        self.weight = nn.Parameter(torch.zeros(width, spec.outputs), requires_grad=False)
        self.bias = nn.Parameter(torch.zeros(spec.outputs), requires_grad=False)
        self.register_buffer("penalty", torch.full((spec.outputs,), torch.nan))  # that was taken; NaN: not solved

    def forward(self, bases: Tensor, mask: Tensor) -> Tensor:
        with torch.autocast(bases.device.type, enabled=False):
            return self.counts(bases) @ self.weight + self.bias

    def counts(self, bases: Tensor) -> Tensor:
        """How often each k-mer occurs, those of one base first: (B, 4, L) -> (B, K). Padding is 0 of all bases, so it counts nothing."""
        found = [bases.sum(dim=2)]
        shorter = bases  # (B, 4^(k-1), L - k + 2): whether each shorter k-mer begins at each place
        for k in range(2, self.longest + 1):
            ahead = shorter[:, :, :-1]
            following = bases[:, :, k - 1 :]  # (B, 4, L - k + 1)
            if k == self.longest:  # counts alone: no need to hold the places
                found.append((ahead @ following.transpose(1, 2)).flatten(1))
            else:
                shorter = (ahead.unsqueeze(2) * following.unsqueeze(1)).flatten(1, 2)
                found.append(shorter.sum(dim=2))
        return torch.cat(found, dim=1)

    @torch.no_grad()
    def solve(self, train: Batches, val: Batches) -> None:
        """Set the weights to those of the least squared error over the training batches plus a penalty, chosen on the validation batches.

        Proteins without a value in the training batches keep weights of 0; those without one in the validation batches take the middle
        penalty.
        """
        fitting, checking = self._sums(train), self._sums(val)
        shared: dict[float, Tensor] = {}  # factors for the proteins that were measured on every probe
        for protein in range(len(self.bias)):
            fitted, checked = fitting.of(protein), checking.of(protein)
            if not fitted.n:
                continue
            factors = shared if fitted.n == fitting.rows else {}
            solutions, errors = [], []
            for penalty in self.penalties:
                if penalty not in factors:
                    factors[penalty] = torch.linalg.cholesky(fitted.scatter + penalty * torch.eye(len(self.weight), dtype=torch.float64))
                weight = torch.cholesky_solve(fitted.moment[:, None], factors[penalty])[:, 0]
                bias = (fitted.y - fitted.x @ weight) / fitted.n
                solutions.append((weight, bias))
                errors.append(checked.error(weight, bias))
            best = int(torch.stack(errors).argmin()) if checked.n else len(self.penalties) // 2
            self.weight[:, protein], self.bias[protein] = solutions[best]
            self.penalty[protein] = self.penalties[best]

    def _sums(self, batches: Batches) -> "Sums":
        sums = Sums(*self.weight.shape)
        for bases, _, measured in batches:
            sums.add(self.counts(bases.float()), measured)
        return sums


class Sums:
    """Sums over all probes, from which those over the probes on which one protein was measured follow: in float64, on the CPU."""

    def __init__(self, width: int, proteins: int) -> None:
        self.rows, double = 0, torch.float64
        self.x, self.xx = torch.zeros(width, dtype=double), torch.zeros(width, width, dtype=double)
        self.y, self.yy = torch.zeros(proteins, dtype=double), torch.zeros(proteins, dtype=double)
        self.xy = torch.zeros(width, proteins, dtype=double)
        self._lacking: list[tuple[Tensor, Tensor]] = []  # counts of probes on which some protein was not measured, and on which it was not

    def add(self, counts: Tensor, measured: Tensor) -> None:
        """A batch: (B, K), (B, P)."""
        counts, measured = counts.cpu(), measured.cpu()
        absent = torch.isnan(measured)
        values = measured.nan_to_num()
        self.rows += len(counts)
        self.x += counts.sum(dim=0)
        self.xx += counts.T @ counts  # of small whole numbers: exact in float32
        self.y += values.double().sum(dim=0)
        self.yy += values.double().square().sum(dim=0)
        self.xy += counts.T.double() @ values.double()
        if (some := absent.any(dim=1)).any():
            self._lacking.append((counts[some].half(), absent[some]))

    def of(self, protein: int) -> "ProteinSums":
        """The sums over the probes on which a protein was measured."""
        n, x, xx = self.rows, self.x, self.xx
        for counts, absent in self._lacking:
            if len(without := counts[absent[:, protein]].double()):
                n, x, xx = n - len(without), x - without.sum(dim=0), xx - without.T @ without
        return ProteinSums(n, x, xx, self.xy[:, protein], self.y[protein], self.yy[protein])


@dataclass(frozen=True)
class ProteinSums:
    """Sums over ``n`` probes: of counts x (K,), of their products xx (K, K), of x times intensity y (K,), of y and of its square."""

    n: int
    x: Tensor
    xx: Tensor
    xy: Tensor
    y: Tensor
    yy: Tensor

    @property
    def scatter(self) -> Tensor:
        """The products of what deviates from the means: (K, K)."""
        return self.xx - torch.outer(self.x, self.x) / self.n

    @property
    def moment(self) -> Tensor:
        """The products with what deviates from the mean intensity: (K,)."""
        return self.xy - self.x * self.y / self.n

    def error(self, weight: Tensor, bias: Tensor) -> Tensor:
        """The mean squared error of weights (K,) and a constant."""
        squares = self.yy + weight @ self.xx @ weight + self.n * bias * bias
        return (squares + 2 * bias * (weight @ self.x) - 2 * (weight @ self.xy) - 2 * bias * self.y) / self.n
