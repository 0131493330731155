"""Words in IPA as they are given: what is a file, and which phones a word has."""

from dlhw.data.vocab import Vocab
from dlhw.predict.words import longest_first, phones_of, read_words


def test_words_without_blanks() -> None:
    known = Vocab(["t", "t͡ʃ", "ʃ", "i", "i\u02d0"])
    assert longest_first("t͡ʃi\u02d0txi", known) == ["t͡ʃ", "i\u02d0", "t", "x", "i"]
    assert phones_of("[\u02c8t͡ʃ i\u02d0.ti]", known, "NFC") == ["t͡ʃ", "i\u02d0", "t", "i"]


def test_marks_that_the_network_knows_are_phones() -> None:
    known = Vocab(["t", "\u02c8a", "."])
    assert phones_of("/\u02c8t . \u02c8at.t/", known, "NFC") == ["t", ".", "\u02c8a", "t", ".", "t"]


def test_many_words_are_no_file_name() -> None:
    assert read_words(",".join(["k æ t"] * 100)) == ["k æ t"] * 100
