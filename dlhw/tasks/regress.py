"""Regression of binding intensities from RNA sequences, one column per protein.

Legend: B batch, N samples of a split, P proteins, L padded length.
"""

import logging
import time
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from dlhw.correlation import RANKS, Values, pearson, spearman
from dlhw.data.batches import Batch
from dlhw.data.rna import one_hot
from dlhw.errors import UserError
from dlhw.specs import SequenceSpec
from dlhw.tasks.supervised import SupervisedTask

log = logging.getLogger(__name__)

LOSSES = ("mse", "log_cosh")


class Regression(SupervisedTask):
    """Squared error, or the logarithm of its hyperbolic cosine, over the intensities that were measured.

    ``spearman`` and ``pearson`` are means over the proteins, each over the whole split; the test split has them for each protein as well
    (``spearman:RBP04``), also for a single one, so that it can be compared with a network of many. Constant or NaN predictions have no
    correlation: it is NaN, and a warning names the protein. The means of a split leave out a protein that was never measured in it. Where
    proteins are held out, ``spearman_nearest_protein`` and the like are those of what was measured of other proteins on the same probes:
    see :func:`dlhw.data.unseen.measured_answers`. Where test probes were measured twice, ``spearman_second_measurement`` is that of the
    other measurement (:func:`dlhw.data.rbp_replicates.measured_again`), and ``spearman_measured_twice`` that of the predictions on the
    same probes.

    A network with a method ``solve(train, val)`` is solved in closed form when the training starts; each of the two yields
    ``(bases, mask, measured)``.

    Args:
        loss: ``mse``; ``log_cosh``, which is less drawn by outliers (Karin et al., MultiRBP, 2021).
        ranks: see :func:`dlhw.correlation.spearman`.
    """

    def __init__(self, net: nn.Module, spec: SequenceSpec, *, loss: str = "mse", ranks: str = "average", **options: Any) -> None:
        super().__init__(net, spec, **options)
        if loss not in LOSSES:
            raise UserError(f"task.module.loss={loss} is not one of {', '.join(LOSSES)}")
        if ranks not in RANKS:
            raise UserError(f"task.module.ranks={ranks} is not one of {', '.join(RANKS)}")
        if hasattr(net, "solve") and self.average:
            raise UserError("optim.ema averages over gradient steps, and this network is solved in closed form: leave it at null")
        self.loss_name, self.ranks = loss, ranks

    def setup(self, stage: str) -> None:
        if self.trainer.precision in ("bf16-true", "64-true"):
            raise UserError(f"trainer.precision={self.trainer.precision} would convert the intensities too: bf16-mixed or 32-true is right")
        if stage == "fit" and hasattr(self.net, "solve") and self.trainer.world_size > 1:
            raise UserError("this network is solved in closed form, on one device: trainer.devices=1 is right")

    def on_fit_start(self) -> None:
        if hasattr(self.net, "solve") and not self._resumed:
            begin = time.perf_counter()
            net: Any = self.net
            data = self.trainer.datamodule  # type: ignore[attr-defined]
            net.solve(_solvable(data.train_dataloader()), _solvable(data.val_dataloader()[0]))
            self.seconds += time.perf_counter() - begin

    def errors(self, predicted: Tensor, measured: Tensor) -> tuple[Tensor, Tensor]:
        """The sum of the losses over what was measured, and how many values that are: (B, P), (B, P) -> (), ()."""
        there = ~torch.isnan(measured)
        difference = torch.where(there, predicted - measured, 0.0)
        # log cosh d = |d| + log(1 + exp(-2 |d|)) - log 2, which does not overflow
        size = difference.abs()
        losses = (
            difference.square() if self.loss_name == "mse" else size + torch.log1p(torch.exp(-2 * size)) - torch.log(size.new_tensor(2.0))
        )
        return losses.sum(), there.sum()

    def _step(self, batch: Batch, split: str) -> tuple[Tensor, dict[str, Tensor]]:
        codes, measured, _ = batch
        total, values = self.errors(self.net(*one_hot(codes)).float(), measured)
        return total / values.clamp(min=1), {}

    def outputs(self, batch: Batch) -> tuple[Tensor, ...]:
        codes, measured, index = batch
        return self.evaluated(*one_hot(codes)).float(), measured, index

    @property
    def measured(self) -> tuple[str, ...]:
        return ("loss", "spearman", "pearson")

    def metrics_of(self, collected: tuple[Tensor, ...], split: str) -> dict[str, Tensor]:
        predicted, measured, index = self._whole(collected)
        total, values = self.errors(predicted, measured)
        there = ~torch.isnan(measured).all(dim=0)  # a split may lack a protein, as one that is held out
        names = [name for name, labelled in zip(self.spec.proteins, there.tolist(), strict=True) if labelled]
        x, y = (part[:, there].cpu().numpy() for part in (predicted, measured))
        each = {"spearman": spearman(x, y, self.ranks), "pearson": pearson(x, y)}
        if split == "test":
            each |= self._baselines(x, y, there.cpu().numpy(), index.cpu().numpy())
        metrics = {"loss": total / values}
        for metric, of_proteins in each.items():
            metrics[metric] = torch.tensor(of_proteins.mean())
            if split == "test":
                metrics |= {f"{metric}:{name}": torch.tensor(value) for name, value in zip(names, of_proteins, strict=True)}
        undefined = [name for name, value in zip(names, each["spearman"], strict=True) if value != value]
        if undefined:
            counts = ", and an epoch that is judged by it counts as the worst" if split == "val" else ""
            log.warning(
                "%s: no correlation for %s: the predictions or the intensities are constant or NaN; so the mean is NaN%s",
                split,
                ", ".join(undefined),
                counts,
            )
        return metrics

    def _baselines(self, x: Values, y: Values, there: NDArray[np.bool_], index: NDArray[np.intp]) -> dict[str, Values]:
        """How well the test split, y (N, P'), is answered by what was measured elsewhere; x (N, P') is predicted."""
        found: dict[str, Values] = {}
        data: Any = self.trainer.datamodule  # type: ignore[attr-defined]
        for name, of_split in data.answers.items():
            answer = of_split[index][:, there]
            both = np.where(np.isnan(answer), np.nan, y)
            scored = {name: answer, **({"measured_twice": x} if name == "second_measurement" else {})}
            for what, values in scored.items():
                found |= {f"spearman_{what}": spearman(values, both, self.ranks), f"pearson_{what}": pearson(values, both)}
        return found

    def _whole(self, collected: tuple[Tensor, ...]) -> list[Tensor]:
        """The outputs of all processes: ranks are over the whole split."""
        if self.trainer.world_size == 1:
            return [*collected]
        parts: list[Any] = [None] * self.trainer.world_size
        torch.distributed.all_gather_object(parts, [column.cpu() for column in collected])  # the parts may differ in length
        return [torch.cat(column) for column in zip(*parts, strict=True)]

    def keep_predictions(self, collected: tuple[Tensor, ...]) -> None:
        predicted, measured, index = collected
        self.predictions = {"predicted": predicted, "measured": measured, "index": index}


def _solvable(batches: Iterable[list[Batch]]) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Larger batches than those of gradient steps, as bases, mask and what was measured."""
    for several in batches:
        codes, measured, _ = (torch.cat(column) for column in zip(*several, strict=True))
        yield *one_hot(codes), measured
