"""Classes and probabilities of pictures in files."""

import csv
import json
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dlhw import command
from dlhw.data.digits import DigitsData
from dlhw.errors import UserError
from dlhw.predict.command import main
from dlhw.predict.pictures import answer
from dlhw.run_folder import PREDICTIONS, RESULT
from dlhw.specs import ImageSpec


@pytest.fixture(params=["none", "output"])
def each_run(trained_runs: Path, request: pytest.FixtureRequest) -> Path:
    """A run without and one with a softmax in the network."""
    return next(folder for folder in sorted(trained_runs.iterdir()) if ("softmax-output" in folder.name) == (request.param == "output"))


@pytest.fixture
def run(trained_runs: Path) -> Path:
    return min(trained_runs.iterdir())


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Two pictures of 8x8, one of them a folder further down."""
    (tmp_path / "pictures" / "more").mkdir(parents=True)
    for name, grey in (("b.png", 0), ("more/a.png", 200)):
        Image.new("L", (8, 8), grey).save(tmp_path / "pictures" / name)
    return tmp_path / "pictures"


def predict(run: Path, pictures: Path, output: Path, *more: str) -> int:
    return main([f"run={run}", f"input={pictures}", f"output={output}", "device=cpu", *more])


def rows_of(output: Path) -> list[dict[str, str]]:
    with open(output, newline="") as file:
        return list(csv.DictReader(file))


def test_the_test_split_as_files_gives_the_stored_predictions(each_run, tmp_path):
    data = DigitsData(batch_size=1, eval_batch_size=1)
    data.setup()
    with np.load(each_run / PREDICTIONS) as stored:
        expected = dict(zip(stored["index"].tolist(), stored["probabilities"], strict=True))
    (tmp_path / "digits").mkdir()
    for index in expected:
        Image.fromarray(data.splits["test"].inputs[index, :, :, 0]).save(tmp_path / "digits" / f"{index}.png")
    assert predict(each_run, tmp_path / "digits", tmp_path / "out.csv", "batch_size=7") == 0
    rows = rows_of(tmp_path / "out.csv")
    assert list(rows[0]) == ["file", "class", "probability", *"0123456789"] and len(rows) == len(expected) == 300
    for row in rows:
        probabilities = np.array([float(row[name]) for name in "0123456789"])
        assert probabilities == pytest.approx(expected[int(row["file"].removesuffix(".png"))], abs=2e-6)
        assert probabilities.sum() == pytest.approx(1, abs=1e-6)
        assert row["class"] == str(probabilities.argmax()) and float(row["probability"]) == probabilities.max()


def test_folders_archives_and_single_pictures_say_the_same(run, pictures, tmp_path, capsys):
    assert predict(run, pictures, tmp_path / "folder.csv") == 0
    assert capsys.readouterr() == (f"{tmp_path / 'folder.csv'}: 2 of 2 files\n", "")
    with zipfile.ZipFile(tmp_path / "pictures.zip", "w") as archive:
        for name in ("b.png", "more/a.png"):
            archive.write(pictures / name, name)
    predict(run, tmp_path / "pictures.zip", tmp_path / "zip.csv")
    predict(run, pictures / "more" / "a.png", tmp_path / "one.csv")
    rows = rows_of(tmp_path / "folder.csv")
    assert [row["file"] for row in rows] == ["b.png", "more/a.png"]
    assert rows_of(tmp_path / "zip.csv") == rows
    [alone] = rows_of(tmp_path / "one.csv")
    assert (alone["file"], alone["class"]) == ("a.png", rows[1]["class"])
    assert [float(alone[name]) for name in "0123456789"] == pytest.approx([float(rows[1][name]) for name in "0123456789"], abs=1e-6)


def test_the_output_may_lie_among_the_pictures(run, pictures):
    for _ in range(2):
        assert predict(run, pictures, pictures / "out.csv") == 0
    assert len(rows_of(pictures / "out.csv")) == 2


def test_what_is_no_picture_is_named_and_the_others_are_predicted(run, pictures, tmp_path, capsys):
    (pictures / "notes.txt").write_text("no picture")
    (pictures / "cut.png").write_bytes((pictures / "b.png").read_bytes()[:40])
    assert predict(run, pictures, tmp_path / "out.csv") == 1
    errors = capsys.readouterr().err.splitlines()
    assert [line.split()[1] for line in errors] == ["cut.png", "notes.txt"] and all(line.startswith("error: ") for line in errors)
    assert [row["file"] for row in rows_of(tmp_path / "out.csv")] == ["b.png", "more/a.png"]


def test_another_size_is_stretched_and_said_once(run, pictures, tmp_path, capsys):
    for name, size in (("c.png", (20, 9)), ("d.png", (300, 200))):
        Image.new("RGB", size, (200, 200, 200)).save(pictures / name)
    assert predict(run, pictures, tmp_path / "out.csv", "batch_size=1") == 0
    assert capsys.readouterr().err == "c.png and others of another size are stretched to 8x8 (bilinear)\n"
    values = [[float(row[name]) for name in "0123456789"] for row in rows_of(tmp_path / "out.csv")[1:]]
    assert values[0] == pytest.approx(values[1], abs=1e-6) and values[0] == pytest.approx(values[2], abs=1e-6)  # one grey, whatever size


def test_labels_above_a_half_are_joined():
    spec = ImageSpec(1, 8, 8, ("a", "b", "c"), "multi-label", (0.5,), (0.5,))
    assert answer(np.array([0.9, 0.2, 0.6]), spec) == ("a;c", "0.9;0.6")
    assert answer(np.array([0.1, 0.2, 0.5]), spec) == ("", "")


WRONG = {
    ("run=RUN", "input=x", "size=3"): "size: no such key; there are run=, input=, output=, device=, batch_size=",
    ("--run", "outputs"): "--run is not understood: key=value is right",
    ("input=x",): "run= must be given",
    (): "run= and input= must be given",
    ("run=RUN", "input=x", "batch_size=many"): "batch_size=many is out of range: a whole number",
    ("run=RUN", "input=x", "batch_size=0"): "batch_size=0 is out of range: at least 1",
    ("run=nowhere", "input=x"): "nowhere is no run",
}


@pytest.mark.parametrize("arguments", WRONG)
def test_wrong_keys_are_answered_with_the_right_ones(run, arguments):
    with pytest.raises(UserError, match=WRONG[arguments]):
        main([argument.replace("RUN", str(run)) for argument in arguments])


def test_a_wrong_input_leaves_the_old_output_as_it_was(run, pictures, tmp_path):
    output = tmp_path / "out.csv"
    output.write_text("before")
    (tmp_path / "empty").mkdir()
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "a.txt").write_text("no picture")
    for name, message in (("nowhere", "is missing"), ("empty", "holds no files"), ("texts", "no file is readable as a picture")):
        with pytest.raises(UserError, match=f"input={tmp_path / name}:? {message}"):
            predict(run, tmp_path / name, output)
    unfinished = shutil.copytree(run, tmp_path / "unfinished")
    (unfinished / RESULT).write_text(json.dumps({"status": "running"}))
    with pytest.raises(UserError, match="is not finished"):
        predict(unfinished, pictures, output)
    assert output.read_text() == "before" and not list(tmp_path.glob("*.writing"))


def test_an_output_that_cannot_be_written_is_refused(run, pictures, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"out\.csv could not be written"):
        predict(run, pictures, tmp_path / "file" / "out.csv")
    for output in (tmp_path, pictures / "b.png"):
        with pytest.raises(UserError, match="would replace"):
            predict(run, pictures / "b.png", output)


def test_an_error_is_one_line_and_status_1(monkeypatch):
    monkeypatch.setattr("sys.argv", ["predict.py", "run"])
    with pytest.raises(SystemExit, match=r"^error: run is not understood: [^\n]*$"):  # a text as exit code: printed, status 1
        command.run(main)
