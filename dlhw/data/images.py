"""Your own pictures: class folders, or a .zip or .tar of them, decoded once into memory."""

from typing import Any

import numpy as np

from dlhw.data.arrays import SPLITS, ArrayData, Split
from dlhw.data.image_arrays import image_spec
from dlhw.data.picture_files import decode_all, open_files
from dlhw.data.picture_layout import split_files
from dlhw.errors import UserError
from dlhw.ranges import check_at_least, check_split


class ImageFolderData(ArrayData):
    """Pictures in class folders: ``train|val|test/<class>/*`` or ``<class>/*``; a split without a folder is cut from the training files.

    Args:
        path: folder, .zip or .tar; a relative one is looked for in the working folder, then in ``data_root``.
        size: side in pixels that every picture is stretched to.
        channels: 3 for colour, 1 for grey.
        val_share, test_share: share of each class that is cut off where ``val`` or ``test`` has no folder of its own.
        split_seed: of that cut; the seed of the training does not change it.
        normalize: see :func:`dlhw.data.image_arrays.image_spec`.

    Raises:
        UserError: a knob out of range.
    """

    def __init__(
        self,
        *,
        path: str,
        size: int = 64,
        channels: int = 3,
        val_share: float = 0.15,
        test_share: float = 0.15,
        split_seed: int = 0,
        normalize: str = "half",
        **options: Any,
    ) -> None:
        super().__init__(**options)
        check_at_least(1, "task.data", size=size)
        if channels not in (1, 3):
            raise UserError(f"task.data.channels={channels} is not one of 1 (grey), 3 (colour)")
        check_split(val_share=val_share, test_share=test_share)
        self.path, self.size, self.channels, self.normalize = path, size, channels, normalize
        self.shares, self.split_seed = {"val": val_share, "test": test_share}, split_seed

    def read(self) -> None:
        path = self.find(
            "task.data.path",
            self.path,
            "a folder, .zip or .tar of class folders is right, and task=digits runs without any pictures of your own",
        )
        with open_files(path) as files:
            found = split_files(files, self.shares, self.split_seed)
            classes = sorted(found["train"])
            names = {split: [file for name in classes for file in found[split][name]] for split in SPLITS}
            pictures, digest = decode_all(files, tuple(name for split in SPLITS for name in names[split]), self.size, self.channels)
        self.splits, begin = {}, 0
        for split in SPLITS:
            end = begin + len(names[split])
            targets = np.repeat(np.arange(len(classes)), [len(found[split][name]) for name in classes]).astype(np.int64)
            self.splits[split] = Split(pictures[begin:end], targets, tuple(names[split]))
            begin = end
        self.spec = image_spec(self.splits, classes, "multi-class", self.normalize, str(path))
        self.checksums = {path.name: digest}
