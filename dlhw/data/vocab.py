"""Symbols as numbers: the vocabulary of a training split, texts as arrays of ids, and back.

The ids 0 to 3 are padding (also CTC's blank), begin, end and unknown; the symbols of the training split follow.
"""

import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from dlhw.errors import UserError
from dlhw.specs import BOS, EOS, FIRST, PAD, UNKNOWN

SHOWN_UNKNOWN = "\N{REPLACEMENT CHARACTER}"
NORMALIZATIONS = ("NFC", "NFD", "NFKC", "NFKD", "none")


class Vocab:
    """A mapping between symbols and ids; ``symbols`` in the order of their ids, from 4 on.

    A symbol is a string of one or more characters: a letter of a spelling, a phone of a pronunciation.
    """

    def __init__(self, symbols: Iterable[str]) -> None:
        self.symbols = tuple(symbols)
        self._ids = {symbol: number for number, symbol in enumerate(self.symbols, FIRST)}
        if len(self._ids) != len(self.symbols):
            raise ValueError("the symbols of a vocabulary must differ")

    @classmethod
    def of(cls, texts: Iterable[Sequence[str]]) -> "Vocab":
        """The vocabulary of texts, in the order of the symbols' code points."""
        return cls(sorted({symbol for text in texts for symbol in text}))

    def __len__(self) -> int:
        """Number of ids, with the four special ones."""
        return FIRST + len(self.symbols)

    def __contains__(self, symbol: str) -> bool:
        return symbol in self._ids

    def encode(self, text: Sequence[str]) -> list[int]:
        """The ids of a text, without begin and end; symbols that the vocabulary lacks become ``UNKNOWN``."""
        return [self._ids.get(symbol, UNKNOWN) for symbol in text]

    def decode(self, ids: Iterable[int], separator: str = "") -> str:
        """The text of ids up to the first end; padding and begin are never printed, unknown is printed as U+FFFD."""
        return separator.join(self._printed(ids))

    def _printed(self, ids: Iterable[int]) -> Iterator[str]:
        for number in ids:
            if number == EOS:
                return
            if number == UNKNOWN:
                yield SHOWN_UNKNOWN
            elif number not in (PAD, BOS):
                yield self.symbols[number - FIRST]

    def array(self, texts: Sequence[Sequence[str]], end: bool = True) -> NDArray[np.int16]:
        """Texts as one array (N, longest + 1): the ids of each, the end, then padding. ``end`` False: without the end, (N, longest)."""
        rows = [self.encode(text) + [EOS] * end for text in texts]
        ids = np.full((len(rows), max(map(len, rows), default=0)), PAD, np.int16)
        for row, target in zip(rows, ids, strict=True):
            target[: len(row)] = row
        return ids

    def unseen(self, texts: Iterable[Sequence[str]]) -> Counter[str]:
        """How often each symbol that the vocabulary lacks occurs in ``texts``."""
        return Counter(symbol for text in texts for symbol in text if symbol not in self._ids)


def normalized(text: str, form: str) -> str:
    """``text`` in a Unicode normalization form, or as it is with ``none``.

    Raises:
        UserError: another form.
    """
    if form not in NORMALIZATIONS:
        raise UserError(f"task.data.normalization={form} is not one of {', '.join(NORMALIZATIONS)}")
    return text if form == "none" else unicodedata.normalize(form, text)  # type: ignore[arg-type]
