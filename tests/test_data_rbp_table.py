"""Tables of probes and of experiments: what is read, and what is said about wrong ones."""

import gzip
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from dlhw.data.rbp_table import read_experiments, read_metadata, read_probes, select
from dlhw.errors import UserError

GOOD = "Probe_Set\tRNA_Seq\tEXP1\tEXP2\nSetA\tACGU\t1.5\t-2\nSetB\tGGU\t\t3e2\nSetA\tNAN\tNaN\t0\n"


@pytest.fixture
def write(tmp_path: Path):
    def write(text: str | bytes, name: str = "table.txt") -> Path:
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


def test_a_table_is_read_as_it_stands(write):
    probes = read_probes(write(GOOD), ("EXP1", "EXP2"))
    assert probes.in_set_b.tolist() == [False, True, False]
    assert probes.sequences == ("ACGU", "GGU", "NAN")  # the last one is a sequence, no missing value
    assert probes.experiments == read_experiments(write(GOOD)) == ("EXP1", "EXP2")
    assert probes.intensities.dtype == np.float32
    np.testing.assert_array_equal(probes.intensities, np.array([[1.5, -2], [np.nan, 300], [np.nan, 0]], np.float32))
    zipped = read_probes(write(gzip.compress(GOOD.encode()), "table.tsv.gz"), ("EXP1", "EXP2"))
    assert zipped.sequences == probes.sequences and zipped.sha256 != probes.sha256


def test_columns_may_stand_in_any_order_and_lines_end_as_on_windows(write):
    probes = read_probes(write("EXP1\tRNA_Seq\tProbe_Set\r\n2\tAC\tSetB\r\n"), ("EXP1",))
    assert (probes.sequences, probes.experiments, probes.intensities.tolist()) == (("AC",), ("EXP1",), [[2]])


def test_the_table_of_rnacompetes_authors_names_its_probes(write):
    """Their norm_data.txt has Probe_ID as a third column, as MultiRBP's code reads it (github.com/OrensteinLab/MultiRBP)."""
    path = write(GOOD.replace("RNA_Seq", "RNA_Seq\tProbe_ID").replace("U\t", "U\tRBD_v3_0\t").replace("NAN", "NAN\tRBD_v3_2"))
    assert read_experiments(path) == ("EXP1", "EXP2")
    assert read_probes(path, ("EXP2",)).intensities.tolist() == [[-2], [300], [0]]


def test_what_is_not_asked_for_may_be_wrong(write):
    path = write(GOOD.replace("3e2", "strong"))
    assert read_probes(path, ("EXP1",)).experiments == ("EXP1",)


def test_empty_lines_count_as_rows_and_blanks_do_not_matter(write):
    probes = read_probes(write(GOOD.replace("SetB\tGGU", "\n\nSetB\t GGU ") + "\n\n"), ("EXP1",))
    assert probes.sequences == ("ACGU", "GGU", "NAN")
    assert list(probes.rows) == [2, 5, 6]
    with pytest.raises(UserError, match=r"row 5: EXP2 is 'strong'"):
        read_probes(write(GOOD.replace("SetB", "\n\nSetB").replace("3e2", "strong"), "other.txt"), ("EXP2",))


def test_a_file_is_read_once_and_anew_when_it_has_changed(write, monkeypatch):
    path = write(GOOD)
    before = read_probes(path, ("EXP1",))
    with monkeypatch.context() as without:
        without.delattr(pd, "read_csv")
        assert read_probes(path, ("EXP2",)).sequences == before.sequences
    assert read_probes(write(GOOD + "SetB\tA\t1\t1\n"), ("EXP1",)).sequences[-1] == "A"


def damaged(text: str) -> bytes:
    data = bytearray(gzip.compress(text.encode() * 50))
    data[len(data) // 2] ^= 0xFF
    return bytes(data)


ROWS = GOOD.splitlines()
WRONG_TABLES = {
    "no sequences": (GOOD.replace("RNA_Seq", "Sequence"), r"lacks the column RNA_Seq; it begins with Probe_Set, Sequence, EXP1, EXP2"),
    "commas": (GOOD.replace("\t", ","), r"lacks the column Probe_Set and RNA_Seq; it begins with Probe_Set,RNA_Seq"),
    "html": ("<!DOCTYPE html>\n<html>\n<body>404</body>\n", r"lacks the column Probe_Set and RNA_Seq; it begins with <!DOCTYPE html>"),
    "no experiment": ("Probe_Set\tRNA_Seq\nSetA\tACG\n", r"has no experiment: one column"),
    "an experiment twice": (GOOD.replace("EXP2", "EXP1"), r"has the column EXP1 more than once"),
    "unknown set": (GOOD.replace("SetB", "Set B"), r"row 3: Probe_Set is 'Set B'; SetA or SetB is right"),
    "no set": (GOOD.replace("SetB", ""), r"row 3: Probe_Set is nan; SetA or SetB is right"),
    "no number": (GOOD.replace("3e2", "strong"), r"row 3: EXP2 is 'strong'; a number, or nothing"),
    "decimal comma": (GOOD.replace("1.5", "1,5"), r"row 2: EXP1 is '1,5'; a number"),
    "infinite": (GOOD.replace("3e2", "inf"), r"row 3: EXP2 is 'inf'; a number"),
    "a field too many": (GOOD.replace("3e2", "3e2\t7"), r"cannot be read as a table \(.*line 3"),
    "a field too many in every row": ("\n".join([ROWS[0], *(f"{row}\t1" for row in ROWS[1:])]), r"table \(its rows have more fields"),
    "empty": ("", r"cannot be read as a table \(No columns to parse from file\): tab-separated text is right"),
    "header only": (ROWS[0] + "\n", r"has no rows"),
    "binary": (bytes(range(256)) * 4, r"cannot be read as a table|lacks the column"),
}


@pytest.mark.parametrize("case", WRONG_TABLES)
def test_wrong_tables(write, case):
    text, message = WRONG_TABLES[case]
    path = write(text)
    with pytest.raises(UserError, match=message) as error:
        read_probes(path, read_experiments(path))
    assert str(path) in str(error.value) and "\n" not in str(error.value)


ARCHIVES = [damaged(GOOD), gzip.compress(GOOD.encode() * 50)[:-20], b"no gzip at all", b""]


@pytest.mark.parametrize("data", ARCHIVES, ids=["flipped", "cut", "no gzip", "empty"])  # bytes would name a test by the time of day
def test_damaged_archives(write, data):
    path = write(data, "table.tsv.gz")
    with pytest.raises(UserError, match=r"table\.tsv\.gz cannot be read as a table \(.+\): tab-separated text is right"):
        read_probes(path, ("EXP1",))


def test_a_folder_is_no_table(tmp_path):
    with pytest.raises(UserError, match="cannot be read as a table"):
        read_experiments(tmp_path)


NAMES = pd.DataFrame(
    {"Protein_name": ["RBFOX1", "A1CF", "A1CF", None], "Motif_ID": ["EXP1", "EXP2", "EXP3", "EXP4"], "Other": [1, 2, 3, 4]}
)


def test_metadata_in_each_format(tmp_path):
    NAMES.to_csv(tmp_path / "m.csv", index=False)
    NAMES.to_csv(tmp_path / "m.tsv", index=False, sep="\t")
    NAMES.to_csv(tmp_path / "excel.csv", index=False, sep=";", encoding="utf-8-sig")  # as Excel writes it in Europe
    NAMES.to_excel(tmp_path / "m.xlsx", index=False)
    for name in ("m.csv", "m.tsv", "excel.csv", "m.xlsx"):
        assert read_metadata(tmp_path / name) == {"EXP1": "RBFOX1", "EXP2": "A1CF", "EXP3": "A1CF"}


@pytest.mark.parametrize("name", ["m.csv", "m.xlsx"])
def test_blanks_around_names_are_none_of_theirs(tmp_path, name):
    """Two names that look alike would be two proteins, and the first be learnt without a word."""
    padded = pd.DataFrame({"Protein_name ": ["RBFOX1", "RBFOX1 "], " Motif_ID": ["EXP1", " EXP2"], "remark": [None, None]})
    if name == "m.csv":
        padded.to_csv(tmp_path / name, index=False)
    else:
        padded.to_excel(tmp_path / name, index=False)
    found = read_metadata(tmp_path / name)
    assert found == {"EXP1": "RBFOX1", "EXP2": "RBFOX1"}
    with pytest.raises(UserError, match=r"^task\.data\.protein=RBFOX1 has several experiments: name one of EXP1, EXP2$"):
        select(tmp_path / "t.txt", ("EXP1", "EXP2"), found, ["RBFOX1"], [])


def test_blanks_in_a_table(tmp_path):
    (tmp_path / "t.txt").write_text("Probe_Set \t RNA_Seq\tEXP1 \nSetA \t ACGU\t1\n SetB\tACGA \t2\n")
    assert read_experiments(tmp_path / "t.txt") == ("EXP1",)
    probes = read_probes(tmp_path / "t.txt", ["EXP1"])
    assert probes.sequences == ("ACGU", "ACGA") and probes.in_set_b.tolist() == [False, True]
    assert probes.intensities.tolist() == [[1], [2]]


def test_numbers_may_name_proteins_and_experiments(tmp_path):
    frame = pd.DataFrame({"Protein_name": [7, 8], "Motif_ID": ["001", "002"]})
    frame.to_csv(tmp_path / "m.csv", index=False)
    frame.to_excel(tmp_path / "m.xlsx", index=False)
    assert read_metadata(tmp_path / "m.csv") == read_metadata(tmp_path / "m.xlsx") == {"001": "7", "002": "8"}


WRONG_METADATA = {
    "m.csv": [
        ("Protein_name,Motif\nA,1\n", r"lacks the column Motif_ID; it has Protein_name, Motif"),
        ("Protein_name,Motif_ID\nA,1\nB,1\nC,2\n", r"names the experiment 1 more than once: one row each is right"),
        ("<!DOCTYPE html>\n<html></html>\n", r"lacks the column Protein_name and Motif_ID; it has <!DOCTYPE html>"),
        ("Protein_name\nA\n", r"lacks the column Motif_ID; it has Protein_name"),
        ("", r"cannot be read as a table"),
        (b"\xff\xfe\x00", r"cannot be read as a table"),
    ],
    "m.xlsx": [(b"<!DOCTYPE html>", r"cannot be read as a table"), (b"PK\3\4 cut off", r"cannot be read as a table")],
    "m.xls": [(b"anything", r"cannot be read as a table")],
}


@pytest.mark.parametrize(("name", "text", "message"), [(name, *case) for name, cases in WRONG_METADATA.items() for case in cases])
def test_wrong_metadata(write, name, text, message):
    path = write(text, name)
    with pytest.raises(UserError, match=message) as error:
        read_metadata(path)
    assert str(path) in str(error.value) and "\n" not in str(error.value)


PROTEINS = {"EXP1": "RBFOX1", "EXP2": "A1CF", "EXP3": "A1CF"}
CHOICES = {
    ("RBFOX1",): {"EXP1": "RBFOX1"},
    ("EXP1",): {"EXP1": "RBFOX1"},
    ("EXP3",): {"EXP3": "A1CF"},
    ("EXP4", "EXP1", "RBFOX1"): {"EXP4": "EXP4", "EXP1": "RBFOX1"},
    ("EXP2", "EXP3"): {"EXP2": "EXP2", "EXP3": "EXP3"},  # both are A1CF, so they go by their own names
    ("all",): {"EXP1": "RBFOX1", "EXP2": "EXP2", "EXP3": "EXP3", "EXP4": "EXP4"},
}
EXPERIMENTS = ("EXP1", "EXP2", "EXP3", "EXP4")


def names(wanted: tuple[str, ...], left_out: tuple[str, ...] = (), experiments: tuple[str, ...] = EXPERIMENTS) -> dict[str, str]:
    """Experiments 1 to 4: one protein, one with two experiments, one without a name; what is chosen, and what it goes by."""
    chosen = select(Path("norm_data.txt"), experiments, PROTEINS, wanted, left_out)
    assert all(column.protein == PROTEINS.get(column.experiment, column.experiment) for column in chosen)
    return {column.experiment: column.name for column in chosen}


@pytest.mark.parametrize("wanted", CHOICES)
def test_proteins_are_chosen_by_their_name_or_their_experiment(wanted):
    assert list(names(wanted).items()) == list(CHOICES[wanted].items())


def test_what_is_left_out_is_not_chosen():
    assert names(("all",), ("EXP3", "RBFOX1")) == {"EXP2": "A1CF", "EXP4": "EXP4"}
    assert names(("A1CF",), ("EXP2",)) == {"EXP3": "A1CF"}


def test_a_protein_with_several_experiments_asks_which():
    with pytest.raises(UserError, match=r"^task\.data\.protein=A1CF has several experiments: name one of EXP2, EXP3$"):
        names(("A1CF",))


UNKNOWN = {
    (("RBFOX2",), ()): r"^task\.data\.protein: RBFOX2 is not in norm_data\.txt: did you mean RBFOX1\? There are A1CF, EXP1, .*, RBFOX1$",
    (("rbfox1",), ()): r"^task\.data\.protein: rbfox1 is not in .*: did you mean RBFOX1\? There",
    (("rbfox",), ()): r"^task\.data\.protein: rbfox is not in .*: did you mean RBFOX1\? There",
    (("all",), ("nonesuch",)): r"^task\.data\.exclude: nonesuch is not in norm_data\.txt: There are",
    (("RBFOX1",), ("EXP1",)): r"^task\.data\.protein and task\.data\.exclude leave no protein to learn$",
}


@pytest.mark.parametrize(("wanted", "left_out"), UNKNOWN)
def test_an_unknown_protein_is_told_with_near_ones(wanted, left_out):
    with pytest.raises(UserError, match=UNKNOWN[wanted, left_out]):
        names(wanted, left_out)


def test_of_many_proteins_the_first_are_told():
    with pytest.raises(UserError, match=r"There are (N\d{3}, ){19}N\d{3} and 224 more$"):
        names(("nonesuch",), (), tuple(f"N{number:03}" for number in range(244)))
