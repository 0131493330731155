"""The checks that all sets of pictures share."""

import numpy as np
import pytest

from dlhw.data.arrays import Split
from dlhw.data.image_arrays import image_spec
from dlhw.errors import UserError


@pytest.mark.parametrize("wrong", [np.zeros(4, np.int32), np.zeros((4, 2), np.int64), np.full(4, -1)])
def test_targets_of_another_kind_are_refused(wrong):
    split = Split(np.zeros((4, 5, 5, 1), np.uint8), wrong)
    with pytest.raises(UserError, match=r"somewhere: .*(int64 \(N\) is right|out of range)"):
        image_spec({"train": split}, ["a", "b"], "multi-class", "half", "somewhere")


def test_a_nan_is_no_label():
    split = Split(np.zeros((4, 5, 5, 1), np.uint8), np.full((4, 2), np.nan, np.float32))
    with pytest.raises(UserError, match="row 0, is out of range"):
        image_spec({"train": split}, ["a", "b"], "multi-label", "half", "somewhere")
