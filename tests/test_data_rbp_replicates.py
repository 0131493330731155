"""What was measured the second time on the same sequence, against a loop over all pairs and a table made for it."""

import numpy as np
import pandas as pd
import pytest
from rbp_tables import read, table, write_table

from dlhw.data import rbp_replicates
from dlhw.data.rbp_replicates import measured_again


@pytest.fixture
def any_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rbp_replicates, "LEAST", 1)


def test_each_probe_gets_the_next_measurement_of_its_sequence(any_number):
    codes = np.array([[1, 2, 5], [1, 3, 5], [1, 2, 5], [4, 4, 4], [1, 2, 5]], np.uint8)
    values = np.array([[1.0, 10.0], [2.0, 20.0], [3.0, np.nan], [4.0, 40.0], [5.0, 50.0]], np.float32)
    nan = np.nan
    [(name, again)] = measured_again(codes, values).items()
    assert name == "second_measurement"
    np.testing.assert_array_equal(again, [[3, nan], [nan, nan], [5, 50], [nan, nan], [1, 10]])


def test_pairs_answer_for_each_other():
    draw = np.random.default_rng(0)
    half = draw.integers(1, 5, (80, 12)).astype(np.uint8)
    order = draw.permutation(160)
    codes, values = np.concatenate([half, half])[order], draw.normal(size=(160, 3)).astype(np.float32)
    again = measured_again(codes, values)["second_measurement"]
    for row, code in enumerate(codes):
        [other] = [at for at in range(160) if at != row and (codes[at] == code).all()]
        np.testing.assert_array_equal(again[row], values[other])


def test_too_few_tell_nothing():
    codes = np.repeat(np.arange(1, 50, dtype=np.uint8)[:, None], 2, axis=0)
    assert measured_again(codes, np.zeros((98, 1), np.float32)) == {}


def test_the_test_probes_of_a_table(tmp_path, any_number):
    frame = table(80)
    twice = frame[frame["Probe_Set"] == "SetB"].head(5).copy()
    twice["EXP1"] += 1
    path = write_table(tmp_path / "t.txt", pd.concat([frame, twice]))
    data = read(path, clip_percentile=100)
    again, test = data.answers["second_measurement"][:, 0], data.splits["test"].targets[:, 0]
    assert np.isfinite(again).sum() == 10 and np.isfinite(again)[-5:].all()
    np.testing.assert_array_equal(again[:5], test[-5:])
    np.testing.assert_array_equal(again[-5:], test[:5])
