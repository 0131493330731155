"""RNA sequences as integers, and as what a network takes.

Legend: N sequences, B batch, L padded length in nucleotides.
"""

from collections.abc import Sequence
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dlhw.errors import UserError

if TYPE_CHECKING:  # the report reads what was found in sequences without it
    from torch import Tensor

ALPHABET = "ACGU"
ANY, PADDING = 4, 5  # codes beside 0..3: the unknown base N, and what stands after the end of a sequence
_UNKNOWN = 255

_CODES = np.full(256, _UNKNOWN, np.uint8)
for _letters, _code in (*((letter, code) for code, letter in enumerate(ALPHABET)), ("T", 3), ("N", ANY), ("\0", PADDING)):
    for _letter in {_letters, _letters.lower()}:
        _CODES[ord(_letter)] = _code


def encode(sequences: Sequence[str], length: int, where: str, rows: Sequence[int] | None = None) -> NDArray[np.uint8]:
    """Sequences as codes, (N, length), filled up with ``PADDING``. T counts as U, and case does not matter.

    Args:
        where: what the sequences are rows of, for messages.
        rows: the number of each one there; None counts from 1.

    Raises:
        UserError: an empty sequence, one over ``length``, a letter beside A, C, G, U, T and N; names the row.
    """
    rows = range(1, len(sequences) + 1) if rows is None else rows
    lengths = np.fromiter(map(len, sequences), int, len(sequences))
    for wrong, what in ((lengths == 0, "is empty"), (lengths > length, f"is longer than {length} nucleotides")):
        if wrong.any():
            first = int(wrong.argmax())
            told = f" ({lengths[first]})" if lengths[first] else ""
            raise UserError(
                f"{where}, row {rows[first]}: the sequence {what}{told}; 1 to task.data.length={length} letters of A, C, G, U, N are right"
            )
    text = np.array(sequences, dtype=f"U{length}")
    letters = text.view(np.uint32).reshape(len(text), length)
    codes = _CODES[np.minimum(letters, 255)]
    inside = np.arange(length) < lengths[:, None]
    wrong = (codes == _UNKNOWN) | (letters > 255) | (inside & (codes == PADDING))
    if wrong.any():
        bad = np.flatnonzero(wrong.any(axis=1))
        named = "; ".join(f"row {rows[row]}: {chr(letters[row][wrong[row]][0])!r}" for row in islice(bad.tolist(), 5))
        many = f"in {len(bad)} rows" if len(bad) > 1 else "in one row"
        raise UserError(f"{where} has letters that are no bases, {many} ({named}): A, C, G, U (or T) and N are right")
    return codes


def decode(codes: NDArray[np.uint8]) -> list[str]:
    """The inverse of :func:`encode`: (N, L) -> N strings of A, C, G, U, N."""
    letters = np.frombuffer(f"{ALPHABET}N\0".encode(), np.uint8)[codes]
    return [row.tobytes().rstrip(b"\0").decode() for row in letters]


def one_hot(codes: "Tensor") -> "tuple[Tensor, Tensor]":
    """Codes (B, L) -> bases, float32 (B, 4, L), and which positions there are, bool (B, L); made on the device of the codes.

    N is 0.25 of each base; padding is 0 of all.
    """
    import torch

    column = torch.arange(len(ALPHABET), device=codes.device, dtype=codes.dtype).view(1, -1, 1)
    rows = codes.unsqueeze(1)  # (B, 1, L)
    return (rows == column).float() + 0.25 * (rows == ANY).float(), codes != PADDING
