"""Predictions for RNA in files and on the command line, and scans of transcripts."""

import csv
import gzip
import json
import shutil
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from harness import Shell, Starter
from rbp_tables import random_rna, table, write_table

from dlhw.data.rna import encode, one_hot
from dlhw.errors import UserError
from dlhw.predict.command import main
from dlhw.predict.sequences import bedgraph, starts
from dlhw.results import load_run
from dlhw.run_folder import PREDICTIONS, RESULT


@pytest.fixture(scope="module")
def run(starter: Starter, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A short run on two proteins."""
    shell = Shell(starter, tmp_path_factory.mktemp("predicting"))
    write_table(shell.folder / "norm_data.txt", table(200, experiments=2))
    words = ("task=rbp", "task.data.table=norm_data.txt", "task.data.metadata=null", "task.data.protein=all", "model=rbp_cnn")
    shell.run(*words, "trainer=smoke", "trainer.accelerator=cpu", "trainer.precision=32-true")
    return shell.only_run()


def predict(run: Path, source: Path | str, output: Path, *more: str) -> int:
    return main([f"run={run}", f"input={source}", f"output={output}", "device=cpu", *more])


def rows_of(path: Path) -> list[dict[str, str]]:
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def values_of(rows: list[dict[str, str]]) -> np.ndarray:
    return np.array([[float(row["EXP1"]), float(row["EXP2"])] for row in rows])


def directly(run: Path, sequences: list[str]) -> np.ndarray:
    with torch.no_grad():
        return load_run(run).task.evaluated(*one_hot(torch.from_numpy(encode(sequences, 41, "")))).numpy()


def test_the_test_probes_as_fasta_give_the_stored_predictions(run, tmp_path, capsys):
    frame = table(200, experiments=2)
    probes = frame["RNA_Seq"][frame["Probe_Set"] == "SetB"].tolist()
    text = "".join(f">probe{number} of set B\n{sequence[:20]}\n{sequence[20:]}\n" for number, sequence in enumerate(probes))
    (tmp_path / "probes.fa").write_text(text)
    assert predict(run, tmp_path / "probes.fa", tmp_path / "out.csv", "batch_size=7") == 0
    rows = rows_of(tmp_path / "out.csv")
    assert list(rows[0]) == ["name", "start", "end", "sequence", "EXP1", "EXP2"]
    assert [row["name"] for row in rows] == [f"probe{number}" for number in range(100)] and [row["sequence"] for row in rows] == probes
    assert all((row["start"], row["end"]) == ("0", str(len(row["sequence"]))) for row in rows)
    with np.load(run / PREDICTIONS) as stored:
        np.testing.assert_allclose(values_of(rows), stored["predicted"], atol=1e-5)
    assert capsys.readouterr().out == f"{tmp_path / 'out.csv'}: 100 of 100 sequences, in standard deviations of the training probes\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.csv", "probes.fa"]  # no transcripts, no scan


def test_the_unit_is_that_of_what_was_learnt(run, tmp_path, capsys):
    shutil.copytree(run, tmp_path / "run")
    config = tmp_path / "run" / "config.yaml"
    config.write_text(config.read_text().replace("normal_scores: false", "normal_scores: true"))
    assert predict(tmp_path / "run", "ACGU" * 9, tmp_path / "out.csv") == 0
    assert capsys.readouterr().out.endswith("1 of 1 sequences, in normal scores of the training probes\n")


def test_files_of_each_kind_say_the_same(run, tmp_path):
    sequences = random_rna(np.random.default_rng(0), 3)
    as_dna = "\r\n".join(sequences).replace("U", "t") + "\r\n\r\n"
    (tmp_path / "lines.txt").write_bytes(as_dna.encode())
    (tmp_path / "bom.txt").write_bytes(b"\xef\xbb\xbf" + "\n".join(sequences).encode())
    (tmp_path / "records.fa.gz").write_bytes(gzip.compress("".join(f"\n>line{n}\n{s}\n" for n, s in enumerate(sequences, 1)).encode()))
    found = []
    for name in ("lines.txt", "bom.txt", "records.fa.gz"):
        assert predict(run, tmp_path / name, tmp_path / "out.csv") == 0
        found.append((tmp_path / "out.csv").read_text())
    assert found[0] == found[1] == found[2]
    rows = rows_of(tmp_path / "out.csv")
    assert [(row["name"], row["sequence"]) for row in rows] == [(f"line{n}", s) for n, s in enumerate(sequences, 1)]
    np.testing.assert_allclose(values_of(rows), directly(run, sequences), atol=1e-5)
    predict(run, sequences[1].lower(), tmp_path / "one.csv")
    [alone] = rows_of(tmp_path / "one.csv")
    assert {**alone, "name": "line2"} == rows[1]


def test_a_transcript_is_scanned(run, tmp_path, capsys):
    """Each window as if it were a probe; the last one ends with the transcript."""
    long, short = random_rna(np.random.default_rng(1), 2, (100, 100))
    short = short[:12]
    (tmp_path / "t.fa").write_text(f">long a transcript\n{long}\n>short\n{short}\n")
    assert predict(run, tmp_path / "t.fa", tmp_path / "out.csv", "stride=7", "bedgraph=EXP2", "batch_size=3") == 0
    rows = rows_of(tmp_path / "out.csv")
    windows = [(begin, begin + 41) for begin in (0, 7, 14, 21, 28, 35, 42, 49, 56, 59)]
    assert [(row["name"], int(row["start"]), int(row["end"])) for row in rows] == [*(("long", *w) for w in windows), ("short", 0, 12)]
    sequences = [*(long[begin:end] for begin, end in windows), short]
    assert [row["sequence"] for row in rows] == sequences
    values = values_of(rows)
    np.testing.assert_allclose(values, directly(run, sequences), atol=1e-5)
    summary = pd.read_csv(tmp_path / "out.transcripts.csv").set_index("name")
    assert summary[["length", "windows"]].to_numpy().tolist() == [[100, 10], [12, 1]]
    for column, protein in enumerate(("EXP1", "EXP2")):
        own = values[:10, column]
        assert summary.loc["long", f"{protein} maximum"] == pytest.approx(own.max())
        assert summary.loc["long", f"{protein} mean"] == pytest.approx(own.mean(), rel=1e-4)
        assert summary.loc["long", f"{protein} start"] == windows[own.argmax()][0]
    track = (tmp_path / "out.EXP2.bedgraph").read_text().splitlines()
    assert track[0].startswith('track type=bedGraph name="EXP2" description="')
    lines = [line.split("\t") for line in track[1:]]
    for name, length, rows_there in (("long", 100, slice(0, 10)), ("short", 12, slice(10, 11))):
        spans = [(int(begin), int(end), float(value)) for of, begin, end, value in lines if of == name]
        assert spans[0][0] == 0 and spans[-1][1] == length and all(a[1] == b[0] for a, b in pairwise(spans))
        by_place = np.repeat([value for *_, value in spans], [end - begin for begin, end, _ in spans])
        bounds = windows if name == "long" else [(0, 12)]
        for place in range(length):
            covering = [v for (begin, end), v in zip(bounds, values[rows_there, 1], strict=True) if begin <= place < end]
            assert by_place[place] == pytest.approx(np.mean(covering), abs=1e-5)
    assert (
        "out.csv, " in (output := capsys.readouterr().out) and "out.EXP2.bedgraph, " in output and "out.transcripts.csv: 2 of 2" in output
    )


def test_bedgraph_of_all_proteins(run, tmp_path):
    predict(run, "ACGU" * 20, tmp_path / "out.csv", "bedgraph=all")
    names = {"out.csv", "out.transcripts.csv", "out.EXP1.bedgraph", "out.EXP2.bedgraph"}
    assert {path.name for path in tmp_path.iterdir()} == names
    assert len(rows_of(tmp_path / "out.csv")) == 40


@pytest.mark.parametrize("length", [1, 41, 42, 82, 83, 200])
@pytest.mark.parametrize("stride", [1, 5, 41])
def test_windows_cover_everything_once_they_can(length, stride):
    begins = starts(length, 41, stride)
    assert len({*begins.tolist()}) == len(begins)
    assert {place for begin in begins for place in range(begin, min(begin + 41, length))} == set(range(length))
    assert (begins + 41 <= max(length, 41)).all() and (np.diff(begins) <= stride).all() and (np.diff(begins) > 0).all()


def test_bedgraph_by_hand():
    lines = list(bedgraph("chr", np.array([0, 2]), np.array([4, 6]), np.array([1.0, 4.0])))
    assert lines == ["chr\t0\t2\t1\n", "chr\t2\t4\t2.5\n", "chr\t4\t6\t4\n"]


def test_what_is_no_rna_is_named_and_the_others_are_predicted(run, tmp_path, capsys):
    (tmp_path / "p.fa").write_text(">good\nACGUN\n>protein\nMKLE\n>empty\n>gap one\nAC-GU\n")
    assert predict(run, tmp_path / "p.fa", tmp_path / "out.csv") == 1
    assert [row["name"] for row in rows_of(tmp_path / "out.csv")] == ["good"]
    errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert [line.split()[1] for line in errors] == ["protein", "empty", "gap"]
    assert errors[0] == "error: protein has letters that are no bases ('E', 'K', 'L', 'M'): A, C, G, U (or T) and N are right; left out"
    assert errors[1] == "error: empty is empty; left out"


def test_a_sequence_far_shorter_than_the_probes_is_warned_of_by_name(run, tmp_path, capsys):
    (tmp_path / "p.fa").write_text(f">tiny\nACGU\n>short\n{'A' * 19}\n>long\n{'A' * 20}\n")
    assert predict(run, tmp_path / "p.fa", tmp_path / "out.csv") == 0
    [warning] = capsys.readouterr().err.splitlines()
    assert warning.startswith("warning: tiny (4), short (19): less than 20 nucleotides")
    assert len(rows_of(tmp_path / "out.csv")) == 3


def test_simulated_data_is_named_in_all_that_is_written(run, tmp_path, capsys):
    made_up = shutil.copytree(run, tmp_path / "run")
    stored = json.loads((made_up / RESULT).read_text())
    (made_up / RESULT).write_text(json.dumps(stored | {"notes": {"simulated": True}}))
    assert predict(made_up, "ACGU" * 12, tmp_path / "out.csv", "bedgraph=EXP1") == 0
    assert list(rows_of(tmp_path / "out.csv")[0])[4:] == ["EXP1 (simulated)", "EXP2 (simulated)"]
    assert (tmp_path / "out.EXP1.bedgraph").read_text().startswith('track type=bedGraph name="EXP1 (simulated)"')
    assert "EXP1 (simulated) maximum" in (tmp_path / "out.transcripts.csv").read_text() and "(simulated)\n" in capsys.readouterr().out


BAD = {
    "headless.fa": (b"ACGU\nACGU\n>second\nACGU\n", "looks like FASTA without its first header: line 3 is the first that begins with '>'"),
    "none.fa": (None, r"input=\S+none\.fa is missing: a FASTA file, a text file with a sequence a line, or one sequence"),
    "empty.txt": (b"\n \n", "holds no sequence"),
    "header.fa": (b">only a header\n", "no sequence is readable as RNA, so nothing was written"),
    "words.txt": (b"hello\nworld\n", "no sequence is readable as RNA"),
    "twice.fa": (b">a 1\nACG\n>a 2\nACU\n", "has two sequences called 'a': each needs a name of its own"),
    "picture.png": (b"\x89PNG\r\n\x1a\n\xff\xfe", "cannot be read as text"),
    "cut.fa.gz": (gzip.compress(b">a\nACGU\n" * 500)[:-15], "cannot be read as text"),
    "plain.fa.gz": (b">a\nACGU\n", "cannot be read as text"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_leaves_the_old_output_as_it_was(run, tmp_path, name):
    (tmp_path / "out.csv").write_text("before")
    content, message = BAD[name]
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=message):
        predict(run, tmp_path / name, tmp_path / "out.csv")
    assert (tmp_path / "out.csv").read_text() == "before" and not list(tmp_path.glob("*.writing"))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["stride=0"], "stride=0 is out of range: at least 1 nucleotide"),
        (["stride=42"], "stride=42 is out of range: 1 to 41 nucleotides, the length of a window"),
        (["bedgraph=EXP1,FOX"], "bedgraph=FOX is none of the proteins: all, or some of EXP1, EXP2, are right"),
        (["window=5"], "window: no such key; there are run=, input=, output=, device=, batch_size=, stride=, bedgraph=, proteins="),
    ],
)
def test_wrong_keys(run, tmp_path, words, message):
    with pytest.raises(UserError, match=message):
        predict(run, "ACGU", tmp_path / "out.csv", *words)


def test_a_sequence_that_is_longer_than_a_file_name(run, tmp_path):
    assert predict(run, "ACGU" * 2000, tmp_path / "out.csv", "stride=41") == 0
    assert len(rows_of(tmp_path / "out.csv")) == 196
