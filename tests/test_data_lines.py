"""Folders of line pictures: what is read, how it is split, and what is refused with file and row."""

import re
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dlhw.data.line_pictures import line_columns
from dlhw.data.lines import LineData
from dlhw.data.vocab import Vocab
from dlhw.errors import UserError
from dlhw.specs import EOS, UNKNOWN


def draw(path: Path, width: int = 60, height: int = 20, ink: int = 0, paper: int = 255) -> None:
    """A picture with a stripe of ink that begins at a third of its width."""
    path.parent.mkdir(parents=True, exist_ok=True)
    levels = np.full((height, width), paper, np.uint8)
    levels[height // 4 : height // 2, width // 3 : width // 2] = ink
    Image.fromarray(levels).save(path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three books of four lines each; the table says the splits."""
    rows = ["path\tsplit\ttext"]
    for book in ("a", "b", "c"):
        for line, split in enumerate(("train", "train", "val", "test")):
            draw(tmp_path / "lines" / book / f"{line}.png", width=40 + 10 * line)
            rows.append(f"{book}/{line}.png\t{split}\t{book} und {line}")
    (tmp_path / "lines" / "labels.tsv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return tmp_path / "lines"


def read(folder: Path, **options: object) -> LineData:
    data = LineData(**{"path": str(folder), "height": 10, "border": 2, "batch_size": 2, "eval_batch_size": 2, **options})
    data.setup()
    return data


def texts(data: LineData, split: str) -> list[str]:
    return [Vocab(data.spec.target).decode(row) for row in data.splits[split].targets.tolist()]


def test_unseen_letters_are_noted(folder, caplog):
    table = folder / "labels.tsv"
    table.write_text(table.read_text(encoding="utf-8").replace("b und 3", "b ünd 3ü"), encoding="utf-8")
    with caplog.at_level("WARNING", "dlhw"):
        data = read(folder)
    assert data.notes == {"unseen": {"val": {"letters": {"2": 3}}, "test": {"letters": {"ü": 2, "3": 3}}}}
    assert "test: 5 letters are in no training line and cannot be read: 3 (U+0033) 3 times, ü (U+00FC) 2 times" in caplog.text


def test_the_table_says_what_is_in_which_split(folder):
    data = read(folder)
    assert {split: lines.names for split, lines in data.splits.items()} == {
        "train": ("a/0.png", "a/1.png", "b/0.png", "b/1.png", "c/0.png", "c/1.png"),
        "val": ("a/2.png", "b/2.png", "c/2.png"),
        "test": ("a/3.png", "b/3.png", "c/3.png"),
    }
    assert texts(data, "train") == ["a und 0", "a und 1", "b und 0", "b und 1", "c und 0", "c und 1"]
    assert data.splits["test"].groups == ("a", "b", "c")
    assert data.spec.target == tuple(" 01abcdnu") and data.spec.target_length == 7
    train = data.splits["train"]
    assert train.widths.tolist() == [round(w / 2) + 4 for w in (40, 50) * 3]  # half the height, two borders of 2
    assert all(train.picture(line).shape == (10, train.widths[line]) for line in range(6))
    assert train.inputs.shape == (train.widths.sum(), 10) and train.inputs.dtype == np.uint8


def test_letters_that_no_training_line_has_are_told_and_kept(folder, caplog):
    with caplog.at_level("WARNING", "dlhw"):
        data = read(folder)
    assert "test: 3 letters are in no training line and cannot be read: 3 (U+0033) 3 times" in caplog.text
    assert "val: 3 letters" in caplog.text and "train:" not in caplog.text
    assert texts(data, "test") == [f"{book} und \N{REPLACEMENT CHARACTER}" for book in "abc"]
    assert data.splits["test"].targets[0].tolist()[-2:] == [UNKNOWN, EOS]


def test_pictures_without_a_transcript_are_counted(folder, tmp_path, caplog):
    draw(folder / "a" / "9.png")
    (folder / "a" / "notes.txt").write_text("no picture")
    for name in ("0.png", "0.bin.png", "1.png", "2.png", "3.png", "4.nrm.png"):  # 0.bin.png is another form of 0.png
        draw(tmp_path / "pairs" / name)
    for number in range(4):
        (tmp_path / "pairs" / f"{number}.gt.txt").write_text(f"Zeile {number}")
    left_out = "1 pictures have no transcript and are left out, the first is"
    for place, told in ((folder, f"{left_out} a/9.png"), (tmp_path / "pairs", f"{left_out} 4.nrm.png")):
        caplog.clear()
        with caplog.at_level("WARNING", "dlhw"):
            read(place)
        assert f"{place}: {told}" in caplog.text
    (tmp_path / "pairs" / "3.png").rename(tmp_path / "pairs" / "3.PNG")
    assert len(read(tmp_path / "pairs").splits["test"].names) == 1
    (folder / "a" / "9.png").unlink()
    caplog.clear()
    read(folder)
    assert "no transcript" not in caplog.text


def test_pairs_of_picture_and_transcript(tmp_path):
    for number, ending in enumerate((".png", ".nrm.png", ".bin.png", ".webp") * 3):
        draw(tmp_path / f"book{number % 2}" / f"{number:04}{ending}")
        (tmp_path / f"book{number % 2}" / f"{number:04}.gt.txt").write_text(f"Zeile {number}\r\n", encoding="utf-8-sig")
    data = read(tmp_path)
    assert sorted(text for split in data.splits for text in texts(data, split) if "\N{REPLACEMENT CHARACTER}" not in text)
    assert sorted(name for lines in data.splits.values() for name in lines.names)[:2] == ["book0/0000.png", "book0/0002.bin.png"]
    assert {split: len(lines.names) for split, lines in data.splits.items()} == {"train": 9, "val": 1, "test": 2}


def test_an_archive_reads_like_its_folder(folder, tmp_path):
    with zipfile.ZipFile(tmp_path / "lines.zip", "w") as archive:
        for file in folder.rglob("*.*"):
            archive.write(file, Path("top") / file.relative_to(folder))
    one, other = read(folder), read(tmp_path / "lines.zip")
    for split in one.splits:
        assert np.array_equal(one.splits[split].inputs, other.splits[split].inputs)
        assert one.splits[split].groups == other.splits[split].groups


def test_a_random_split_depends_on_its_seed_and_on_nothing_else(folder):
    def names(**options: object) -> dict[str, tuple[str, ...]]:
        return {split: lines.names for split, lines in read(folder, split="line", **options).splits.items()}

    first = names(split_seed=1)
    assert names(split_seed=1, seed=5) == first != names(split_seed=2)
    assert {split: len(members) for split, members in first.items()} == {"train": 9, "val": 1, "test": 2}
    assert len({name for members in first.values() for name in members}) == 12


def test_whole_groups_are_held_out(folder):
    splits = read(folder, split="group", val_share=0.3, test_share=0.3).splits
    assert sorted(len(lines.names) for lines in splits.values()) == [4, 4, 4]
    assert len({lines.groups for lines in splits.values()}) == 3

    held_out = read(folder, test_groups=["b"]).splits
    assert set(held_out["test"].groups) == {"b"} and len(held_out["test"].names) == 4
    assert held_out["train"].names == ("a/0.png", "a/1.png", "c/0.png", "c/1.png")  # their test lines are left out
    by_line = read(folder, split="line", test_groups=["b"], val_share=0.25).splits
    assert set(by_line["test"].groups) == {"b"} and len(by_line["val"].names) == 2 and len(by_line["train"].names) == 6


def test_validation_is_cut_off_the_training_lines_of_a_table_without_any(folder):
    for _ in range(3):
        edit(folder, "\tval\t", "\ttrain\t")
    splits = read(folder, val_share=0.3).splits
    assert [len(splits[name].names) for name in ("train", "val", "test")] == [6, 3, 3]
    assert {name[-5] for name in splits["test"].names} == {"3"}  # what the table says
    assert read(folder, val_share=0.3, split_seed=1).splits["val"].names != splits["val"].names
    for _ in range(3):
        edit(folder, "\ttest\t", "\ttrain\t")
    with pytest.raises(UserError, match=r"no row of the table is for the split test; some are needed, or task\.data\.split=line"):
        read(folder)
    assert len(read(folder, test_groups="b").splits["test"].names) == 4  # one group needs no list


def test_a_book_is_one_group_however_its_folder_is_written(folder):
    edit(folder, "a/1.png", "./a/1.png")
    edit(folder, "b/1.png", "c/../b/1.png")
    assert set(read(folder).splits["train"].groups) == {"a", "b", "c"}
    edit(folder, "path\tsplit\ttext", "path\tgroup\ttext")
    edit(folder, "c/3.png\ttest", "c/3.png\t")
    with pytest.raises(UserError, match=r"labels\.tsv, row 13: the group is empty"):
        read(folder)


def test_one_unicode_form_on_both_sides(folder):
    table = folder / "labels.tsv"
    table.write_text(table.read_text().replace("a und 0", "a\N{COMBINING TILDE} und 0"), encoding="utf-8")
    assert texts(read(folder), "train")[0] == "\N{LATIN SMALL LETTER A WITH TILDE} und 0"
    assert texts(read(folder, normalization="NFD"), "train")[0] == "a\N{COMBINING TILDE} und 0"
    with pytest.raises(UserError, match="normalization=NFX is not one of NFC"):
        read(folder, normalization="NFX")


def test_checksums_follow_pictures_and_transcripts(folder):
    before = read(folder).checksums
    assert read(folder).checksums == before
    table = folder / "labels.tsv"
    table.write_text(table.read_text().replace("a und 0", "a und 1"))
    after = read(folder).checksums
    assert after["lines"] == before["lines"] and after["transcripts"] != before["transcripts"]
    draw(folder / "a" / "0.png", ink=40)
    assert read(folder).checksums["lines"] != before["lines"]


def edit(folder: Path, old: str, new: str) -> None:
    table = folder / "labels.tsv"
    table.write_text(table.read_text(encoding="utf-8").replace(old, new, 1), encoding="utf-8")


def test_what_is_wrong_is_named_with_file_and_row(folder):
    whole = (folder / "labels.tsv").read_bytes()
    for old, new, message in (
        ("b/1.png", "b/9.png", r"labels\.tsv, row 7: the picture b/9\.png is missing below"),
        ("b/1.png", "b/0.png", r"labels\.tsv, row 7: the picture b/0\.png stands in .*row 6 already"),
        ("b und 1", "", r"labels\.tsv, row 7: the transcript is empty"),
        ("b und 1", "  ", r"labels\.tsv, row 7: the transcript is empty"),
        ("b/1.png\ttrain", "b/1.png\tdev", r"labels\.tsv, row 7: split dev is not one of train, val, test"),
        ("b/1.png\ttrain\t", "b/1.png\t", r"labels\.tsv, row 7: 2 columns; 3 are right: path, split, text"),
        ("b und 1", '"b ""und"" 1"', r'labels\.tsv, row 7: "b ""und"" 1" has been put in quotes'),
        ("path\tsplit\ttext", "file\tsplit\ttext", r"labels\.tsv: its first row is file, split, text; a labels\.tsv with the columns path"),
        ("path\tsplit\ttext", "path,split,text", r"labels\.tsv: its first row is path,split,text;.*tabs between the columns"),
    ):
        (folder / "labels.tsv").write_bytes(whole)
        edit(folder, old, new)
        with pytest.raises(UserError, match=message):
            read(folder)
    (folder / "labels.tsv").write_bytes(whole.replace(b"b und 1", "b \N{LATIN SMALL LETTER U WITH DIAERESIS}nd 1".encode("latin-1")))
    with pytest.raises(UserError, match=r"labels\.tsv, row 7: not UTF-8 at byte 17 of the row"):
        read(folder)
    (folder / "labels.tsv").write_bytes(b"path\tsplit\ttext\n")
    with pytest.raises(UserError, match="has no rows below its head"):
        read(folder)
    (folder / "labels.tsv").unlink()
    with pytest.raises(UserError, match=re.escape("pairs NAME.png and NAME.gt.txt are right")):
        read(folder)
    (folder / "alone.gt.txt").write_text("text")
    with pytest.raises(UserError, match=r"alone\.gt\.txt: there is no picture alone\.png beside it"):
        read(folder)
    with pytest.raises(UserError, match=r"task\.data\.path=nowhere is missing: looked for .* and .*task=ocr_digits"):
        read(Path("nowhere"))


@pytest.mark.parametrize("content", [b"<!DOCTYPE html><html>404</html>", b"", None])
def test_what_is_no_picture_is_named(folder, content):
    victim = folder / "c" / "2.png"
    victim.write_bytes(victim.read_bytes()[:60] if content is None else content)
    with pytest.raises(UserError, match=r"not readable as a picture: c/2\.png \(.*labels\.tsv, row \d+\): "):
        read(folder)


@pytest.mark.parametrize(
    ("knob", "message"),
    [
        ({"height": 4}, "height=4 is out of range: at least 8"),
        ({"border": -1}, "border=-1"),
        ({"pool": 0}, "pool=0"),
        ({"split": "book"}, "split=book is not one of auto, column, line, group"),
        ({"val_share": 0.0}, "val_share=0.0 is out of range"),
        ({"val_share": 0.5, "test_share": 0.5}, "leave nothing to train on"),
        ({"test_groups": ["d"]}, "test_groups: d is no group of .*; they are a, b, c"),
        ({"test_groups": ["a", "b", "c"]}, "no line is left for the split"),
    ],
)
def test_knobs_out_of_range(folder, knob, message):
    with pytest.raises(UserError, match=message):
        read(folder, **knob)


def test_columns_of_splits_are_asked_for_where_there_are_none(folder):
    edit(folder, "path\tsplit\ttext", "path\tgroup\ttext")
    assert set(read(folder).splits["train"].groups) <= {"train", "val", "test"}
    with pytest.raises(UserError, match=r"split=column: the lines of .* come without splits"):
        read(folder, split="column")


def test_levels_are_stretched_and_light_writing_is_turned_dark(tmp_path):
    draw(tmp_path / "dark.png")
    reference = line_columns((tmp_path / "dark.png").read_bytes(), 20, 3)
    assert reference.shape == (66, 20) and (reference[:3] == 255).all() and reference[25, 7] == 0 and reference[10, 7] == 255
    for ink, paper in ((100, 180), (255, 0), (220, 90)):
        draw(tmp_path / "other.png", ink=ink, paper=paper)
        assert np.array_equal(line_columns((tmp_path / "other.png").read_bytes(), 20, 3), reference)
    draw(tmp_path / "empty.png", ink=250, paper=255)  # noise on an empty page stays noise
    assert line_columns((tmp_path / "empty.png").read_bytes(), 20, 3).min() >= 240
    draw(tmp_path / "grey.png", ink=175, paper=180)  # and a grey one is as white as its border
    grey = line_columns((tmp_path / "grey.png").read_bytes(), 20, 3)
    assert grey.min() >= 240 and np.median(grey) == 255


@pytest.mark.realdata
def test_earlyprint(data_root):
    data = LineData(path=str(data_root / "ocr/earlyprint"), height=40, batch_size=8, eval_batch_size=8)
    data.setup()
    assert {split: len(lines.names) for split, lines in data.splits.items()} == {"train": 735, "val": 105, "test": 210}
    assert sum(len(text) for text in texts(data, "test")) == 10_582
    assert len(data.spec.target) == 129 and set(data.splits["test"].groups) == {"1476", "1488", "1495", "1500", "1505", "1509", "1572"}
