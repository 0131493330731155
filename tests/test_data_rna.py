"""RNA as integers and as what a network takes."""

import numpy as np
import pytest
import torch

from dlhw.data.rna import PADDING, decode, encode, one_hot
from dlhw.errors import UserError


def test_bases_their_synonyms_and_the_padding():
    codes = encode(["ACGU", "acgt", "N", "nGA"], 5, "here")
    assert codes.dtype == np.uint8
    assert codes.tolist() == [[0, 1, 2, 3, 5], [0, 1, 2, 3, 5], [4, 5, 5, 5, 5], [4, 2, 0, 5, 5]]
    assert decode(codes) == ["ACGU", "ACGU", "N", "NGA"]
    assert encode([], 5, "here").shape == (0, 5)


def test_one_hot():
    x, mask = one_hot(torch.from_numpy(encode(["AN", "UCG", "G"], 3, "here")))
    assert x.dtype == torch.float32 and mask.dtype == torch.bool
    assert x[0].T.tolist() == [[1, 0, 0, 0], [0.25] * 4, [0] * 4]
    assert x[1].T.tolist() == [[0, 0, 0, 1], [0, 1, 0, 0], [0, 0, 1, 0]]
    assert mask.tolist() == [[True, True, False], [True] * 3, [True, False, False]]


@pytest.mark.parametrize("sequence", ["", "ACGUACG", "AC-GU", "ACGR", "AC GU", "ACGÜ", "AC\0G", "ACG\0", "\0", "A😀G", "AC\ud800"])
def test_what_is_no_rna_is_told_by_its_row(sequence):
    with pytest.raises(UserError, match=r"table\.tsv.*row 12"):
        encode(["ACGU", sequence, "ACG"], 6, "table.tsv", range(11, 14))


def test_messages():
    with pytest.raises(UserError, match=r"^t, row 2: the sequence is empty; 1 to task.data.length=4 letters of A, C, G, U, N are right$"):
        encode(["A", "", "ACGUA"], 4, "t")
    with pytest.raises(UserError, match=r"^t, row 1: the sequence is longer than 4 nucleotides \(5\);"):
        encode(["ACGUA"], 4, "t")
    with pytest.raises(UserError, match=r"in 7 rows \(row 2: 'X'; row 3: 'X'; row 4: 'X'; row 5: 'X'; row 6: 'X'\): A, C, G, U \(or T\)"):
        encode(["A", *["AX"] * 7], 4, "t")


def test_padding_is_no_base():
    x, mask = one_hot(torch.full((1, 3), PADDING, dtype=torch.uint8))
    assert not x.any() and not mask.any()
