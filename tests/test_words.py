"""A run that spells, from its training to what is done with it: scoring, other decoders, an ensemble, new words, a look inside."""

import csv
import json
import random
import shutil
from pathlib import Path

import numpy as np
import pytest
from harness import Shell, Starter, result

from dlhw import command, decode
from dlhw.data.vocab import Vocab
from dlhw.edit_distance import cer, count_edits
from dlhw.errors import UserError
from dlhw.explain.command import main as explain
from dlhw.explain.views import read_views
from dlhw.predict.command import main as predict
from dlhw.report.runs import Record
from dlhw.results import finished_result, load_run
from dlhw.results.ensemble import ensemble_name
from dlhw.results.reference import COMPACT, keep, read_compact
from dlhw.run_folder import PREDICTIONS

pytestmark = pytest.mark.slow

LETTERS = {"k": "c", "æ": "a", "t͡ʃ": "ch", "s": "s", "i": "ee"}  # of a language with simple rules


def write_language(folder: Path) -> None:
    draw = random.Random(0)
    folder.mkdir(exist_ok=True)
    for split, n in (("train", 400), ("valid", 40), ("test", 60)):
        words = [draw.choices(list(LETTERS), k=draw.randint(2, 5)) for _ in range(n)]
        lines = [f"{' '.join(word)}\t{''.join(LETTERS[phone] for phone in word)}" for word in words]
        (folder / f"{split}.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")


SMALL = ("task=p2g", "trainer.accelerator=cpu", "task.data.batch_size=20", "model.hidden=24", "model.dropout=0.0", "optim.lr=0.01")


@pytest.fixture(scope="module")
def place(starter: Starter, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the language in p2g/ and three runs: Bahdanau attention with two seeds, and none."""
    shell = Shell(starter, tmp_path_factory.mktemp("words"))
    write_language(shell.folder / "p2g")
    words = ("experiment=p2g/attention", *SMALL, "trainer.max_epochs=12", "data_root=.", "-m")
    shell.run(*words, "model.attention=bahdanau", "seed=0,1")
    shell.run(*words, "model.attention=none", "seed=0")
    return shell.folder


@pytest.fixture
def runs(place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Copies of the runs; the working folder is the one with the language."""
    shutil.copytree(place, tmp_path / "words")
    monkeypatch.chdir(tmp_path / "words")
    monkeypatch.setenv("DLHW_DATA", ".")
    return sorted((tmp_path / "words" / "outputs" / "p2g" / "attention").iterdir())


@pytest.fixture
def run(runs: list[Path]) -> Path:
    """One of those with attention."""
    return next(folder for folder in runs if "none" not in folder.name)


def table(path: Path | str) -> list[dict[str, str]]:
    """The rows of a CSV."""
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def references() -> list[str]:
    return [line.split("\t")[1] for line in Path("p2g/test.tsv").read_text(encoding="utf-8").splitlines()]


def test_simple_rules_are_learnt_and_scored(run: Path) -> None:
    found = result(run)
    assert found["test"]["cer"] < 0.15
    assert found["monitor"] == "cer"
    assert found["val"]["cer"] == min(float(row["val/cer"]) for row in table(run / "metrics.csv"))
    with np.load(run / PREDICTIONS, allow_pickle=False) as arrays:
        assert arrays["reference"].tolist() == references()  # in the order of the file
        assert arrays["index"].tolist() == list(range(60))
        assert cer(arrays["reference"].tolist(), arrays["hypothesis"][:, 0].tolist()) == pytest.approx(found["test"]["cer"])
        wrong = arrays["reference"] != arrays["hypothesis"][:, 0]
    assert found["test"]["wer"] == pytest.approx(wrong.mean())


def test_other_decoders_leave_the_result_alone(runs: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    before = [(run / "result.json").read_bytes() for run in runs]
    assert decode.main(["outputs", "task.decode.method=nucleus", "task.decode.p=0.9", "task.decode.k=4"]) == 0
    assert [(run / "result.json").read_bytes() for run in runs] == before
    printed = capsys.readouterr().out
    assert "test/wer@4" in printed
    assert "(2)" in printed  # two seeds of one setting
    for run in runs:
        scored = json.loads((run / "decoded" / "test_nucleus_p-0.9_k-4.json").read_text())
        with np.load(run / "decoded" / "test_nucleus_p-0.9_k-4.npz", allow_pickle=False) as arrays:
            edits = count_edits(references(), arrays["hypothesis"].tolist())
        assert scored["test"]["cer"] == pytest.approx(edits.cer)
        assert scored["test"]["wer@4"] == pytest.approx(edits.wer_at_k)
        assert scored["test"]["loss"] == pytest.approx(result(run)["test"]["loss"], rel=1e-5)
        assert scored["decode"]["p"] == 0.9


def test_the_same_decoder_gives_the_same_score(run: Path) -> None:
    decode.main([str(run)])
    scored = json.loads((run / "decoded" / "test_greedy.json").read_text())["test"]
    assert scored == pytest.approx(result(run)["test"], rel=1e-5)
    decode.main([str(run), "--split", "val"])
    scored = json.loads((run / "decoded" / "val_greedy.json").read_text())["val"]
    assert scored == pytest.approx(result(run)["val"], rel=1e-5)


def test_a_run_with_another_decoder_is_another_run(place: Path, starter: Starter, tmp_path: Path) -> None:
    shell = Shell(starter, tmp_path)
    write_language(tmp_path / "p2g")
    shell.run(*SMALL, "model=seq2seq", "trainer=smoke", "task.decode.method=beam", "task.decode.width=4", "data_root=.")
    folder = shell.only_run()
    assert "method-beam" in folder.name
    assert result(folder)["test"].keys() == {"loss", "cer", "wer", "wer@3"}
    text = shell.run(*SMALL, "model=seq2seq", "task.decode.metod=beam", "data_root=.", status=1)
    assert "task.decode.metod" in text
    text = shell.run(*SMALL, "model=seq2seq", "task.decode.method=viterbi", "data_root=.", status=1)
    assert "task.decode.method=viterbi is out of range: one of greedy, beam, nucleus" in text
    text = shell.run("task=p2g", "model=cnn", "trainer.accelerator=cpu", "data_root=.", status=1)
    assert "cnn wants ImageSpec, got TextSpec" in text


def test_ensemble(runs: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert decode.main([*map(str, runs), "--ensemble", "task.decode.method=beam"]) == 0
    assert "ensemble of 3 test_beam: loss " in capsys.readouterr().out
    [found] = (runs[0].parent / "decoded").glob("ensemble-of-3-*_test_beam.json")
    scored = json.loads(found.read_text())
    assert scored["ensemble"] == [run.name for run in runs]
    assert scored["test"]["loss"] < np.mean([result(run)["test"]["loss"] for run in runs])
    decode.main([str(runs[0]), "--ensemble"])  # of one it is that one
    decode.main([str(runs[1]), "--ensemble"])  # has a name of its own
    [alone] = [
        found
        for path in (runs[0].parent / "decoded").glob("ensemble-of-1-*_test_greedy.json")
        if (found := json.loads(path.read_text()))["ensemble"] == [runs[0].name]
    ]
    assert alone["test"] == pytest.approx(result(runs[0])["test"], rel=1e-4)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["task.decode.metod=beam"], "task.decode.metod is not a setting of the decoders, which are method, "),
        (["task.decode.width=wide"], "task.decode.width=wide is of the wrong type: int is right"),
        (["task.decode.p=2"], r"task.decode.p=2 is out of range: above 0"),
        (["optim.lr=1"], "no finished run below .* has optim.lr=1: settings of decoders begin with task.decode"),
    ],
)
def test_wrong_settings_of_the_decoder(run: Path, words: list[str], told: str) -> None:
    with pytest.raises(UserError, match=told):
        decode.main([str(run), *words])


def test_other_data_is_refused(run: Path) -> None:
    with open("p2g/test.tsv", "a", encoding="utf-8") as file:
        file.write("k æ\tca\n")
    with pytest.raises(UserError, match="was trained on other data than what is there now"):
        decode.main([str(run)])


def test_spelling_new_words(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert predict([f"run={run}", "input=k æ t͡ʃ, /\u02c8sikæ/"]) == 0
    rows = table("predictions.csv")
    assert [row["spelling"] for row in rows] == ["cach", "seeca"]
    assert rows[1]["phones"] == "s i k æ"
    assert "k æ t͡ʃ: cach (" in capsys.readouterr().out
    for row in rows:
        letters = [letter.rpartition(":") for letter in row["letters"].split()]
        assert [name for name, _, _ in letters] == [*row["spelling"], "end"]
        assert np.prod([float(p) for _, _, p in letters]) == pytest.approx(float(row["probability"]), abs=0.005)
        assert len(row["others"].split()) == 2
        assert row["spelling"] not in row["others"].split()


def test_spelling_a_file(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("list.tsv").write_text("k æ s\tanything\n\n\u02c8\nq s æ\n", encoding="utf-8")
    assert predict([f"run={run}", "input=list.tsv", "output=out/spelt.csv", "method=greedy"]) == 1
    rows = table("out/spelt.csv")
    assert [row["word"] for row in rows] == ["k æ s", "q s æ"]
    assert rows[0]["spelling"] == "cas"
    assert rows[0]["others"] == ""
    told = capsys.readouterr().err
    assert "read as unknown: q (1)" in told
    assert "\u02c8 has no phones" in told


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("input=list.tsv", "input=list.tsv is missing"),
        ("input=,", "input=, holds no word"),
        ("input=latin", "input=latin cannot be read"),
        ("input=k width=0", "width=0"),
        ("input=k method=best", "method=best is out of range"),
    ],
)
def test_wrong_words(run: Path, word: str, told: str) -> None:
    Path("latin").write_bytes(b"caf\xe9\n")
    with pytest.raises(UserError, match=told):
        predict([f"run={run}", *word.split()])


def test_looking_inside(runs: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    for run in runs:
        explain([f"run={run}", "words=5"])
        told = capsys.readouterr().out
        rows = table(run / "explain" / "confusions.csv")
        scored = result(run)["test"]["cer"] * sum(map(len, references()))
        assert sum(int(row["times"]) for row in rows) == pytest.approx(scored)
        worst = table(run / "explain" / "worst.csv")
        assert len(worst) == 5
        edits = [int(row["edits"]) for row in worst]
        assert edits == sorted(edits, reverse=True)
        assert edits == [count_edits([row["true"]], [[row["written"]]]).characters for row in worst]
        has_attention = "none" not in run.name
        assert (run / "explain" / "attention.png").exists() == has_attention
        assert ("has no attention" in told) != has_attention
        explain([f"run={run}", "input=k æ t͡ʃ,[si]"])
        views = read_views(run / "explain" / "given" / "attention")
        assert [view.columns for view in views] == ([["k", "æ", "t͡ʃ"], ["s", "i"]] if has_attention else [])
        assert all(view.rows[-1] == "-" and np.allclose(view.weights.sum(axis=1), 1, atol=1e-3) for view in views)
        assert (run / "explain" / "given" / "attention.png").exists() == has_attention
        capsys.readouterr()
    with pytest.raises(UserError, match=r"input=\[\] holds no phones"):
        explain([f"run={runs[0]}", "input=[]"])
    with pytest.raises(UserError, match=r"input=none\.txt is missing"):
        explain([f"run={runs[0]}", "input=none.txt"])


def test_only_what_was_found_for_the_words_of_the_report_is_kept(runs: list[Path], tmp_path: Path) -> None:
    [run, *_] = [run for run in runs if "none" not in run.name]
    explain([f"run={run}", "words=2"])
    explain([f"run={run}", "input=k æ t͡ʃ"])  # a user's own, who may have taken it from the data
    for words in ("k æ t͡ʃ,s i", "k æ"):
        explain([f"run={run}", f"output={run}/explain/report", f"input={words}"])
        [kept] = keep([run], tmp_path / "reference")
    assert [str(path.relative_to(kept)) for path in (kept / "explain").rglob("*.*")] == ["explain/report/given/attention/1.csv"]


def test_the_interval_of_a_kept_run_is_that_of_the_run(run: Path, tmp_path: Path) -> None:
    [kept] = keep([run], tmp_path / "reference")
    here, there = (Record(folder, finished_result(folder)) for folder in (run, kept))
    assert "reference" in here.predictions and "reference" not in there.predictions
    ends = here.interval("test/cer")
    assert ends is not None and ends[0] <= here.result["test"]["cer"] <= ends[1]
    assert there.interval("test/cer") == pytest.approx(ends)
    assert here.interval("params") is there.interval("params") is here.interval("test/acc") is None


def test_attention_is_on_the_phone_that_is_written(run: Path) -> None:
    """In this language the first letter is that of the first phone, and the end comes after the last one."""
    import torch

    from dlhw.decoding import Decode
    from dlhw.explain.words import attention_weights

    loaded = load_run(run)
    task = loaded.task
    source = torch.from_numpy(Vocab(loaded.spec.source).array([["k", "æ", "s", "k"], ["s", "k"]], end=False))
    ids = task.head.decode(task.evaluated, source, Decode()).ids[:, 0]  # type: ignore[union-attr,operator]
    weights = attention_weights(task.evaluated, source, ids)
    assert weights is not None
    assert weights.shape == (2, ids.shape[1], 4)
    np.testing.assert_allclose(weights.sum(axis=2), 1, rtol=1e-5)
    assert not weights[1, :, 2:].any()


def test_scores_of_other_decoders_are_kept(runs: list[Path], tmp_path: Path) -> None:
    decode.main([str(runs[0])])
    decode.main([*map(str, runs), "--ensemble"])
    for folder in keep(runs, tmp_path / "reference"):
        with np.load(runs[0].parent / folder.name / PREDICTIONS, allow_pickle=False) as arrays:
            kept = read_compact(folder / COMPACT)
            assert set(arrays) - set(kept) == {"reference"}  # the data's own, which is not kept
            assert all(np.array_equal(kept[name], arrays[name]) and kept[name].dtype == arrays[name].dtype for name in kept)
    reference = tmp_path / "reference" / "p2g" / "attention"
    names = [str(path.relative_to(reference)) for path in sorted(reference.rglob("decoded/*"))]
    assert sorted(names) == sorted([f"{runs[0].name}/decoded/test_greedy.json", f"decoded/{ensemble_name(runs)}_test_greedy.json"])


def test_help(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        command.run(lambda arguments: decode.main(["--help"]))
    assert "--ensemble" in capsys.readouterr().out
