"""Lines of handwritten digits, composed of scikit-learn's pictures: needs no download."""

import hashlib
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dlhw.data.digits import split_rows
from dlhw.data.line_pictures import LineSplit
from dlhw.data.lines import LineArrays
from dlhw.data.vocab import Vocab
from dlhw.ranges import check_at_least
from dlhw.specs import LineSpec


class DigitLinesData(LineArrays):
    """Numbers written by hand: digits of the same splits as ``task=digits``, so a digit of a test line is in no training line.

    The digits of a line are drawn at random, each scaled to the height times 0.7 to 1, set higher or lower, and put side by side with
    gaps or slight overlaps; some lines hold blanks between groups. Every run sees the same lines.

    Args:
        train_lines, eval_lines: lines of the training split, and of validation and test each.
        longest: digits of the longest line; the shortest has one.

    Raises:
        UserError: a knob out of range.
    """

    def __init__(self, *, train_lines: int = 1000, eval_lines: int = 300, longest: int = 12, **options: Any) -> None:
        super().__init__(**options)
        check_at_least(1, "task.data", train_lines=train_lines, eval_lines=eval_lines, longest=longest)
        self.counts, self.longest = {"train": train_lines, "val": eval_lines, "test": eval_lines}, longest

    def read(self) -> None:
        from sklearn.datasets import load_digits

        pictures, labels = load_digits(return_X_y=True)
        pictures = (pictures * 255 / 16).round().astype(np.uint8).reshape(-1, 8, 8)
        vocab = Vocab("0123456789 ")
        digest, self.splits = hashlib.sha256(), {}
        for number, (split, rows) in enumerate(split_rows(len(labels)).items()):
            generator = np.random.default_rng([number, self.height, self.longest])
            lines = [self._line(pictures[rows], labels[rows], generator) for _ in range(self.counts[split])]
            self.splits[split] = LineSplit.of([columns for columns, _ in lines], vocab.array([text for _, text in lines]))
            digest.update(self.splits[split].inputs.tobytes() + self.splits[split].targets.tobytes())
        longest = max(len(split.targets[0]) for split in self.splits.values()) - 1
        self.spec = LineSpec(self.height, vocab.symbols, longest, "NFC", self.border)
        self.checksums = {"ocr_digits": digest.hexdigest()}

    def _line(self, pictures: NDArray[np.uint8], labels: NDArray[Any], generator: np.random.Generator) -> tuple[NDArray[np.uint8], str]:
        """One line, uint8 (W, H), and its text."""
        h, text = self.height, ""
        ink = np.zeros((h, (self.longest + 2) * 2 * h), np.uint8)
        right = self.border
        for _ in range(generator.integers(1, self.longest + 1)):
            if text and text[-1] != " " and generator.random() < 0.15:
                text, right = text + " ", right + h // 2
            chosen = generator.integers(len(labels))
            side = round(h * generator.uniform(0.7, 1.0))
            digit = np.asarray(Image.fromarray(pictures[chosen]).resize((side, side), Image.Resampling.BICUBIC))
            inked = np.flatnonzero(digit.max(axis=0) > 64)
            digit = digit[:, inked[0] : inked[-1] + 1]  # without the white columns at its sides
            top = generator.integers(h - side + 1)
            place = ink[top : top + side, right : right + digit.shape[1]]
            np.maximum(place, digit, out=place)
            text, right = text + str(labels[chosen]), right + digit.shape[1] + int(generator.integers(-1, h // 5 + 1))
        end = int(np.flatnonzero(ink.any(axis=0))[-1]) + 1 + self.border
        return 255 - ink[:, :end].T, text
