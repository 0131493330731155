"""Lines composed of handwritten digits: their splits, their shapes, and that CTC reads them."""

import itertools

import numpy as np
import pytest
from harness import result

from dlhw.data.digits import split_rows
from dlhw.data.ocr_digits import DigitLinesData
from dlhw.data.vocab import Vocab


def digits(lines: int = 40) -> DigitLinesData:
    data = DigitLinesData(height=16, border=0, train_lines=lines, eval_lines=12, longest=5, batch_size=8, eval_batch_size=8)
    data.setup()
    return data


def test_lines_of_digits_share_no_digit_between_splits():
    one, again, other = digits(), digits(), digits(41)
    assert one.checksums == again.checksums != other.checksums
    assert {split: len(lines.widths) for split, lines in one.splits.items()} == {"train": 40, "val": 12, "test": 12}
    texts = [Vocab(one.spec.target).decode(row) for row in one.splits["train"].targets]
    assert set("".join(texts)) == set("0123456789 ") and max(len(text.replace(" ", "")) for text in texts) == 5
    assert all(text == text.strip() and "  " not in text for text in texts)
    rows = [set(part.tolist()) for part in split_rows(1797).values()]
    assert sum(map(len, rows)) == len(set.union(*rows)) == 1797


def test_a_digit_keeps_the_white_inside():
    gap = np.zeros((1, 8, 8), np.uint8)
    gap[:, :, [1, 6]] = 255
    line, text = digits()._line(gap, np.array([7]), np.random.default_rng(3))
    inked = (line < 255 - 64).any(axis=1)
    widths = [len(list(group)) for white, group in itertools.groupby(inked) if not white]
    assert inked[0] and inked[-1] and len(widths) >= len(text.replace(" ", "")) and max(widths) >= 0.7 * 16 * 3 / 8


@pytest.mark.slow
def test_ctc_reads_lines_of_digits(shell):
    """Under 2 % character errors on digits that were in no training line."""
    shell.run("task=ocr_digits", "model=crnn_ctc", "trainer.accelerator=cpu", "trainer.precision=32-true")
    assert result(shell.only_run())["test"]["cer"] < 0.02
