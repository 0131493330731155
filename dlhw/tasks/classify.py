"""Classification of pictures: one class each, or several labels.

Legend: B batch, N samples of a split, K classes or labels.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dlhw.data.augment import VIEWS, Augment, view
from dlhw.data.batches import Batch
from dlhw.errors import UserError
from dlhw.metrics import classification_metrics, counted_by_torch, right
from dlhw.ranges import check_shares
from dlhw.specs import ImageSpec
from dlhw.tasks.supervised import SupervisedTask


def _unit(pictures: Tensor) -> Tensor:
    """uint8 (B, H, W, C) -> float32 (B, C, H, W) on the 0..1 scale, channels-last in memory."""
    return pictures.permute(0, 3, 1, 2).float() / 255


class Classification(SupervisedTask):
    """Cross-entropy, or binary cross-entropy per label for multi-label sets (the losses of MedMNIST).

    Args:
        augment: knobs of :class:`dlhw.data.augment.Augment`.
        label_smoothing: share of the target that is spread over all classes, 0 to below 1.
        tta: none, dihedral (the eight flips and quarter turns of a picture) or shifts (the nine by up to one pixel each way): on the test
            split, the probabilities averaged over these views are scored as well, as ``acc_tta`` and ``auc_tta``.
    """

    mean: Tensor
    scale: Tensor

    def __init__(
        self,
        net: nn.Module,
        spec: ImageSpec,
        *,
        augment: dict[str, Any] | None = None,
        label_smoothing: float = 0.0,
        tta: str = "none",
        **options: Any,
    ) -> None:
        super().__init__(net, spec, **options)
        if tta not in ("none", *VIEWS):
            raise UserError(f"task.module.tta={tta} is not one of none, {', '.join(VIEWS)}")
        check_shares("task.module", label_smoothing=label_smoothing)
        self.augment = Augment(**(augment or {}))
        if spec.height != spec.width and (self.augment.dihedral or tta == "dihedral"):
            raise UserError(f"augment.dihedral and tta=dihedral turn pictures by a quarter, so {spec.height}x{spec.width} ones do not fit")
        if self.augment.translate >= min(spec.height, spec.width):
            raise UserError(
                f"task.module.augment.translate={self.augment.translate} is out of range: "
                f"below {min(spec.height, spec.width)}, the smaller side of the pictures"
            )
        self.label_smoothing, self.tta = label_smoothing, tta
        self.metrics = classification_metrics(spec)
        self.register_buffer("mean", torch.tensor(spec.mean).view(1, -1, 1, 1), persistent=False)
        self.register_buffer("scale", 1 / torch.tensor(spec.std).view(1, -1, 1, 1), persistent=False)

    def normalized(self, pictures: Tensor) -> Tensor:
        """uint8 (B, H, W, C) -> what the network takes: (B, C, H, W) in the type of its weights, channels-last in memory."""
        return self._scaled(_unit(pictures))

    def _scaled(self, pictures: Tensor) -> Tensor:
        return ((pictures - self.mean) * self.scale).to(self.mean.dtype)  # the buffers are converted with the weights

    def _step(self, batch: Batch, split: str) -> tuple[Tensor, dict[str, Tensor]]:
        pictures, targets, index = batch
        x = self.augment(_unit(pictures), self.seed, self.epoch, index)
        logits = self.net(self._scaled(x)).float()  # (B, K)
        return self.loss(logits, targets, self.label_smoothing), {"acc": right(self.probabilities(logits.detach()), targets).sum()}

    def refuse_settings(self) -> None:
        self.augment.refuse_idle()

    def loss(self, logits: Tensor, targets: Tensor, smoothing: float = 0.0) -> Tensor:
        """Mean over the samples; ``logits`` (B, K), ``targets`` int64 (B,) or float32 (B, K)."""
        if self.spec.labels == "multi-label":
            return F.binary_cross_entropy_with_logits(logits, targets * (1 - smoothing) + smoothing / 2)
        return F.cross_entropy(logits, targets, label_smoothing=smoothing)

    def probabilities(self, logits: Tensor) -> Tensor:
        """(B, K) of the network's outputs, which are probabilities already where it ends in a softmax."""
        if self.spec.labels == "multi-label":
            return logits.sigmoid()
        return logits if getattr(self.net, "softmax", False) else logits.softmax(dim=1)

    def outputs(self, batch: Batch) -> tuple[Tensor, ...]:
        pictures, targets, index = batch
        x = self.normalized(pictures)
        logits = self.evaluated(x).float()
        if self.tta == "none" or not self.trainer.testing:
            return logits, targets, index
        total = torch.zeros_like(logits)
        for number in range(VIEWS[self.tta]):
            if self.asked_to_stop():  # nothing will be scored
                break
            total += self.probabilities(self.evaluated(view(x, self.tta, number)).float())
        return logits, targets, index, total / VIEWS[self.tta]

    @property
    def measured(self) -> tuple[str, ...]:
        return ("loss", *self.metrics)

    def metrics_of(self, collected: tuple[Tensor, ...], split: str) -> dict[str, Tensor]:
        logits, targets, _, *averaged = collected
        values = self._scores(self.probabilities(logits), targets)
        for probabilities in averaged:
            of_views = self._scores(probabilities, targets)
            values |= {f"{name}_tta": of_views[name] for name in ("acc", "auc")}
        share = torch.stack([self.loss(logits, targets) * len(targets), logits.new_tensor(len(targets))])
        total, samples = self.trainer.strategy.reduce(share, reduce_op="sum")  # over the devices, each with its part of the split
        return {"loss": total / samples, **values}

    def _scores(self, probabilities: Tensor, targets: Tensor) -> dict[str, Tensor]:
        with counted_by_torch():
            self.metrics.update(probabilities if probabilities.device.type == "mps" else probabilities.double(), targets.long())
            values = self.metrics.compute()
        self.metrics.reset()
        return values

    def keep_predictions(self, collected: tuple[Tensor, ...]) -> None:
        logits, targets, index, *_ = collected
        targets = targets.float() if targets.is_floating_point() else targets  # of several labels, which bf16-true has converted
        self.predictions = {"probabilities": self.probabilities(logits).float(), "targets": targets, "index": index}
