"""The convolutional networks of the course: blocks of one convolution each, then fully connected layers.

Legend: B batch, C channels, H height, W width, K outputs.
"""

from collections.abc import Mapping, Sequence
from typing import TypeVar

import torch
from torch import Tensor, nn

from dlhw.errors import UserError
from dlhw.layers.batch_norm import BatchNorm1d
from dlhw.ranges import check_at_least, check_shares
from dlhw.specs import ImageSpec, wants

T = TypeVar("T")

POOLS = {"none": None, "max": nn.MaxPool2d, "avg": nn.AvgPool2d}
ACTIVATIONS = {"relu": nn.ReLU, "sigmoid": nn.Sigmoid, "tanh": nn.Tanh}


def choose(options: Mapping[str, T], value: str, knob: str) -> T:
    """``options[value]``.

    Raises:
        UserError: listing the options.
    """
    if value not in options:
        raise UserError(f"model.{knob}={value} is not one of {', '.join(options)}")
    return options[value]


class CNN(nn.Module):
    """Convolution, activation and pooling per block; then flattened or averaged over the picture; then fully connected layers.

    R1 to R4, R10, R11 of the course reports are settings of this one network. Weights start as torch's layers start them.

    Args:
        channels: output channels of each convolution.
        kernel: side of the convolutions, odd; the padding keeps the size.
        pool: over 2x2, stride 2, after each block: none, max, avg.
        global_pool: none flattens, avg averages over the whole picture.
        hidden: widths of the fully connected layers before the last.
        batch_norm: none; conv: after each convolution; all: after each hidden fully connected layer as well.
        dropout: share of values dropped after each block and each hidden layer.
        activation: relu, sigmoid, tanh.
        softmax: none gives logits; output gives probabilities, on which a cross-entropy that expects logits applies its own softmax again.

    Shapes: (B, C, H, W) -> (B, K).
    """

    def __init__(
        self,
        spec: ImageSpec,
        *,
        channels: Sequence[int] = (32, 64, 128),
        kernel: int = 3,
        pool: str = "none",
        global_pool: str = "none",
        hidden: Sequence[int] = (256,),
        batch_norm: str = "none",
        dropout: float = 0.0,
        activation: str = "relu",
        softmax: str = "none",
    ) -> None:
        super().__init__()
        wants(spec, ImageSpec, "cnn")
        pooling = choose(POOLS, pool, "pool")
        nonlinearity = choose(ACTIVATIONS, activation, "activation")
        norm = choose({"none": (False, False), "conv": (True, False), "all": (True, True)}, batch_norm, "batch_norm")
        self.softmax = choose({"none": False, "output": True}, softmax, "softmax")
        whole_picture = choose({"none": False, "avg": True}, global_pool, "global_pool")
        if self.softmax and spec.labels == "multi-label":
            raise UserError("model.softmax=output: the labels of a multi-label set do not exclude each other, so only none fits")
        check_at_least(1, "model", channels=channels, hidden=hidden)
        check_shares("model", dropout=dropout)
        if kernel < 1 or kernel % 2 != 1:
            raise UserError(f"model.kernel={kernel} must be odd, so that the padding keeps the size")

        blocks: list[nn.Module] = []
        height, width, before = spec.height, spec.width, spec.channels
        for block, after in enumerate(channels, 1):
            blocks.append(nn.Conv2d(before, after, kernel, padding=kernel // 2))
            if norm[0]:
                blocks.append(nn.BatchNorm2d(after))
            if pooling is nn.MaxPool2d:  # every activation here is monotone, so it may follow the maximum: a quarter of the work
                blocks += [nn.MaxPool2d(2), nonlinearity()]
            else:
                blocks += [nonlinearity(), *([pooling(2)] if pooling else [])]
            if dropout:
                blocks.append(nn.Dropout(dropout))
            if pooling:
                height, width = height // 2, width // 2
            if not height or not width:
                raise UserError(f"model.pool={pool}: after {block} poolings nothing is left of {spec.height}x{spec.width} pictures")
            before = after
        self.features = nn.Sequential(*blocks, *([nn.AdaptiveAvgPool2d(1)] if whole_picture else []))

        layers: list[nn.Module] = []
        wide = before if whole_picture else before * height * width
        for after in hidden:
            layers.append(nn.Linear(wide, after))
            if norm[1]:
                layers.append(BatchNorm1d(after))
            layers += [nonlinearity(), *([nn.Dropout(dropout)] if dropout else [])]
            wide = after
        self.classifier = nn.Sequential(*layers, nn.Linear(wide, spec.outputs))

    def forward(self, x: Tensor) -> Tensor:
        # (B, C, H, W) -> (B, H' W' C'), or (B, C') with global pooling: place by place, as channels-last pictures lie in memory
        x = self.features(x).permute(0, 2, 3, 1).flatten(1)
        x = self.classifier(x)  # -> (B, K)
        return x.softmax(dim=-1, dtype=torch.promote_types(x.dtype, torch.float32)) if self.softmax else x  # in bf16, 0.998 would be 1
