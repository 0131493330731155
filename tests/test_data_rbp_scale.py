"""Scales of intensities: what they are fitted on, values beyond it, normal scores."""

import numpy as np
import pandas as pd
import pytest
from rbp_tables import read, sequences, table, write_table
from scipy import stats

from dlhw.data.rbp_scale import fit_scale
from dlhw.errors import UserError


def changed(frame: pd.DataFrame, chosen: list[str]) -> pd.DataFrame:
    """``frame`` with ten times the intensities of some sequences."""
    return frame.assign(EXP1=frame["EXP1"].where(~frame["RNA_Seq"].isin(chosen), 10 * frame["EXP1"] + 50))


@pytest.mark.parametrize("log", [False, True])
def test_statistics_come_from_the_training_probes_alone(tmp_path, log):
    frame = table(200)
    before = read(write_table(tmp_path / "before.txt", frame), log=log)
    for split in ("val", "test"):
        after = read(write_table(tmp_path / f"{split}.txt", changed(frame, sequences(before, split))), log=log)
        for other in {"train", "val", "test"} - {split}:
            np.testing.assert_array_equal(after.splits[other].targets, before.splits[other].targets)
        assert (after.splits[split].targets > before.splits[split].targets).all()
    train = before.splits["train"].targets
    assert train.mean() == pytest.approx(0, abs=1e-6) and train.std() == pytest.approx(1, abs=1e-5)


def test_statistics_of_each_split_as_the_course_has_them(tmp_path):
    frame = table(200)
    fitted = read(write_table(tmp_path / "before.txt", frame), statistics="per_split")
    for split in ("train", "val", "test"):
        values = fitted.splits[split].targets
        assert values.mean() == pytest.approx(0, abs=1e-6) and values.std() == pytest.approx(1, abs=1e-5)
    shifted = read(write_table(tmp_path / "after.txt", changed(frame, sequences(fitted, "test"))), statistics="per_split")
    np.testing.assert_allclose(shifted.splits["test"].targets, fitted.splits["test"].targets, atol=1e-4)


def test_the_scale_against_one_written_out():
    values = np.array([[4.0, 10], [1, np.nan], [3, 20], [100, 0], [2, 5]], np.float32)
    for log in (False, True):
        scale = fit_scale(values, ("a", "b"), "train", 75, log)
        found = scale.apply(values)
        for column, sample in ((0, [4.0, 1, 3, 100, 2]), (1, [10, 20, 0, 5])):
            cut = np.minimum(sample, np.percentile(sample, 75))
            expected = np.log(cut - cut.min() + 1) if log else cut
            expected = (expected - expected.mean()) / expected.std()
            np.testing.assert_allclose(found[~np.isnan(values[:, column]), column], expected, atol=1e-6)
        assert np.isnan(found[1, 1])


def test_new_values_are_cut_to_the_range_of_the_training_ones():
    scale = fit_scale(np.array([[0.0], [1], [2], [3]], np.float32), ("a",), "train", 100, True)
    new = scale.apply(np.array([[-5.0], [0], [3], [9]], np.float32))
    assert new[0] == new[1] and new[2] == new[3]  # a logarithm needs a lower bound too


def test_normal_scores_are_the_quantiles_at_the_ranks():
    values = np.random.default_rng(0).exponential(size=(200, 2)).round(1).astype(np.float32)  # with ties
    values[:20, 1] = np.nan
    scores = fit_scale(values, ("a", "b"), "train", 95, normal_scores=True).apply(values)
    for column in (0, 1):
        there = ~np.isnan(values[:, column])
        cut = values[there, column].clip(max=np.percentile(values[there, column], 95))
        expected = stats.norm.ppf(stats.rankdata(cut) / (there.sum() + 1))
        np.testing.assert_allclose(scores[there, column], expected, rtol=1e-5, atol=1e-6)
    assert np.isnan(scores[:20, 1]).all()
    new = fit_scale(values, ("a", "b"), "train", 100, normal_scores=True).apply(np.array([[-1, 0.5], [99, 0.5]], np.float32))
    assert new[0, 0] == pytest.approx(np.nanmin(scores[:, 0])) and new[1, 0] > np.nanmax(scores[:, 0]) and new[0, 1] == new[1, 1]


def test_normal_scores_leave_spearman_as_it_is_and_no_place_for_logarithms(tmp_path):
    path = write_table(tmp_path / "t.txt", table(200))
    plain, scored = read(path), read(path, normal_scores=True)
    for split in ("train", "val", "test"):
        pair = (plain.splits[split].targets[:, 0], scored.splits[split].targets[:, 0])
        assert stats.spearmanr(*pair).statistic == pytest.approx(1, abs=2e-3) and not np.allclose(*pair)
    with pytest.raises(UserError, match="changes nothing where"):
        read(path, normal_scores=True, log=True)
