"""The 2D sets of MedMNIST: small medical pictures with labels, one .npz file each."""

import difflib
import importlib.util
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from dlhw.data.arrays import SPLITS, ArrayData, Split
from dlhw.data.download import Unreachable, download
from dlhw.data.image_arrays import image_spec
from dlhw.data.npz import load_npz
from dlhw.errors import UserError

SIZES = (28, 64, 128, 224)
KEYS = tuple(f"{split}_{part}" for split in SPLITS for part in ("images", "labels"))


class MedMNISTData(ArrayData):
    """One 2D set of MedMNIST v2 (Yang et al., Scientific Data 2023, https://medmnist.com), in its own split.

    The file is looked for in ``<data_root>/medmnist`` and ``<data_root>``, then downloaded. What a set is (classes, kind of labels,
    channels) is taken from the table of the ``medmnist`` package; the pictures stay uint8, large sets stay on the disk.

    Args:
        flag: the name of the set: ``bloodmnist``, ``chestmnist`` ...
        size: side of the pictures in pixels: 28, 64, 128 or 224.
        normalize: see :func:`dlhw.data.image_arrays.image_spec`.

    Raises:
        UserError: no such set or size.
    """

    def __init__(self, *, flag: str, size: int = 28, normalize: str = "half", **options: Any) -> None:
        super().__init__(**options)
        flags = [name for name in medmnist_info() if not name.endswith("3d")]
        if flag not in flags:
            near = difflib.get_close_matches(flag.lower(), flags, n=3)
            meant = f"did you mean {' or '.join(near)}? " if near else ""
            raise UserError(f"task.data.flag={flag} is not a 2D set of MedMNIST: {meant}There are {', '.join(flags)}")
        if size not in SIZES:
            raise UserError(f"task.data.size={size} is not one of {', '.join(map(str, SIZES))} (side in pixels)")
        self.flag, self.size, self.normalize = flag, size, normalize

    def read(self) -> None:
        info = medmnist_info()[self.flag]
        classes = [info["label"][str(k)] for k in range(len(info["label"]))]
        labels = info["task"].split(",")[0]  # "multi-label, binary-class" is "multi-label" here
        path = self._file()
        arrays, digest = load_npz(path, KEYS)
        self.splits = {
            split: Split(
                self._pictures(arrays[f"{split}_images"], f"{path}: {split}_images", info["n_channels"]),
                _targets(arrays[f"{split}_labels"], f"{path}: {split}_labels", len(classes) if labels == "multi-label" else 1),
            )
            for split in SPLITS
        }
        self.spec = image_spec(self.splits, classes, labels, self.normalize, str(path))
        self.checksums = {path.name: digest}

    def _file(self) -> Path:
        """The set's file, downloaded where it is in neither place."""
        places = [Path(self.data_root).expanduser() / folder / _name(self.flag, self.size) for folder in ("medmnist", "")]
        for place in places:
            if place.exists():
                return place
        info, suffix = medmnist_info()[self.flag], _suffix(self.size)
        url, md5 = info[f"url{suffix}"], info[f"MD5{suffix}"]
        try:
            download(url, places[0], md5)
        except Unreachable as error:
            raise UserError(
                f"{places[0].name} is missing: looked for {places[0]} and {places[1]}, and it cannot be downloaded from {url} ({error}). "
                f"Set DLHW_DATA or data_root=FOLDER to where it lies, or put it at {places[0]}; task=digits runs without any download"
            ) from None
        return places[0]

    def _pictures(self, array: np.ndarray, what: str, channels: int) -> np.ndarray:
        """uint8 (N, H, W) or (N, H, W, 3) -> (N, H, W, C), without a copy."""
        side, shape = self.size, (self.size, self.size, channels)
        if array.dtype != np.uint8 or array.shape[1:] != (shape if channels > 1 else shape[:2]):
            hint = ""
            if array.ndim > 2 and (held := array.shape[1]) in SIZES and held != side:
                hint = f"; pictures of {held} pixels belong into {_name(self.flag, held)}, for task.data.size={held}"
            right = f"uint8 (N, {side}, {side}{', 3' * (channels > 1)})"
            raise UserError(f"{what} is {array.dtype} {array.shape}; {self.flag} of size {side} is {right}{hint}")
        return array.reshape(-1, *shape)


def _targets(array: np.ndarray, what: str, columns: int) -> np.ndarray:
    """Integers (N, columns) -> int64 (N,) for one column, float32 (N, columns) for several."""
    right = [(columns,)] if columns > 1 else [(1,), ()]
    if array.dtype.kind not in "iub" or array.shape[1:] not in right:
        raise UserError(f"{what} is {array.dtype} {array.shape}; integers (N, {columns}) are right")
    return array.astype(np.float32) if columns > 1 else array.reshape(-1).astype(np.int64)


def _suffix(size: int) -> str:
    return "" if size == 28 else f"_{size}"


def _name(flag: str, size: int) -> str:
    return f"{flag}{_suffix(size)}.npz"


@cache
def medmnist_info() -> dict[str, dict[str, Any]]:
    """The table of the ``medmnist`` package: flag -> task, label, n_channels, url, MD5 ...

    Its file is run alone: importing the package would load pandas and scikit-learn, 2 s for nothing.
    """
    package = importlib.util.find_spec("medmnist")
    assert package and package.origin
    spec = importlib.util.spec_from_file_location("dlhw_medmnist_info", Path(package.origin).with_name("info.py"))
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.INFO
