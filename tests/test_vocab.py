"""Vocabularies: what becomes of symbols, and what is never printed."""

import numpy as np
import pytest

from dlhw.data.vocab import Vocab, normalized
from dlhw.errors import UserError
from dlhw.specs import BOS, EOS, PAD, UNKNOWN


def test_texts_come_back() -> None:
    texts = ["cab", "", "bbb"]
    vocab = Vocab.of(texts)
    assert vocab.symbols == ("a", "b", "c")
    assert len(vocab) == 7
    array = vocab.array(texts)
    np.testing.assert_array_equal(array, [[6, 4, 5, EOS], [EOS, PAD, PAD, PAD], [5, 5, 5, EOS]])
    assert [vocab.decode(row) for row in array] == texts
    assert vocab.array(texts, end=False).shape == (3, 3)


def test_symbols_may_be_longer_than_a_letter() -> None:
    vocab = Vocab.of([["t͡ʃ", "i"], ["t"]])
    assert vocab.decode(vocab.encode(["t͡ʃ", "t"]), " ") == "t͡ʃ t"


def test_special_ids_are_never_printed_and_nothing_after_the_end() -> None:
    vocab = Vocab("ab")
    assert vocab.decode([BOS, 4, PAD, PAD, 5, EOS, 4, 4]) == "ab"
    assert vocab.decode([]) == ""
    assert vocab.decode([PAD, EOS]) == ""


def test_unseen_symbols_are_kept_and_counted() -> None:
    vocab = Vocab.of(["abc"])
    assert vocab.encode("aßb") == [4, UNKNOWN, 5]
    assert vocab.decode([4, UNKNOWN, 5]) == "a\ufffdb"
    assert vocab.unseen(["aßb", "ßx"]) == {"ß": 2, "x": 1}


def test_equal_symbols_are_refused() -> None:
    with pytest.raises(ValueError, match="differ"):
        Vocab(["a", "a"])


def test_normalization_is_stated() -> None:
    composed, decomposed = "é", "e\u0301"
    assert normalized(decomposed, "NFC") == composed
    assert normalized(composed, "NFD") == decomposed
    assert normalized(decomposed, "none") == decomposed
    with pytest.raises(UserError, match="one of NFC, NFD"):
        normalized("e", "NFX")
