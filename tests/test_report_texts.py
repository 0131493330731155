"""What the report says of stored texts: kinds of errors, stretches of them, rates by length, decoders, books, ensembles."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from harness import composed

from dlhw.edit_distance import count_edits
from dlhw.explain.views import letter
from dlhw.report.build import build
from dlhw.report.chapters import plans
from dlhw.report.chapters.f_ocr import R15, R16, WITH_LANGUAGE, books_table, gap
from dlhw.report.claims import load_claims
from dlhw.report.parts.texts import cer_by_length, errors, percent, stretches, texts_of, thirds
from dlhw.report.quantities import quantity
from dlhw.report.runs import Record, load_records, select
from dlhw.run_files import write_config

LINES = ["in deme iare", "do men schreef", "dusent vierhundert", "vn̄ viii", "wart dit bok ghemaket", "to lubeck"]
BOOKS = ["1476", "1476", "1488", "1488", "1500", "1500"]
RUN = {"status": "finished", "task": "ocr", "experiment": "ocr/ctc_vs_attention", "params": 7, "epochs": 2, "best_epoch": 1}
RUN |= {"monitor": "cer", "train_seconds": 9.0, "samples_per_second": 3.0, "precision": "32-true", "device": "cpu", "git": "1234567890ab"}


def test_edits_by_kind_and_those_that_stand_together() -> None:
    texts = (["abcdefghijkl", "abc", "xyz"], ["abijkl", "abbcc", "xqz"])
    found = errors(texts)
    assert (found.substituted, found.inserted, found.left_out, found.characters) == (1, 2, 6, 18)
    assert found.edits == count_edits(texts[0], [[text] for text in texts[1]]).characters
    assert found.long == 6  # cdefgh; the two letters that were doubled stand together, but are two
    assert stretches("abcdefghijkl", "abijkl") == [6]
    assert stretches("abcdefgh", "xbcdefgh") == [1] and stretches("abc", "abc") == []
    assert stretches("abcdefgh", "xbcyefgh") == [2]  # two right letters between
    assert stretches("abcdefgh", "xbcdyfgh") == [1, 1]  # three
    assert stretches("abcd", "abcdabcdx") == [5]


def test_rates_by_length() -> None:
    texts = (["ab", "abc", "abcd", "abcdef"], ["ax", "abc", "abxx", ""])
    assert cer_by_length(texts, [2, 4]) == pytest.approx([1 / 2, 2 / 7, 1])
    assert np.isnan(cer_by_length(texts, [1, 2])[0])
    assert thirds((["a" * length for length in range(1, 31)], [])) == [10, 20]


def test_letters_and_shares_as_text() -> None:
    assert [letter(character) for character in ("a", "", " ", "ß", "ꝛ", "\u0304")] == ["a", "(nothing)", "(space)", "ß", "U+A75B", "U+0304"]
    assert percent(0.1234) == "12.3 %" and percent(0.5, 0) == "50 %"


def rates(texts: list[str]) -> dict[str, float]:
    """CER of all lines and of each book."""
    parts = {"cer": range(6), **{f"cer:{book}": [i for i in range(6) if BOOKS[i] == book] for book in set(BOOKS)}}
    values = {name: count_edits([LINES[i] for i in rows], [[texts[i]] for i in rows]).cer for name, rows in parts.items()}
    return values | {name.replace("cer", "wer"): value for name, value in values.items()}


def write_run(
    folder: Path, model: str, seed: int, texts: list[str], decoded: dict[str, list[str]] | None = None, kept: bool = False
) -> None:
    """A finished run that has read ``texts``, with other decoders those of ``decoded``; ``kept`` without what was to be read."""
    folder.mkdir(parents=True)
    layers = [{"name": "all", "what": "LSTM", "params": 7}]
    spec = {"spec": "LineSpec", "height": 8, "target": ["a"], "target_length": 30, "normalization": "NFC", "border": 0}
    result: dict[str, Any] = {**RUN, "model": model, "seed": seed, "spec": spec, "layers": layers, "data": {"lines": "0" * 64}, "notes": {}}
    result |= {"val": {"cer": 0.5}, "last": {"cer": 0.5}, "train": {"loss": 1.0}, "test": {"loss": 0.1, **rates(texts)}}
    (folder / "result.json").write_text(json.dumps(result))
    write_config(folder, composed("experiment=ocr/ctc_vs_attention", f"model={model}", f"seed={seed}"))
    (folder / "metrics.csv").write_text("epoch,train/loss,val/cer\n0,2.0,0.7\n1,1.0,0.5\n")
    arrays = {
        "hypothesis": np.array(texts)[:, None],
        "group": np.array(BOOKS),
        "index": np.arange(6),
        "score": np.zeros((6, 1), np.float32),
    }
    np.savez(folder / "predictions.npz", **arrays, **({} if kept else {"reference": np.array(LINES)}))
    for name, other in (decoded or {}).items():
        (folder / "decoded").mkdir(exist_ok=True)
        (folder / "decoded" / f"{name}.json").write_text(json.dumps({"test": rates(other)}))


@pytest.fixture
def records(tmp_path: Path) -> list[Record]:
    place = tmp_path / "ocr" / "ctc_vs_attention"
    for seed in range(3):
        nearly = [line.replace(" ", "", 1) if (row + seed) % 3 == 0 else line for row, line in enumerate(LINES)]
        write_run(place / f"seed-{seed}", "crnn_ctc", seed, nearly, {"test_beam": nearly, WITH_LANGUAGE: LINES})
        skipped = [line[:3] if row == 4 else line for row, line in enumerate(nearly)]
        write_run(place / f"attention_seed-{seed}", "ocr_seq2seq", seed, skipped, {"test_beam": skipped})
    (place / "decoded").mkdir()
    for members, cer in ((2, 0.5), (3, 0.25)):
        told = {"ensemble": [f"elsewhere/seed-{seed}" for seed in range(members)], "test": {"cer": cer}}
        (place / "decoded" / f"ensemble-of-{members}-abcdef_{WITH_LANGUAGE}.json").write_text(json.dumps(told))
    return load_records(tmp_path)


def test_ensembles_are_found_by_their_members(records: list[Record]) -> None:
    for record in select(records, R15.where):
        assert quantity(record, f"ensemble({WITH_LANGUAGE}/cer)") == 0.25  # the largest that it is in
        assert quantity(record, f"ensemble({WITH_LANGUAGE}/members)") == 3
        assert np.isnan(quantity(record, "ensemble(test_beam/cer)")) and quantity(record, f"decoded({WITH_LANGUAGE}/cer)") == 0
    assert all(np.isnan(quantity(record, f"ensemble({WITH_LANGUAGE}/cer)")) for record in select(records, R16.where))


def test_books(records: list[Record]) -> None:
    [table] = books_table(records)
    assert [row[0] for row in table.rows] == ["1476", "1488", "1500", "all"]
    column = table.columns.index("R16 CER")
    truth = np.mean(
        [[record.result["test"][f"cer:{book}"] for book in ("1476", "1488", "1500")] for record in select(records, R16.where)], 0
    )
    assert [row[column] for row in table.rows[:3]] == [f"{value:.4f}" for value in truth]
    assert {row[table.columns.index("R15l CER")] for row in table.rows} == {"0.0000"}
    assert books_table([]) == []


def test_the_gap_between_two_systems_in_words(records: list[Record]) -> None:
    ctc, attention = (texts_of(select(records, row.where)) for row in (R15, R16))
    first, second = gap(ctc, attention)
    assert "attention decoder's edits 92 % stand together" in first and "of CTC's 0 %" in first  # 54 of 59: a line was cut in each run
    assert "100 % of the edits leave out a space or put one in" in first
    assert "On lines of up to" in second
    assert gap(ctc, ([], [])) == []


def test_the_chapter_of_lines(records: list[Record], tmp_path: Path) -> None:
    chapter = build(plans()["ocr"], records, load_claims())
    names = [table.name for section in chapter.sections for table in section.tables]
    assert {"ocr-books", "ocr-errors", "ocr-confusions", "ocr-claims"} <= set(names)
    assert all(row and all(cell.strip() for cell in row) for section in chapter.sections for table in section.tables for row in table.rows)
    claims = {row[0].removesuffix(" +"): row[2] for row in chapter.sections[-1].tables[0].rows}
    assert claims["F7"] == "does not hold" and claims["F4"] == "undecided (not run)"
    [more] = [table for section in chapter.sections for table in section.tables if table.name == "ocr-more"]
    assert [row[0] for row in more.rows] == ["R15", "R16", "R16c", "R16a", "digits", "digits-a"]  # each run once, however it was decoded


def test_the_chapter_of_committed_runs_needs_no_texts(tmp_path: Path) -> None:
    write_run(tmp_path / "seed-0", "crnn_ctc", 0, LINES, kept=True)
    chapter = build(plans()["ocr"], load_records(tmp_path), load_claims())
    names = [table.name for section in chapter.sections for table in section.tables]
    assert "ocr-books" in names and "ocr-errors" not in names and "ocr-confusions" not in names
