"""Convolutions whose outputs turn and flip with their inputs (Cohen and Welling, Group Equivariant Convolutional Networks, ICML 2016).

A symmetry group of G elements g (G = 1 none, 4 quarter turns, 8 quarter turns and mirror images) acts on the plane. A feature map has
one set of fields for each element: its channels are ordered (G, fields). Every filter is used in all G orientations, so the group
multiplies the work of a filter, not its weights.

Legend: B batch, C channels, F fields, G elements of the group, H height, W width, k side of a filter.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

SYMMETRIES = {"none": 1, "rotations": 4, "dihedral": 8}


def act(picture: NDArray[np.int64], element: int) -> NDArray[np.int64]:
    """Apply an element to the last two axes: mirror left-right from 4 on, then ``element % 4`` quarter turns."""
    flipped = np.flip(picture, -1) if element >= 4 else picture
    return np.rot90(flipped, element % 4, (-2, -1))


def _expansion(order: int, k: int, lifting: bool) -> Tensor:
    """0/1 matrix that spreads the weights of one filter, k*k or G*k*k, over its G orientations: (k*k, G*k*k) or (G*k*k, G*G*k*k)."""
    probe = np.arange(9).reshape(3, 3)
    element_of = {act(probe, g).tobytes(): g for g in range(order)}
    product = [[element_of[act(act(probe, h), g).tobytes()] for h in range(order)] for g in range(order)]
    inverse = [row.index(0) for row in product]
    source = [act(np.arange(k * k).reshape(k, k), g).ravel() for g in range(order)]  # where each weight of a turned filter comes from
    inputs = 1 if lifting else order
    spread = np.zeros((inputs, k * k, order, inputs, k * k), np.float32)
    for g in range(order):
        for h in range(inputs):
            spread[0 if lifting else product[inverse[g]][h], source[g], g, h, np.arange(k * k)] = 1
    return torch.from_numpy(spread.reshape(inputs * k * k, -1))


class GroupConv2d(nn.Module):
    """A convolution without bias over a feature map of the group, or, with ``lifting``, over a picture.

    Args:
        inputs: channels of the picture, or fields of the feature map.
        outputs: fields.
        kernel: side of the filters, odd; the padding keeps the size.
        symmetry: none, rotations, dihedral.

    Shapes: (B, inputs, H, W) with ``lifting``, else (B, G * inputs, H, W) -> (B, G * outputs, H, W).
    """

    expansion: Tensor

    def __init__(self, inputs: int, outputs: int, kernel: int, symmetry: str, lifting: bool = False) -> None:
        super().__init__()
        self.order, self.kernel, self.seen = SYMMETRIES[symmetry], kernel, 1 if lifting else SYMMETRIES[symmetry]
        self.register_buffer("expansion", _expansion(self.order, kernel, lifting), persistent=False)
        fan_in = inputs * self.seen * kernel**2
        self.weight = nn.Parameter(torch.randn(outputs, inputs, self.seen * kernel**2) * (2 / fan_in) ** 0.5)  # He et al., 2015

    def filters(self) -> Tensor:
        """The filters in all their orientations: (G * outputs, G * inputs or inputs, k, k)."""
        outputs, inputs, _ = self.weight.shape
        every = self.weight if self.order == 1 else self.weight.reshape(outputs * inputs, -1) @ self.expansion
        every = every.view(outputs, inputs, self.order, self.seen, self.kernel, self.kernel).permute(2, 0, 3, 1, 4, 5)
        every = every.reshape(self.order * outputs, self.seen * inputs, self.kernel, self.kernel)
        return every.contiguous(memory_format=torch.channels_last)

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.filters(), padding=self.kernel // 2)


class GroupBatchNorm2d(nn.Module):
    """Batch normalization with one weight, bias and running statistic per field, the same in all orientations.

    Shapes: (B, G * fields, H, W) -> the same. A training batch is normalized by the statistics of each orientation.
    """

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, fields: int, symmetry: str, momentum: float = 0.1, eps: float = 1e-5) -> None:
        super().__init__()
        self.order, self.momentum, self.eps = SYMMETRIES[symmetry], momentum, eps
        self.weight, self.bias = nn.Parameter(torch.ones(fields)), nn.Parameter(torch.zeros(fields))
        self.register_buffer("running_mean", torch.zeros(fields))
        self.register_buffer("running_var", torch.ones(fields))

    def forward(self, x: Tensor) -> Tensor:
        weight, bias = self.weight.repeat(self.order), self.bias.repeat(self.order)
        if not self.training:
            mean, var = self.running_mean.repeat(self.order), self.running_var.repeat(self.order)
            return F.batch_norm(x, mean, var, weight, bias, False, 0.0, self.eps)
        mean, var = torch.zeros_like(weight), torch.ones_like(weight)
        y = F.batch_norm(x, mean, var, weight, bias, True, 1.0, self.eps)  # a momentum of 1 leaves this batch's statistics
        with torch.no_grad():
            means, within = mean.view(self.order, -1), var.view(self.order, -1)
            over_all = means.mean(dim=0)
            self.running_mean.lerp_(over_all, self.momentum)
            self.running_var.lerp_((within + (means - over_all) ** 2).mean(dim=0), self.momentum)
        return y
