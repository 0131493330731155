"""Handwritten digits that come with scikit-learn: 1,797 pictures of 8x8, no download."""

import hashlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dlhw.data.arrays import SPLITS, ArrayData, Split
from dlhw.data.image_arrays import image_spec


class DigitsData(ArrayData):
    """The test part of UCI's Optical Recognition of Handwritten Digits (Alpaydin and Kaynak, 1998), as scikit-learn ships it.

    1,197 pictures train, 300 validate, 300 test, split at random with a fixed seed, so that every run sees the same split.
    Grey levels 0..16 become 0..255.
    """

    def __init__(self, *, normalize: str = "half", **options: Any) -> None:
        super().__init__(**options)
        self.normalize = normalize

    def read(self) -> None:
        from sklearn.datasets import load_digits

        pictures, labels = load_digits(return_X_y=True)
        pictures = (pictures * 255 / 16).round().astype(np.uint8).reshape(-1, 8, 8, 1)
        self.splits = {name: Split(pictures[rows], labels[rows].astype(np.int64)) for name, rows in split_rows(len(labels)).items()}
        self.spec = image_spec(self.splits, [str(digit) for digit in range(10)], "multi-class", self.normalize, "digits of scikit-learn")
        self.checksums = {"digits": hashlib.sha256(pictures.tobytes() + labels.tobytes()).hexdigest()}


def split_rows(n: int) -> dict[str, NDArray[np.intp]]:
    """The rows of each split, the same in every run."""
    return dict(zip(SPLITS, np.split(np.random.default_rng(0).permutation(n), [1197, 1497]), strict=True))
