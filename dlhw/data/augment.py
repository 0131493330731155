"""Augmentations of whole batches of pictures. The draws are a function of (seed, epoch, index): see :mod:`dlhw.randomness`.

Legend: B batch, C channels, H height, W width.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from dlhw.errors import UserError
from dlhw.randomness import uniform


class Augment:
    """The augmentations of a task.

    Args:
        dihedral: one of the eight flips and quarter turns of a square, all alike likely.
        translate: shift by up to so many pixels each way; the border is mirrored.

    Raises:
        UserError: a knob out of range.
    """

    def __init__(self, *, dihedral: bool = False, translate: int = 0) -> None:
        if translate < 0:
            raise UserError(f"task.module.augment.translate={translate} is out of range: 0 or more pixels")
        self.dihedral, self.translate = dihedral, translate

    def __call__(self, pictures: Tensor, seed: int, epoch: int, index: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W), on the device of ``pictures``."""
        draws = uniform(seed, epoch, index, 3)
        if self.dihedral:
            pictures = dihedral(pictures, (draws[:, 0] * 8).long())
        if self.translate:
            span = 2 * self.translate + 1
            pictures = shift(pictures, (draws[:, 1:] * span).long(), self.translate)
        return pictures


def dihedral(pictures: Tensor, element: Tensor) -> Tensor:
    """Flip left-right where bit 0 of ``element`` (B,) is set, up-down for bit 1, then transpose for bit 2 (square pictures only)."""
    bit = ((element[:, None] >> torch.arange(3, device=element.device)) & 1).bool()[:, :, None, None, None]
    pictures = torch.where(bit[:, 0], pictures.flip(3), pictures)
    pictures = torch.where(bit[:, 1], pictures.flip(2), pictures)
    return torch.where(bit[:, 2], pictures.transpose(2, 3), pictures)


def shift(pictures: Tensor, offset: Tensor, border: int) -> Tensor:
    """Cut each picture out of itself with a mirrored border of ``border`` pixels, from ``offset`` (B, 2), 0 to 2 * border, on."""
    b, _, h, w = pictures.shape
    padded = F.pad(pictures, (border,) * 4, mode="reflect")
    rows = offset[:, 0, None] + torch.arange(h, device=pictures.device)  # (B, H)
    columns = offset[:, 1, None] + torch.arange(w, device=pictures.device)  # (B, W)
    batch = torch.arange(b, device=pictures.device)[:, None, None]
    return padded.permute(0, 2, 3, 1)[batch, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)  # stays channels-last
