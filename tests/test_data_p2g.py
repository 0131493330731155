"""Pronunciations and spellings: what is read, and that what is wrong is named with its line before anything is trained."""

from pathlib import Path

import numpy as np
import pytest

from dlhw.data.p2g import P2GData, read_pairs
from dlhw.errors import UserError
from dlhw.specs import EOS, UNKNOWN

WORDS = {"train": ["k æ t\tcat", "d ɒ g\tdog"], "valid": ["t æ k\ttac"], "test": ["k ɒ ʒ\tcož"]}


def written(folder: Path, **changed: bytes) -> Path:
    for split, lines in WORDS.items():
        (folder / f"{split}.tsv").write_bytes(changed.get(split, "\n".join(lines).encode() + b"\n"))
    return folder


def read(folder: Path, **options: str) -> P2GData:
    data = P2GData(path=str(folder), batch_size=2, eval_batch_size=2, **options)
    data.setup()
    return data


def test_splits_and_vocabularies(tmp_path: Path) -> None:
    data = read(written(tmp_path))
    assert data.spec.source == ("d", "g", "k", "t", "æ", "ɒ")
    assert data.spec.target == ("a", "c", "d", "g", "o", "t")
    assert (data.spec.source_length, data.spec.target_length) == (3, 3)
    np.testing.assert_array_equal(data.splits["train"].inputs, [[6, 8, 7], [4, 9, 5]])
    np.testing.assert_array_equal(data.splits["train"].targets, [[5, 4, 9, EOS], [6, 8, 7, EOS]])
    np.testing.assert_array_equal(data.splits["test"].inputs, [[6, 9, UNKNOWN]])
    np.testing.assert_array_equal(data.splits["test"].targets, [[5, 8, UNKNOWN, EOS]])
    assert data.notes == {"unseen": {"val": {"phones": {}, "letters": {}}, "test": {"phones": {"ʒ": 1}, "letters": {"ž": 1}}}}
    assert len(data.checksums) == 3


def test_unseen_symbols_are_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO", "dlhw"):
        read(written(tmp_path))
    assert [record.getMessage().partition(";")[0] for record in caplog.records] == [
        "test has phones that the training split lacks: ʒ (1)",
        "test has letters that the training split lacks: ž (1)",
    ]


def test_both_sides_are_normalized(tmp_path: Path) -> None:
    folder = written(tmp_path, train="e\u0303\te\u0301\n".encode())
    assert read(folder).spec.target == ("é",)
    assert read(folder).spec.source == ("ẽ",)
    assert read(folder, normalization="NFD").spec.target == ("e", "\u0301")


def test_byte_order_mark_and_windows_line_ends(tmp_path: Path) -> None:
    path = tmp_path / "words.tsv"
    path.write_bytes(b"\xef\xbb\xbfk a\tca\r\nb\tb\r\n")
    assert read_pairs(path) == [(["k", "a"], "ca"), (["b"], "b")]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"k a\tca\nk a ca\n", "line 2 has 1 columns"),
        (b"k a\tca\tx\n", "line 1 has 3 columns"),
        (b"k a\tca\n\nb\tb\n", "line 2 has 1 columns"),
        (b"k a\tca\nk a\t \n", "line 2 has no spelling"),
        (b" \tca\n", "line 1 has no phones"),
        (b"k a\tca\nk\tcaf\xe9\n", r"line 2 is not UTF-8 \(byte 6\)"),
        (b"<html>\n<body>", "line 1 has 1 columns"),
        (b"", "holds no words"),
    ],
)
def test_wrong_files_are_named_with_their_line(tmp_path: Path, content: bytes, told: str) -> None:
    with pytest.raises(UserError, match=f"valid.tsv,? {told}"):
        read(written(tmp_path, valid=content))


def test_missing_files_and_folders(tmp_path: Path) -> None:
    (written(tmp_path) / "test.tsv").unlink()
    with pytest.raises(UserError, match=r"test\.tsv cannot be read \(No such file"):
        read(tmp_path)
    with pytest.raises(UserError, match=r"task\.data\.path=nowhere is missing: looked for .*nowhere"):
        read(Path("nowhere"))
    with pytest.raises(UserError, match=r"task\.data\.normalization=NFX"):
        read(tmp_path, normalization="NFX")


@pytest.mark.realdata
def test_course_split(data_root: Path) -> None:
    data = P2GData(path="p2g", data_root=str(data_root), batch_size=64, eval_batch_size=64)
    data.setup()
    assert [len(data.splits[split].targets) for split in ("train", "val", "test")] == [10_000, 1_000, 1_000]
    assert (len(data.spec.source), len(data.spec.target)) == (103, 89)
    assert data.notes["unseen"]["test"] == {"phones": {"ʉ": 1, "ɬ": 1}, "letters": {"á": 1, "Ó": 1, "ð": 1}}
