"""Classification of pictures: one class each, or several labels.

Legend: B batch, N samples of a split, K classes or labels.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dlhw.data.augment import Augment
from dlhw.data.batches import Batch
from dlhw.errors import UserError
from dlhw.metrics import classification_metrics, right
from dlhw.specs import ImageSpec
from dlhw.tasks.supervised import SupervisedTask


class Classification(SupervisedTask):
    """Cross-entropy, or binary cross-entropy per label for multi-label sets (the losses of MedMNIST).

    Args:
        augment: knobs of :class:`dlhw.data.augment.Augment`.
        label_smoothing: share of the target that is spread over all classes, 0 to below 1.
    """

    mean: Tensor
    scale: Tensor

    def __init__(
        self, net: nn.Module, spec: ImageSpec, *, augment: dict[str, Any] | None = None, label_smoothing: float = 0.0, **options: Any
    ) -> None:
        super().__init__(net, spec, **options)
        if not 0 <= label_smoothing < 1:
            raise UserError(f"task.module.label_smoothing={label_smoothing} is out of range: 0 to below 1")
        self.augment = Augment(**(augment or {}))
        self.label_smoothing = label_smoothing
        self.metrics = classification_metrics(spec)
        self.register_buffer("mean", 255 * torch.tensor(spec.mean).view(1, -1, 1, 1), persistent=False)
        self.register_buffer("scale", 1 / (255 * torch.tensor(spec.std)).view(1, -1, 1, 1), persistent=False)

    def normalized(self, pictures: Tensor) -> Tensor:
        """uint8 (B, H, W, C) -> float32 (B, C, H, W), channels-last in memory."""
        return (pictures.permute(0, 3, 1, 2).float() - self.mean) * self.scale

    def _step(self, batch: Batch, split: str) -> tuple[Tensor, dict[str, Tensor]]:
        pictures, targets, index = batch
        x = self.augment(self.normalized(pictures), self.seed, self.epoch, index)
        logits = self.net(x).float()  # (B, K)
        return self.loss(logits, targets, self.label_smoothing), {"acc": right(logits.detach(), targets).sum()}

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

    def outputs(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        pictures, targets, index = batch
        return self.evaluated(self.normalized(pictures)).float(), targets, index

    def metrics_of(self, collected: tuple[Tensor, ...], split: str) -> dict[str, Tensor]:
        logits, targets, _ = collected
        self.metrics.update(self.probabilities(logits).double(), targets.long())
        values = self.metrics.compute()
        self.metrics.reset()
        share = torch.stack([self.loss(logits, targets) * len(targets), torch.tensor(float(len(targets)), device=logits.device)])
        total, samples = self.trainer.strategy.reduce(share, reduce_op="sum")  # over the devices, each with its part of the split
        return {"loss": total / samples, **values}

    def keep_predictions(self, collected: tuple[Tensor, ...]) -> None:
        logits, targets, index = collected
        self.predictions = {"probabilities": self.probabilities(logits).float(), "targets": targets, "index": index}
