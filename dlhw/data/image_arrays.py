"""What all sets of pictures share: the checks of the arrays, and the mean and standard deviation that a network is fed with."""

from collections.abc import Mapping, Sequence

import numpy as np

from dlhw.data.arrays import Split
from dlhw.errors import UserError
from dlhw.specs import ImageSpec, LabelKind

NORMALIZATIONS = ("half", "train", "none")
CHUNK = 1 << 24  # bytes of pictures whose levels are counted at once


def image_spec(splits: Mapping[str, Split], classes: Sequence[str], labels: LabelKind, normalize: str, source: str) -> ImageSpec:
    """Check the splits of a set of pictures and declare what they are.

    Args:
        splits: inputs uint8 (N, H, W, C); targets int64 (N,), or float32 (N, labels) for multi-label sets.
        normalize: ``half`` maps 0..1 to -1..1, ``train`` takes the statistics of the training split, ``none`` leaves 0..1.
        source: the file or folder, for messages.

    Raises:
        UserError: an empty split, pictures of another size or type, labels of another type, or one out of range, with the row.
    """
    if normalize not in NORMALIZATIONS:
        raise UserError(f"task.data.normalize={normalize} is not one of {', '.join(NORMALIZATIONS)}")
    shape = splits["train"].inputs.shape[1:]
    for name, split in splits.items():
        if len(split.inputs) == 0:
            raise UserError(f"{source}: the split {name} is empty")
        if len(split.inputs) != len(split.targets):
            raise UserError(f"{source}: the split {name} has {len(split.inputs)} pictures and {len(split.targets)} labels")
        if split.inputs.dtype != np.uint8 or split.inputs.ndim != 4 or split.inputs.shape[1:] != shape or shape[-1] not in (1, 3):
            raise UserError(
                f"{source}: the pictures of {name} are {split.inputs.dtype} {split.inputs.shape[1:]}; "
                f"uint8 (height, width, 1 or 3 channels) is right, the same in every split"
            )
        right = (np.dtype(np.float32), (len(classes),)) if labels == "multi-label" else (np.dtype(np.int64), ())
        if (split.targets.dtype, split.targets.shape[1:]) != right:
            rows = f"(N, {len(classes)})" if right[1] else "(N)"
            raise UserError(f"{source}: the labels of {name} are {split.targets.dtype} {split.targets.shape}; {right[0]} {rows} is right")
        top = 1 if labels == "multi-label" else len(classes) - 1
        fitting = (split.targets >= 0) & (split.targets <= top)  # NaN does not fit
        wrong = np.flatnonzero(~fitting.reshape(len(fitting), -1).all(axis=1))
        if len(wrong):
            row = int(wrong[0])
            raise UserError(f"{source}: label {split.targets[row]} of {name}, row {row}, is out of range: 0 to {top} is right")
    height, width, channels = shape
    mean, std = _statistics(splits["train"].inputs, normalize)
    return ImageSpec(channels, height, width, tuple(classes), labels, mean, std)


def _statistics(pictures: np.ndarray, normalize: str) -> tuple[tuple[float, ...], tuple[float, ...]]:
    channels = pictures.shape[-1]
    if normalize == "half":
        return (0.5,) * channels, (0.5,) * channels
    if normalize == "none":
        return (0.0,) * channels, (1.0,) * channels
    counts = np.zeros((channels, 256))
    rows = max(1, CHUNK // pictures[0].nbytes)
    for begin in range(0, len(pictures), rows):
        levels = pictures[begin : begin + rows].reshape(-1, channels)
        counts += [np.bincount(levels[:, c], minlength=256) for c in range(channels)]
    shares, scale = counts / counts.sum(axis=1, keepdims=True), np.arange(256) / 255
    mean = [float(share @ scale) for share in shares]
    std = [float(np.sqrt(share @ (scale - m) ** 2)) for share, m in zip(shares, mean, strict=True)]
    return tuple(mean), tuple(s or 1.0 for s in std)
