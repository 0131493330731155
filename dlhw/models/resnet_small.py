"""A small residual network for pictures of about 28x28, which can be made blind to quarter turns and mirror images.

Legend: B batch, C channels, F fields, G elements of the symmetry group, H height, W width, K outputs.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from dlhw.errors import UserError
from dlhw.layers.group_conv import SYMMETRIES, GroupBatchNorm2d, GroupConv2d
from dlhw.models.cnn import choose
from dlhw.ranges import check_at_least, check_shares
from dlhw.specs import ImageSpec, wants


class ConvNormReLU(nn.Sequential):
    """A group convolution, batch normalization, ReLU."""

    def __init__(self, inputs: int, outputs: int, kernel: int, symmetry: str, lifting: bool = False) -> None:
        super().__init__(
            GroupConv2d(inputs, outputs, kernel, symmetry, lifting), GroupBatchNorm2d(outputs, symmetry), nn.ReLU(inplace=True)
        )


class Residual(nn.Module):
    """x -> ReLU(x + f(x)), f two 3x3 convolutions (He et al., 2016)."""

    def __init__(self, fields: int, symmetry: str) -> None:
        super().__init__()
        self.first = ConvNormReLU(fields, fields, 3, symmetry)
        self.second = nn.Sequential(GroupConv2d(fields, fields, 3, symmetry), GroupBatchNorm2d(fields, symmetry))

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(x + self.second(self.first(x)))


class ResNetSmall(nn.Module):
    """Stages of one convolution and some residual blocks, max-pooling between them, then mean and maximum over place and orientation.

    With ``symmetry: dihedral`` the logits of a square picture are the same for its eight turned and mirrored views, if no pooling meets an
    odd side: with three stages, if the side is divisible by four.

    Args:
        widths: channels of each stage, over all orientations; divisible by the order of the group.
        blocks: residual blocks of each stage.
        stem: side of the first filters, odd; the padding keeps the size.
        symmetry: none, rotations (4 quarter turns), dihedral (8: with mirror images).
        dropout: share of values dropped before the last layer.

    Shapes: (B, C, H, W) -> (B, K).
    """

    def __init__(
        self,
        spec: ImageSpec,
        *,
        widths: Sequence[int] = (48, 96, 192),
        blocks: Sequence[int] = (0, 1, 1),
        stem: int = 5,
        symmetry: str = "dihedral",
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        wants(spec, ImageSpec, "resnet_small")
        self.order = choose(SYMMETRIES, symmetry, "symmetry")
        if not widths or len(widths) != len(blocks):
            raise UserError(f"model.widths={list(widths)} and model.blocks={list(blocks)} must have one value for each stage")
        if any(width < 1 or width % self.order for width in widths):
            raise UserError(f"model.widths={list(widths)} must be at least 1 and divisible by {self.order} (model.symmetry={symmetry})")
        check_at_least(0, "model", blocks=blocks)
        check_shares("model", dropout=dropout)
        if stem < 1 or stem % 2 != 1:
            raise UserError(f"model.stem={stem} must be odd, so that the padding keeps the size")
        if min(spec.height, spec.width) < 2 ** (len(widths) - 1):
            raise UserError(f"model.widths={list(widths)}: {spec.height}x{spec.width} pictures are too small for so many stages")
        fields = [width // self.order for width in widths]
        layers: list[nn.Module] = [ConvNormReLU(spec.channels, fields[0], stem, symmetry, lifting=True)]
        for stage, (width, residuals) in enumerate(zip(fields, blocks, strict=True)):
            layers += [nn.MaxPool2d(2)] if stage else []
            layers.append(ConvNormReLU(fields[max(stage - 1, 0)], width, 3, symmetry))
            layers += [Residual(width, symmetry) for _ in range(residuals)]
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Sequential(nn.Dropout(dropout), nn.Linear(2 * fields[-1], spec.outputs))

    def forward(self, x: Tensor) -> Tensor:
        x = self.features(x)  # (B, C, H, W) -> (B, G F, H', W')
        x = x.permute(0, 2, 3, 1).flatten(1, 2).unflatten(2, (self.order, -1)).flatten(1, 2)  # -> (B, H' W' G, F)
        return self.classifier(torch.cat([x.mean(dim=1), x.amax(dim=1)], dim=1))  # -> (B, K)
