"""OCR from a folder of lines to predictions, tables and figures, by CTC and by attention."""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from harness import Shell, Starter, assert_same_run
from omegaconf import OmegaConf
from PIL import Image

from dlhw.data.line_pictures import LineSplit
from dlhw.data.ocr_digits import DigitLinesData
from dlhw.data.vocab import Vocab
from dlhw.edit_distance import count_edits
from dlhw.errors import UserError
from dlhw.models.crnn import CRNN
from dlhw.predict.lines import texts_beside
from dlhw.results.__main__ import main as results
from dlhw.specs import LineSpec
from dlhw.tasks.lines import refuse_short_lines

SMALL = (
    "trainer.max_epochs=2",
    "trainer.steps_per_epoch=4",
    "trainer.accelerator=cpu",
    "trainer.precision=32-true",
    "task.data.height=16",
    "task.data.border=2",
    "task.data.batch_size=8",
    "model.channels=[4,8]",
    "model.pools=[[2,2],[4,1]]",
    "model.hidden=12",
    "model.layers=1",
    "task.module.augment={shear:0.2,elastic:1.0,noise:0.05,weight:0.3}",
)


def rows_of(table: Path, separator: str = ",") -> list[dict[str, str]]:
    with open(table, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file, delimiter=separator))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Lines of handwritten digits as files, in two books."""
    place = tmp_path_factory.mktemp("pictures") / "lines"
    data = DigitLinesData(height=16, border=0, train_lines=40, eval_lines=12, longest=5, batch_size=8, eval_batch_size=8)
    data.setup()
    rows = ["path\tsplit\ttext"]
    for split, lines in data.splits.items():
        for row, ids in enumerate(lines.targets.tolist()):
            name = f"book{row % 2}/{split}{row:02}.png"
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(lines.picture(row)).save(place / name)
            rows.append(f"{name}\t{split}\t{Vocab(data.spec.target).decode(ids)}")
    (place / "labels.tsv").write_text("\n".join(rows) + "\n")
    return place


@pytest.fixture(scope="module")
def shell_in(starter: Starter, tmp_path_factory: pytest.TempPathFactory) -> Shell:
    return Shell(starter, tmp_path_factory.mktemp("runs"))


@pytest.fixture(scope="module", params=["crnn_ctc", "ocr_seq2seq"])
def run(request: pytest.FixtureRequest, shell_in: Shell, folder: Path) -> Path:
    """A short training of each network."""
    more = ["model.decoder=12"] if request.param == "ocr_seq2seq" else []
    shell_in.run("task=ocr", f"task.data.path={folder}", f"model={request.param}", *SMALL, *more)
    [found] = [place for place in shell_in.runs() if request.param in str(place)]
    return found


def test_a_run_keeps_texts_groups_and_pictures(run, folder):
    with np.load(run / "predictions.npz") as file:
        stored = dict(file)
    table = {row["path"]: row["text"] for row in rows_of(folder / "labels.tsv", "\t") if row["split"] == "test"}
    assert dict(zip(stored["picture"].tolist(), stored["reference"].tolist(), strict=True)) == table
    assert all(picture.startswith(group) for picture, group in zip(stored["picture"], stored["group"], strict=True))
    result = json.loads((run / "result.json").read_text())
    edits = count_edits(stored["reference"].tolist(), stored["hypothesis"].tolist())
    assert result["test"]["cer"] == pytest.approx(edits.cer) and result["test"]["wer"] == pytest.approx(edits.wer)
    assert set(result["data"]) == {"lines", "transcripts"}
    assert result["notes"]["decoders"] == {"val": "greedy", "test": "greedy"}
    for book in ("book0", "book1"):  # each on its own
        mine = stored["group"] == book
        edits = count_edits(stored["reference"][mine].tolist(), stored["hypothesis"][mine].tolist())
        assert result["test"][f"cer:{book}"] == pytest.approx(edits.cer) and result["test"][f"wer:{book}"] == pytest.approx(edits.wer)


def test_other_models_and_experiments_are_other_settings(run, tmp_path, capsys):
    for name, model, experiment in (("a", "crnn_ctc", "x"), ("b", "other", "x"), ("c", "crnn_ctc", "y"), ("d", "crnn_ctc", "x")):
        folder = shutil.copytree(run, tmp_path / name)
        result = json.loads((folder / "result.json").read_text()) | {"model": model, "experiment": experiment, "finished": name}
        (folder / "result.json").write_text(json.dumps(result))
        config = OmegaConf.load(folder / "config.yaml")
        if model == "other":
            config.model.knob = 3  # which the first does not have
        OmegaConf.save(config, folder / "config.yaml")
    assert results(["groups", str(tmp_path)]) == 0
    told = [line for line in capsys.readouterr().out.splitlines() if line.endswith("runs")]
    assert sorted(line.rpartition(", ")[2] for line in told) == ["1 runs", "1 runs", "2 runs"], told


def test_the_table_of_groups_adds_up(run, capsys):
    assert results(["groups", str(run), "--csv", str(run.parent / "books.csv")]) == 0
    assert "book0" in capsys.readouterr().out
    rows = {row["group"]: row for row in rows_of(run.parent / "books.csv")}
    assert set(rows) == {"book0", "book1", "all"}
    sizes = {name: int(row["characters"]) for name, row in rows.items()}
    weighted = sum(float(rows[name]["cer"]) * sizes[name] for name in ("book0", "book1")) / sizes["all"]
    assert float(rows["all"]["cer"]) == pytest.approx(weighted)
    assert float(rows["all"]["cer"]) == pytest.approx(json.loads((run / "result.json").read_text())["test"]["cer"])
    with np.load(run / "predictions.npz") as file:
        stored = dict(file)
    stored["group"] = np.where(stored["group"] == "book0", "all", "book1")
    for place in ("a", "b"):
        (run.parent / place).mkdir(exist_ok=True)
        np.savez(run.parent / place / "test_greedy.npz", **stored)
    stored["hypothesis"][:] = ""
    np.savez(run.parent / "test_beam.npz", **stored)
    files = [str(run.parent / name) for name in ("a/test_greedy.npz", "b/test_greedy.npz", "test_beam.npz")]
    assert results(["groups", *files, "--csv", str(run.parent / "books.csv")]) == 0
    found = [(row["setting"], row["group"], float(row["cer"])) for row in rows_of(run.parent / "books.csv")]
    assert [cer for _, group, cer in found[:3] if group == "all"] == pytest.approx([float(rows[name]["cer"]) for name in ("book0", "all")])
    assert {(setting, cer) for setting, _, cer in found[3:]} == {("test_beam.npz, 1 files", 1.0)}  # another decoder is no seed
    (run.parent / "other.npz").write_bytes(b"")
    with pytest.raises(UserError, match="cannot be read"):
        results(["groups", str(run.parent / "other.npz")])


def test_predictions_of_files_are_those_of_the_test_split(run, folder, tmp_path, capsys):
    from dlhw.predict.command import main

    test = tmp_path / "test"
    shutil.copytree(folder, test, ignore=shutil.ignore_patterns("train*", "val*"))
    (test / "book0" / "broken.png").write_bytes(b"<html>404</html>")
    (test / "book1" / "test01.gt.txt").write_text("a transcript is no picture")
    with np.load(run / "predictions.npz") as file:
        expected = dict(
            zip(file["picture"].tolist(), zip(file["hypothesis"][:, 0].tolist(), np.exp(file["score"][:, 0]), strict=True), strict=True)
        )
    output = tmp_path / "out.csv"
    assert main([f"run={run}", f"input={test}", f"output={output}", "batch_size=5", "beside=true", "device=cpu"]) == 1
    assert "error: book0/broken.png is not readable as a picture (of no known type); left out" in capsys.readouterr().err
    rows = rows_of(output)
    assert {row["file"] for row in rows} == set(expected)
    for row in rows:
        text, probability = expected[row["file"]]
        assert row["text"] == text and float(row["probability"]) == pytest.approx(probability, rel=1e-3, abs=1e-9)
        letters = json.loads(row["letters"])
        assert "".join(letter for letter, _ in letters) == text and all(0 <= confidence <= 1 for _, confidence in letters)
        assert (test / row["file"]).with_suffix(".txt").read_text() == text + "\n"
    assert (test / "book1" / "test01.gt.txt").read_text() == "a transcript is no picture"
    one = test / "book0" / "test00.png"
    assert main([f"run={run}", f"input={one}", f"output={output}", "method=beam", "device=cpu"]) == 0
    assert len(rows_of(output)) == 1


def test_predictions_with_a_language_model_are_those_of_the_decoder(run, folder, tmp_path, capsys):
    from dlhw.decode import main as decode
    from dlhw.predict.command import main

    test, output = tmp_path / "test", tmp_path / "out.csv"
    shutil.copytree(folder, test, ignore=shutil.ignore_patterns("train*", "val*"))
    words = ["method=beam", "width=6", "lm_weight=0.5", "lm_order=3"]
    call = [f"run={run}", f"input={test}", f"output={output}", "device=cpu"]
    if "crnn" not in str(run):
        with pytest.raises(UserError, match=r"lm_weight=0\.5 would do nothing"):
            main([*call, *words])
        return
    assert main([*call, *words]) == 0
    assert "read by beam (width=6, k=1, lm_weight=0.5, lm_order=3, symbol_bonus=0.0)" in capsys.readouterr().out
    assert decode([str(run), *(f"task.decode.{word}" for word in words)]) == 0
    with np.load(run / "decoded" / "test_beam_width-6_lm_weight-0.5_lm_order-3.npz") as file:
        expected = dict(zip(file["picture"].tolist(), file["hypothesis"][:, 0].tolist(), strict=True))
        plain = file["hypothesis"][:, 0].tolist()
    assert {row["file"]: row["text"] for row in rows_of(output)} == expected
    assert main([*call, "method=beam", "width=6"]) == 0
    assert [row["text"] for row in rows_of(output)] != plain  # the model changes something
    assert main([*call, "method=beam", "width=1", "symbol_bonus=5"]) == 0  # narrower than the run's own k
    assert all(0 <= float(row["probability"]) <= 1 for row in rows_of(output))  # of the text, without the bonus
    with pytest.raises(UserError, match=r"lm_weight=0\.5 would do nothing: a network with CTC with method=greedy"):
        main([*call, "lm_weight=0.5"])
    assert main(call) == 0 and "read by greedy\n" in capsys.readouterr().out  # as it was tested


def test_a_run_that_was_tested_with_a_language_model_is_used_with_it(shell_in, folder, tmp_path, capsys):
    from dlhw.predict.command import main

    own = ("task.decode.method=beam", "task.decode.width=4", "task.decode.lm_weight=0.7")
    shell_in.run("task=ocr", f"task.data.path={folder}", "model=crnn_ctc", *SMALL, *own)
    [run] = [place for place in shell_in.runs() if "lm_weight" in str(place)]
    test, output = tmp_path / "test", tmp_path / "out.csv"
    shutil.copytree(folder, test, ignore=shutil.ignore_patterns("train*", "val*"))
    assert main([f"run={run}", f"input={test}", f"output={output}", "device=cpu"]) == 0
    assert "read by beam (width=4, k=1, lm_weight=0.7, lm_order=5, symbol_bonus=0.0)" in capsys.readouterr().out
    with np.load(run / "predictions.npz") as file:
        expected = dict(zip(file["picture"].tolist(), file["hypothesis"][:, 0].tolist(), strict=True))
    assert {row["file"]: row["text"] for row in rows_of(output)} == expected


def test_names_of_the_texts_beside_pictures():
    names = ["p1.line01.png", "p1.line02.png", "a/p1.nrm.png", "b.JPG", "scan.v2", "p1.bin.jpeg"]
    assert [*texts_beside(names).values()] == ["p1.line01.txt", "p1.line02.txt", "a/p1.txt", "b.txt", "scan.v2.txt", "p1.txt"]
    for first, second in (("a.png", "a.jpg"), ("x/a.nrm.png", "x/a.bin.png")):
        with pytest.raises(UserError, match=f"{first} and {second} would both be read into"):
            texts_beside([first, second])
    with pytest.raises(UserError, match=r"would replace the transcript a\.gt\.txt"):
        texts_beside(["a.gt.png"])


def test_figures_and_tables_of_what_was_learnt(run, folder, tmp_path):
    from dlhw.explain.command import main

    assert main([f"run={run}", f"output={tmp_path}", "lines=3", "device=cpu"]) == 0
    drawn = "posteriors.png" if "crnn" in str(run) else "attention.png"
    for name in ("confusions.png", "worst.png", drawn):
        assert np.asarray(Image.open(tmp_path / name).convert("L")).std() > 5
    with np.load(run / "predictions.npz") as file:
        total = count_edits(file["reference"].tolist(), file["hypothesis"].tolist()).characters
    assert sum(int(row["times"]) for row in rows_of(tmp_path / "confusions.csv")) == total
    worst = rows_of(tmp_path / "worst.csv")
    rates = [int(row["edits"]) / len(row["true"]) for row in worst]
    assert len(worst) == 3 and rates == sorted(rates, reverse=True)


@pytest.mark.parametrize("model", ["crnn_ctc", "ocr_seq2seq"])
def test_what_is_seen_on_embedded_lines_is_kept(shell_in, tmp_path, monkeypatch, model):
    from dlhw.explain import lines
    from dlhw.explain.command import main
    from dlhw.explain.views import over_line_figure, read_views
    from dlhw.predict.lines import Reading
    from dlhw.results.reference import keep

    few = ("task.data.train_lines=20", "task.data.eval_lines=5", *(["model.decoder=12"] if model == "ocr_seq2seq" else []))
    shell_in.run("task=ocr_digits", f"model={model}", *SMALL, *few)
    [run] = [place for place in shell_in.runs() if "ocr_digits" in str(place) and model in str(place)]
    reading = Reading("12", 0.25, [("1", 0.5), ("2", 0.5)])  # an untrained network may read nothing
    monkeypatch.setattr(lines, "read", lambda run, pictures, *settings: [reading] * len(pictures))
    main([f"run={run}", f"output={run}/explain/report", "lines=2", "device=cpu"])
    [kept] = keep([run], tmp_path / "reference")
    views = read_views(kept / "explain" / "report" / ("posteriors" if model == "crnn_ctc" else "attention"))
    data = DigitLinesData(height=16, border=2, train_lines=20, eval_lines=5, batch_size=8, eval_batch_size=8)
    data.setup()
    assert [view.rows for view in views] == [["blank", "1", "2"] if model == "crnn_ctc" else ["1", "2"]] * 2
    for row, view in enumerate(views):
        np.testing.assert_array_equal(view.picture, data.splits["test"].picture(row))
        assert view.weights.shape == (len(view.rows), len(view.columns)) and 0 < view.weights.max() <= 1
    assert over_line_figure(views).axes[0].get_xlim()[1] == max(view.picture.shape[1] for view in views)
    assert (kept / "explain" / "report" / "worst.png").exists()


def test_a_finished_run_is_decoded_anew_with_a_language_model(run, folder, capsys):
    from dlhw.decode import main

    if "crnn" not in str(run):
        with pytest.raises(UserError, match="lm_weight"):
            main([str(run), "task.decode.method=beam", "task.decode.lm_weight=0.5"])
        with pytest.raises(UserError, match=r"no finished run below .* has model=crnn_ctc: settings of decoders begin with task\.decode"):
            main([str(run), "model=crnn_ctc"])
        return
    with pytest.raises(UserError, match=r"task\.decode\.method=nucleus is not for a network with CTC: greedy or beam is right"):
        main([str(run), "task.decode.method=nucleus"])
    with np.load(run / "predictions.npz") as file:
        shape = file["hypothesis"].shape
    assert main([str(run), "task.decode.method=beam", "task.decode.width=6", "task.decode.lm_weight=0.5", "task.decode.lm_order=3"]) == 0
    found = run / "decoded" / "test_beam_width-6_lm_weight-0.5_lm_order-3.npz"
    with np.load(found) as file:
        assert file["hypothesis"].shape == (shape[0], 3) and set(file["group"]) == {"book0", "book1"}
        assert (np.diff(file["score"], axis=1) <= 0).all()
    assert results(["groups", str(found)]) == 0 and "cer" in capsys.readouterr().out


def test_a_run_in_two_parts_is_the_run_in_one(starter, folder, tmp_path):
    """Order, bucketing and augmentation go on from where they were."""
    words = ("task=ocr", f"task.data.path={folder}", "model=crnn_ctc", *SMALL, "optim.schedule=constant", "optim.warmup=0")
    parts = []
    for name, epochs in (("whole", ("2",)), ("halves", ("1", "2"))):
        (tmp_path / name).mkdir()
        shell = Shell(starter, tmp_path / name)
        for count in epochs:
            shell.run(*words, f"trainer.max_epochs={count}")
        parts.append(shell.only_run())
    assert_same_run(*parts)


def test_lines_too_short_for_ctc_are_named_before_the_first_epoch(shell_in, folder, tmp_path):
    place = tmp_path / "lines"
    shutil.copytree(folder, place)
    Image.new("L", (9, 16), 255).save(place / "book0" / "train00.png")
    table = place / "labels.tsv"
    rows = [
        f"book0/train00.png\ttrain\t{'0011' * 5}" if row.startswith("book0/train00.png") else row for row in table.read_text().splitlines()
    ]
    table.write_text("\n".join(rows) + "\n")
    text = shell_in.run("task=ocr", f"task.data.path={place}", "model=crnn_ctc", *SMALL, status=1)
    assert "error: train: 1 of 40 lines are too short for their text under CTC: book0/train00.png; the first has 6 steps for 30" in text
    assert "epoch 1" not in text


def test_short_lines_of_other_splits_are_told():
    spec = LineSpec(16, tuple("ab"), 9)
    net = CRNN(spec, channels=(4,), pools=((2, 4),), hidden=4, layers=1)
    lines = LineSplit.of(
        [np.zeros((width, 16), np.uint8) for width in (12, 12, 11)], Vocab("ab").array(["aba", "aa", "aba"]), ("x", "y", "z")
    )
    with pytest.raises(UserError, match=r"train: 1 of 3 lines are too short .*: z; the first has 2 steps for 3 symbols"):
        refuse_short_lines(net, lines, "train", spec)
    refuse_short_lines(net, lines, "val", spec)
