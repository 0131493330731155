"""Augmentations of batches of text lines. The draws are a function of (seed, epoch, index): see :mod:`dlhw.randomness`.

No augmentation changes the width of a line, so none makes a line too short for its text, and none depends on the padding of the batch.

Legend: B batch, H height, W width, R and C rows and columns of the coarse field of displacements.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from dlhw.randomness import uniform
from dlhw.ranges import check, check_at_least

CELL = 24  # pixels between the points of the elastic field
ROWS = 3  # of these points
_FIXED = 8  # draws of a line that do not depend on its width


class LineAugment:
    """The augmentations of a task; what they draw is uniform between the knob and its negative, or 0 and the knob for amounts.

    Args:
        shear: pixels that the upper edge moves to the side, as a share of the height.
        zoom: largest logarithm of the factor by which the letters grow or shrink upright; the picture keeps its height.
        squeeze: the largest share by which the letters are made narrower; the paper at the right end grows.
        shift: pixels up or down.
        elastic: pixels that each point of a coarse field moves each way, with the picture between them.
        weight: how far the strokes are made thicker (dilation) or thinner (erosion), 1 being a pixel each side.
        noise: standard deviation of the grey levels, on the 0..1 scale.
        fade: the largest share of ink that is lost over the whole line.

    Raises:
        UserError: a knob out of range.
    """

    def __init__(
        self,
        *,
        shear: float = 0.0,
        zoom: float = 0.0,
        squeeze: float = 0.0,
        shift: float = 0.0,
        elastic: float = 0.0,
        weight: float = 0.0,
        noise: float = 0.0,
        fade: float = 0.0,
    ) -> None:
        group = "task.module.augment"
        check_at_least(0, group, shear=shear, shift=shift, elastic=elastic, noise=noise)
        check(group, "0 to 0.5", lambda value: 0 <= value <= 0.5, squeeze=squeeze, zoom=zoom)
        check(group, "0 to 1", lambda value: 0 <= value <= 1, weight=weight, fade=fade)
        self.shear, self.zoom, self.squeeze, self.shift = shear, zoom, squeeze, shift
        self.elastic, self.weight, self.noise, self.fade = elastic, weight, noise, fade

    def __call__(self, ink: Tensor, widths: Tensor, seed: int, epoch: int, index: Tensor) -> Tensor:
        """Ink (B, 1, H, W) on the 0..1 scale with widths (B,) -> the same, zero beyond the widths."""
        _, _, h, w = ink.shape
        cells = -(-w // CELL) + 1
        draws = uniform(seed, epoch, index, _FIXED + 2 * ROWS * cells)
        signed = 2 * draws - 1  # -1 to 1
        if self.shear or self.zoom or self.squeeze or self.shift or self.elastic:
            field = signed[:, _FIXED:].reshape(-1, cells, 2, ROWS).permute(0, 2, 3, 1)  # a wider batch only adds columns
            ink = self._warped(ink, signed, draws, field)
        if self.weight:
            amount = signed[:, 4].view(-1, 1, 1, 1) * self.weight
            thick, thin = F.max_pool2d(ink, 3, 1, 1), -F.max_pool2d(-F.pad(ink, (1, 1, 1, 1)), 3, 1)
            ink = torch.where(amount > 0, torch.lerp(ink, thick, amount.clamp(min=0)), torch.lerp(ink, thin, (-amount).clamp(min=0)))
        if self.fade:
            ink = ink * (1 - self.fade * draws[:, 5].view(-1, 1, 1, 1))
        if self.noise:
            grain = uniform(seed, -1 - epoch, index, 2 * h * w).view(-1, w, 2, h)  # column by column
            normal = (grain[:, :, 0].clamp(min=1e-7).log() * -2).sqrt() * (grain[:, :, 1] * 2 * torch.pi).cos()  # Box and Muller
            ink = (ink + normal.transpose(1, 2)[:, None] * (self.noise * draws[:, 6].view(-1, 1, 1, 1))).clamp(0, 1)
        inside = torch.arange(w, device=ink.device) < widths[:, None]
        return ink * inside[:, None, None, :]

    def _warped(self, ink: Tensor, signed: Tensor, draws: Tensor, field: Tensor) -> Tensor:
        """Where each pixel of the result is taken from: x and y in pixels, then bilinear; paper beyond the edges."""
        _, _, h, w = ink.shape
        y = torch.arange(h, device=ink.device, dtype=torch.float32)[:, None] - (h - 1) / 2
        x = torch.arange(w, device=ink.device, dtype=torch.float32)
        part = signed[:, :4, None, None]  # (B, 4, 1, 1)
        from_y = y * (part[:, 0] * self.zoom).exp() + part[:, 1] * self.shift
        from_x = x / (1 - draws[:, 7, None, None] * self.squeeze) + y * part[:, 2] * self.shear
        if self.elastic:
            size = (h, (field.shape[3] - 1) * CELL + 1)
            moves = F.interpolate(field * self.elastic, size=size, mode="bilinear", align_corners=True)[..., :w]  # (B, 2, H, W)
            from_x, from_y = from_x + moves[:, 0], from_y + moves[:, 1]
        from_x, from_y = torch.broadcast_tensors(from_x, from_y)
        with torch.autocast(ink.device.type, enabled=False):  # in bfloat16 the grid would be off by pixels
            grid = torch.stack([(2 * from_x + 1) / w - 1, (2 * from_y + h) / h - 1], dim=3)  # grid_sample's units: -1 to 1 over the picture
            return F.grid_sample(ink, grid, padding_mode="zeros", align_corners=False)
