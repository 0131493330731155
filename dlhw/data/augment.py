"""Augmentations of whole batches of pictures. The draws are a function of (seed, epoch, index): see :mod:`dlhw.randomness`.

Legend: B batch, C channels, H height, W width.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from dlhw.errors import UserError
from dlhw.randomness import uniform
from dlhw.ranges import check, check_at_least

AFFINE_SHARE = 0.5
VIEWS = {"dihedral": 8, "shifts": 9}  # ways to look at a picture from several sides, and from how many


class Augment:
    """The augmentations of a task.

    Args:
        dihedral: one of the eight flips and quarter turns of a square, all alike likely.
        translate: shift by up to so many whole pixels each way; the border is mirrored.
        rotate: turn by up to so many degrees each way.
        zoom: shrink or enlarge by a factor between exp(-zoom) and exp(zoom).
        affine_share: share of the pictures that are turned and zoomed.
        brightness, contrast: largest relative change of a picture's mean and of its deviation from it.
        colour: largest offset of each channel, on the 0..1 scale.

    Raises:
        UserError: a knob out of range.
    """

    def __init__(
        self,
        *,
        dihedral: bool = False,
        translate: int = 0,
        rotate: float = 0.0,
        zoom: float = 0.0,
        affine_share: float = AFFINE_SHARE,
        brightness: float = 0.0,
        contrast: float = 0.0,
        colour: float = 0.0,
    ) -> None:
        knobs = {"translate": translate, "rotate": rotate, "zoom": zoom, "brightness": brightness, "contrast": contrast, "colour": colour}
        check_at_least(0, "task.module.augment", **knobs)
        check("task.module.augment", "0 to 1", lambda share: 0 <= share <= 1, affine_share=affine_share)
        if translate != int(translate):
            raise UserError(f"task.module.augment.translate={translate} must be a whole number of pixels")
        self.dihedral, self.translate, self.affine_share = dihedral, translate, affine_share
        self.rotate, self.zoom = math.radians(rotate), zoom
        self.brightness, self.contrast, self.colour = brightness, contrast, colour

    def refuse_idle(self) -> None:
        """Refuse a share of pictures to be turned and zoomed where none is.

        Raises:
            UserError: naming the knob.
        """
        if self.affine_share != AFFINE_SHARE and not (self.rotate or self.zoom):
            raise UserError(f"task.module.augment.affine_share={self.affine_share} does nothing without task.module.augment.rotate or zoom")

    def __call__(self, pictures: Tensor, seed: int, epoch: int, index: Tensor) -> Tensor:
        """(B, C, H, W) on the 0..1 scale -> the same, on the device of ``pictures``."""
        draws = uniform(seed, epoch, index, 8 + pictures.shape[1])
        signed = 2 * draws - 1  # -1 to 1
        if self.dihedral:
            pictures = dihedral(pictures, (draws[:, 0] * 8).long())
        if self.translate:
            pictures = shift(pictures, (draws[:, 1:3] * (2 * self.translate + 1)).long(), self.translate)
        if self.rotate or self.zoom:
            chosen = draws[:, 3] < self.affine_share
            pictures = turn(pictures, signed[:, 4] * self.rotate * chosen, (signed[:, 5] * self.zoom * chosen).exp())
        if self.brightness or self.contrast or self.colour:
            pictures = relight(pictures, 1 + signed[:, 6] * self.brightness, 1 + signed[:, 7] * self.contrast, signed[:, 8:] * self.colour)
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


def view(pictures: Tensor, how: str, number: int) -> Tensor:
    """All pictures from one side, the ``number``-th of ``VIEWS[how]``: flipped and turned, or shifted by up to one pixel each way."""
    if how == "dihedral":
        return dihedral(pictures, torch.full((len(pictures),), number, device=pictures.device))
    return shift(pictures, torch.tensor(divmod(number, 3), device=pictures.device).expand(len(pictures), 2), 1)


def turn(pictures: Tensor, angle: Tensor, zoom: Tensor) -> Tensor:
    """Turn each picture about its centre by ``angle`` (B,), in radians, enlarged by ``zoom`` (B,): bilinear, with a mirrored border."""
    _, _, h, w = pictures.shape
    cos, sin, nothing = angle.cos() / zoom, angle.sin() / zoom, torch.zeros_like(angle)
    rows = [cos, -sin * (h / w), nothing], [sin * (w / h), cos, nothing]  # the grid's unit is half the width in x, half the height in y
    matrices = torch.stack([torch.stack(row, dim=1) for row in rows], dim=1)  # (B, 2, 3)
    with torch.autocast(pictures.device.type, enabled=False):  # in bfloat16 the grid would be off by up to a pixel in 224
        grid = F.affine_grid(matrices, list(pictures.shape), align_corners=False)
        return F.grid_sample(pictures, grid, padding_mode="reflection", align_corners=False)


def relight(pictures: Tensor, brightness: Tensor, contrast: Tensor, colour: Tensor) -> Tensor:
    """Multiply each picture's mean by ``brightness`` (B,) and what deviates from it by ``contrast`` (B,), and add ``colour`` (B, C)."""
    mean = pictures.mean(dim=(1, 2, 3), keepdim=True)
    return (pictures - mean) * contrast[:, None, None, None] + mean * brightness[:, None, None, None] + colour[:, :, None, None]
