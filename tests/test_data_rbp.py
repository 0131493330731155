"""Splits and scaled targets of tables of RNAcompete."""

import logging
from collections import Counter

import numpy as np
import pandas as pd
import pytest
from rbp_tables import read, sequences, table, write_table

from dlhw.data.rbp import RbpData
from dlhw.errors import UserError


@pytest.fixture
def path(tmp_path):
    return write_table(tmp_path / "norm_data.txt", table(200, experiments=2))


def targets_by_sequence(data: RbpData, split: str) -> dict[str, tuple[float, ...]]:
    return dict(zip(sequences(data, split), map(tuple, data.splits[split].targets.tolist()), strict=True))


def test_set_b_tests_and_set_a_is_cut_in_two(path):
    data, frame = read(path), table(200, experiments=2)
    of = {name: set(frame["RNA_Seq"][frame["Probe_Set"] == name]) for name in ("SetA", "SetB")}
    assert sequences(data, "test") == frame["RNA_Seq"][frame["Probe_Set"] == "SetB"].tolist()
    assert set(sequences(data, "train")) | set(sequences(data, "val")) == of["SetA"]
    assert [len(data.splits[name].inputs) for name in ("train", "val")] == [80, 20]
    assert (data.spec.length, data.spec.proteins) == (41, ("EXP1", "EXP2"))
    assert list(data.checksums) == ["norm_data.txt"]


def test_the_targets_stand_beside_their_sequences(path):
    """With the percentile at 100 the targets are the intensities, cut to the highest training one, moved and scaled."""
    data, frame = read(path, clip_percentile=100), table(200, experiments=2).set_index("RNA_Seq")
    train = frame.loc[sequences(data, "train"), ["EXP1", "EXP2"]].to_numpy(np.float32).astype(float)
    for split in ("train", "val", "test"):
        raw = frame.loc[sequences(data, split), ["EXP1", "EXP2"]].to_numpy(np.float32)
        expected = (np.minimum(raw, train.max(axis=0)) - train.mean(axis=0)) / train.std(axis=0)
        np.testing.assert_allclose(data.splits[split].targets, expected, atol=1e-5)


def test_one_protein_of_several(path):
    one, both = read(path, protein="EXP2"), read(path)
    assert one.spec.proteins == ("EXP2",)
    np.testing.assert_array_equal(one.splits["val"].targets, both.splits["val"].targets[:, 1:])


def test_the_seed_of_the_cut_and_its_share(path):
    same, again, other = read(path), read(path, seed=5), read(path, split_seed=1)
    assert sequences(same, "train") == sequences(again, "train")  # the seed of the training changes nothing here
    assert set(sequences(same, "val")) != set(sequences(other, "val"))
    assert sequences(same, "test") == sequences(other, "test")
    assert len(read(path, val_share=0.4).splits["val"].inputs) == 40


def test_fewer_training_probes_are_the_first_of_all(path):
    few, all_of_them = read(path, train_probes=10), read(path)
    assert sequences(few, "train") == sequences(all_of_them, "train")[:10]
    assert sequences(few, "val") == sequences(all_of_them, "val")
    values = few.splits["train"].targets
    assert values.mean(axis=0) == pytest.approx(0, abs=1e-6) and values.std(axis=0) == pytest.approx(1, abs=1e-5)  # fitted on these alone


@pytest.mark.parametrize(("split", "there"), [("train", 80), ("val", 20), ("test", 100)])
def test_more_probes_than_there_are_is_no_number_of_a_run(path, split, there):
    assert len(read(path, **{f"{split}_probes": there}).splits[split].inputs) == there
    with pytest.raises(
        UserError, match=rf"^task\.data\.{split}_probes={there + 1}: .* has {there} for that, at .*: so many at most, or null"
    ):
        read(path, **{f"{split}_probes": there + 1})


def test_fewer_test_probes_are_drawn_from_all_of_a_sorted_table(tmp_path):
    """Of 100, the first of which bind most: any ten are drawn, always the same ones, in the order of the table."""
    path = write_table(tmp_path / "t.txt", table(200).sort_values("EXP1", ascending=False))
    every, ten, twenty = (sequences(read(path, test_probes=most), "test") for most in (None, 10, 20))
    places = [every.index(sequence) for sequence in ten]
    assert len(ten) == 10 and places == sorted(places) and 20 < np.mean(places) < 80
    assert set(ten) < set(twenty)
    assert sequences(read(path, test_probes=10, seed=1, train_probes=5), "test") == ten
    assert sequences(read(path, test_probes=10, split_seed=1), "test") != ten


def test_equal_sequences_never_cross_a_split(tmp_path, caplog):
    frame = table(120)
    in_a = frame[frame["Probe_Set"] == "SetA"]
    twins = in_a.iloc[:30].assign(EXP1=9.0)  # the same sequences once more in set A
    dna = in_a.iloc[:5].assign(RNA_Seq=lambda part: part["RNA_Seq"].str.lower().str.replace("u", "t"))  # and written as DNA
    leaks = frame[frame["Probe_Set"] == "SetB"].iloc[:7].assign(Probe_Set="SetA")
    frame = pd.concat([frame, twins, leaks, dna], ignore_index=True)
    path = write_table(tmp_path / "t.txt", frame)
    with caplog.at_level(logging.INFO, "dlhw"):
        data = read(path)
    assert "7 probes of set A are left out" in caplog.text
    counts = {split: Counter(sequences(data, split)) for split in data.splits}
    for one, other in (("train", "val"), ("train", "test"), ("val", "test")):
        assert not counts[one].keys() & counts[other].keys()
    assert sum(counts["train"].values()) + sum(counts["val"].values()) == 60 + 30 + 5
    assert sum(counts["test"].values()) == 60
    own = counts["train"] + counts["val"]
    assert [own[sequence] for sequence in in_a["RNA_Seq"].iloc[:31]] == [3] * 5 + [2] * 25 + [1]


def test_sequences_that_end_in_the_first_base_stay_apart(tmp_path):
    """A is code 0, which string comparisons could take for an end."""
    frame = pd.DataFrame({"RNA_Seq": ["CG", "CGA", "CGAA", "CGAAA"], "Probe_Set": ["SetB", "SetA", "SetA", "SetA"], "EXP1": [1, 2, 3, 4.0]})
    data = read(write_table(tmp_path / "t.txt", frame), length=5, val_share=0.34)
    assert sorted(sequences(data, "train") + sequences(data, "val")) == ["CGA", "CGAA", "CGAAA"]


def test_missing_values_stay_missing_and_empty_rows_go(tmp_path):
    frame = table(100, experiments=2)
    frame.loc[:19, "EXP1"] = np.nan
    frame.loc[10:29, "EXP2"] = np.nan  # rows 10 to 19 have nothing
    path = write_table(tmp_path / "t.txt", frame)
    data = read(path)
    expected = frame.set_index("RNA_Seq")[["EXP1", "EXP2"]].isna()
    rows = 0
    for split in data.splits:
        for sequence, values in targets_by_sequence(data, split).items():
            assert np.isnan(values).tolist() == expected.loc[sequence].tolist()
            rows += 1
    assert rows == 90
    assert sum(len(split.inputs) for split in read(path, protein="EXP1").splits.values()) == 80


def test_names_come_from_the_metadata(tmp_path):
    path = write_table(tmp_path / "t.txt", table(60, experiments=2))
    pd.DataFrame({"Protein_name": ["RBFOX1", "A1CF"], "Motif_ID": ["EXP1", "EXP2"]}).to_excel(tmp_path / "metadata.xlsx", index=False)
    assert read(path, tmp_path / "metadata.xlsx").spec.proteins == ("RBFOX1", "A1CF")
    assert read(path, tmp_path / "metadata.xlsx", ["A1CF"]).spec.proteins == ("A1CF",)
    assert read(path, tmp_path / "metadata.xlsx", exclude=["A1CF"]).spec.proteins == ("RBFOX1",)


def test_which_experiment_a_name_stands_for_is_part_of_the_data(tmp_path):
    """Metadata may change in what is not learnt; a protein that is another experiment now is other data."""
    path, metadata = write_table(tmp_path / "t.txt", table(60, experiments=2)), tmp_path / "m.csv"
    checksums = []
    for experiments in (["EXP1", "EXP2"], ["EXP1", "EXP3"], ["EXP2", "EXP1"]):
        pd.DataFrame({"Protein_name": ["RBFOX1", "A1CF"], "Motif_ID": experiments}).to_csv(metadata, index=False)
        data = read(path, metadata, ["RBFOX1"])
        checksums.append(data.checksums["m.csv"])
        assert data.notes["experiments"] == {"RBFOX1": experiments[0]}
    assert checksums[0] == checksums[1] != checksums[2]
    pd.DataFrame({"Protein_name": ["EXP1"], "Motif_ID": ["EXP1"]}).to_csv(metadata, index=False)
    assert "m.csv" not in read(path, metadata, ["EXP1"]).checksums  # it says nothing then


def test_a_wrong_name_is_told_before_all_of_a_table_is_read(tmp_path):
    path = write_table(tmp_path / "t.txt", table(60).assign(Probe_Set="nonesuch"))
    with pytest.raises(UserError, match=r"^task\.data\.protein: EXP9 is not in"):
        read(path, protein="EXP9")


def test_names_may_be_numbers_and_one_may_stand_alone(tmp_path):
    path = write_table(tmp_path / "t.txt", table(60, experiments=2).rename(columns={"EXP2": "7"}))
    assert read(path, protein=7).spec.proteins == read(path, protein=[7]).spec.proteins == ("7",)
    assert read(path, exclude=7).spec.proteins == read(path, exclude="7").spec.proteins == ("EXP1",)
    with pytest.raises(UserError, match=r"^task\.data\.protein: 8 is not in .*There are 7, EXP1$"):
        read(path, protein=8)


def test_files_are_looked_for_in_the_data_root_too(tmp_path):
    write_table(tmp_path / "t.txt", table(60))
    assert read("t.txt", data_root=str(tmp_path)).spec.proteins == ("EXP1",)
    with pytest.raises(UserError, match=r"task\.data\.table=t\.txt is missing: looked for .*t\.txt and .*nowhere.t\.txt; .*task=rbp_sim"):
        read("t.txt", data_root=str(tmp_path / "nowhere"))
    with pytest.raises(UserError, match=r"task\.data\.metadata=m\.xlsx is missing"):
        read("t.txt", "m.xlsx", data_root=str(tmp_path))


KNOBS = {
    ("length", 0): "at least 1",
    ("clip_percentile", 0): "above 0, up to 100",
    ("clip_percentile", 101): "above 0, up to 100",
    ("statistics", "test"): "is not one of train, per_split",
    ("val_share", 0): "between 0 and 1",
    ("val_share", 1): "between 0 and 1",
    ("train_probes", 0): "at least 1, or null",
    ("split_seed", -1): "0 or more",
    ("unseen_by", "cluster"): "and identity=0.5 change nothing without unseen",
}


@pytest.mark.parametrize("knob", KNOBS)
def test_knobs_out_of_range(path, knob):
    name, value = knob
    with pytest.raises(UserError, match=rf"^task\.data\.{name}={value} .*{KNOBS[knob]}"):
        read(path, **{name: value})


def without(frame: pd.DataFrame, column: str, where: pd.Series) -> pd.DataFrame:
    return frame.assign(**{column: frame[column].where(~where)})


def constant(frame: pd.DataFrame, value: float) -> pd.DataFrame:
    return frame.assign(EXP1=value)


BAD_TABLES = {
    "all NaN": (lambda f: f.assign(EXP1=np.nan), r"EXP1 has no intensity at all: task\.data\.exclude=\[EXP1\] is right"),
    "NaN in set A": (lambda f: without(f, "EXP1", f["Probe_Set"] == "SetA"), r"EXP1 has no measured intensity among the probes of train"),
    "constant": (lambda f: constant(f, 3.0), r"EXP1 has the same intensity on all probes of train"),
    "constant that floats cannot hold": (lambda f: constant(f, 0.1), r"EXP1 has the same intensity on all probes of train"),
    "only set A": (lambda f: f.assign(Probe_Set="SetA"), r"no measured probe for test: probes of SetB \(test\) are right"),
    "only set B": (lambda f: f.assign(Probe_Set="SetB"), r"no measured probe for train, val"),
    "too long": (lambda f: f.assign(RNA_Seq=f["RNA_Seq"] + "A" * 20), r"row 2: the sequence is longer than 41 nucleotides"),
    "no sequence": (lambda f: f.assign(RNA_Seq=f["RNA_Seq"].where(f.index != 7, "")), r"row 9: the sequence is empty"),
    "no base": (lambda f: f.assign(RNA_Seq=f["RNA_Seq"].where(f.index != 7, "ACX")), r"in one row \(row 9: 'X'\)"),
}


@pytest.mark.parametrize("case", BAD_TABLES)
def test_bad_tables(tmp_path, case):
    change, message = BAD_TABLES[case]
    path = write_table(tmp_path / "t.txt", change(table(400, experiments=2)))
    with pytest.raises(UserError, match=message):
        read(path)


def test_what_to_do_without_the_only_protein(tmp_path):
    path = write_table(tmp_path / "t.txt", table(400, experiments=2).assign(EXP1=np.nan))
    with pytest.raises(UserError, match=r"EXP1 has no intensity at all: another task\.data\.protein is right"):
        read(path, protein="EXP1")


def test_statistics_of_a_split_without_values_name_it(tmp_path):
    frame = table(400, experiments=2)
    path = write_table(tmp_path / "t.txt", without(frame, "EXP1", frame["Probe_Set"] == "SetB"))
    with pytest.raises(UserError, match=r"EXP1 has no measured intensity among the probes of test"):
        read(path, statistics="per_split")


def test_metadata_of_another_table_are_refused(path, tmp_path):
    (tmp_path / "other.csv").write_text("Motif_ID,Protein_name\nEXP77,RBFOX1\n")
    with pytest.raises(UserError, match=r"metadata=.*other\.csv names no experiment of .*, which are EXP1.*or null where its columns"):
        read(path, metadata=str(tmp_path / "other.csv"))


@pytest.mark.realdata
def test_the_tables_with_missing_values(data_root):
    folder = data_root / "rnacompete"
    data = read(folder / "norm_data_A1CF_ANKHD1.tsv.gz", folder / "metadata_A1CF_ANKHD1.csv", ["A1CF", "ANKHD1"])
    assert data.spec.proteins == ("A1CF", "ANKHD1")
    targets = np.concatenate([split.targets for split in data.splits.values()])
    assert np.isnan(targets).sum(axis=0).tolist() == [4, 4]
    assert len(data.splits["test"].inputs) == 30_002
    assert np.abs(np.nanmean(data.splits["train"].targets, axis=0)).max() < 1e-5


@pytest.mark.realdata
def test_the_table_of_22_proteins(data_root):
    folder = data_root / "rnacompete"
    data = read(folder / "norm_data_22rbp.tsv.gz", folder / "metadata_22rbp.csv", "all")
    assert len(data.spec.proteins) == 22
    assert sum(len(split.inputs) for split in data.splits.values()) <= 236_557
    assert not any(np.isnan(split.targets).any() for split in data.splits.values())
    lengths = (data.splits["train"].inputs != 5).sum(axis=1)
    assert (lengths.min(), lengths.max()) == (30, 41)
