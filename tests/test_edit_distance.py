"""Error rates against a plain dynamic programme and against counts by hand."""

import math
import random
from collections.abc import Sequence

import pytest

from dlhw.edit_distance import cer, confusions, count_edits, wer


def distance(a: Sequence[str], b: Sequence[str]) -> int:
    """Wagner and Fischer's table, cell by cell."""
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        above, row = row, [i]
        for j, y in enumerate(b, 1):
            row.append(min(above[j] + 1, row[-1] + 1, above[j - 1] + (x != y)))
    return row[-1]


def test_rates_equal_those_of_a_plain_programme() -> None:
    draw = random.Random(0)
    references = ["".join(draw.choices("ab c", k=draw.randint(1, 12))) for _ in range(300)]
    hypotheses = ["".join(draw.choices("ab c", k=draw.randint(0, 12))) for _ in range(300)]
    pairs = list(zip(references, hypotheses, strict=True))
    assert cer(references, hypotheses) == sum(distance(r, h) for r, h in pairs) / sum(map(len, references))
    words = sum(len(r.split()) for r in references)
    assert wer(references, hypotheses) == sum(distance(r.split(), h.split()) for r, h in pairs) / words


def test_long_texts_weigh_more() -> None:
    assert cer(["a", "bbbbbbbbb"], ["x", "bbbbbbbbb"]) == 1 / 10  # not the mean of 1 and 0


def test_the_best_of_k_counts_only_at_k() -> None:
    edits = count_edits(["cat", "dog", "cow"], [["cat", "x"], ["dot", "dog"], ["", "kow"]])
    assert (edits.cer, edits.wer, edits.wer_at_k) == (4 / 9, 2 / 3, 1 / 3)


def test_words_of_a_line() -> None:
    edits = count_edits(["the old dog"], [["the odd", "the cold dog", "a b c"]])
    assert (edits.words, edits.words_at_k, edits.reference_words) == (2, 1, 3)


def test_empty_references() -> None:
    assert cer(["", "ab"], ["xy", "ab"]) == 1.0  # what is written in place of nothing counts
    assert math.isnan(cer([""], ["x"]))
    assert math.isnan(wer([], []))


def test_confusions_add_up_to_the_edits() -> None:
    assert confusions(["cat", "ice", "ab"], ["kat", "is", "abc"]) == {("c", "k"): 1, ("c", "s"): 1, ("e", ""): 1, ("", "c"): 1}
    draw = random.Random(1)
    references = ["".join(draw.choices("abcd", k=draw.randint(1, 9))) for _ in range(100)]
    hypotheses = ["".join(draw.choices("abcd", k=draw.randint(0, 9))) for _ in range(100)]
    assert confusions(references, hypotheses).total() == count_edits(references, [[h] for h in hypotheses]).characters


def test_as_many_references_as_hypotheses() -> None:
    with pytest.raises(ValueError, match="argument 2"):
        cer(["a", "b"], ["a"])
