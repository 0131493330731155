"""What all sets of pictures share: the checks of the arrays, and the mean and standard deviation that a network is fed with."""

from collections.abc import Mapping, Sequence

import numpy as np

from dlhw.data.arrays import Split
from dlhw.errors import UserError
from dlhw.specs import ImageSpec, LabelKind

NORMALIZATIONS = ("half", "train", "none")


def image_spec(splits: Mapping[str, Split], classes: Sequence[str], labels: LabelKind, normalize: str, source: str) -> ImageSpec:
    """Check the splits of a set of pictures and declare what they are.

    Args:
        splits: inputs uint8 (N, H, W, C); targets int64 (N,), or float32 (N, labels) for multi-label sets.
        normalize: ``half`` maps 0..1 to -1..1, ``train`` takes the statistics of the training split, ``none`` leaves 0..1.
        source: the file or folder, for messages.

    Raises:
        UserError: an empty split, pictures of another size or type, or a label out of range, with the row.
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
        top = 1 if labels == "multi-label" else len(classes) - 1
        wrong = np.flatnonzero(((split.targets < 0) | (split.targets > top)).reshape(len(split.targets), -1).any(axis=1))
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
    counts = [np.bincount(pictures[..., c].reshape(-1), minlength=256) / pictures[..., c].size for c in range(channels)]
    levels = np.arange(256) / 255
    mean = [float(count @ levels) for count in counts]
    std = [float(np.sqrt(count @ (levels - m) ** 2)) for count, m in zip(counts, mean, strict=True)]
    return tuple(mean), tuple(s or 1.0 for s in std)
