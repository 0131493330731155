"""The page over the runs of a folder."""

import json
import shutil
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from dlhw.errors import UserError
from dlhw.report.curves import most, plot, svg
from dlhw.report.page import main, page
from dlhw.results import load_runs
from dlhw.results.summary import summarize
from dlhw.run_folder import METRICS, RESULT

FLOOR = "double softmax ≥ log(1 + 9/e) = 1.461"


@pytest.fixture
def runs(trained_runs: Path, tmp_path: Path) -> Path:
    """A copy of the trained runs that a test may change."""
    return shutil.copytree(trained_runs, tmp_path / "runs")


class Reader(HTMLParser):
    """What a test wants to know of a page: its ids, references, table cells, and whether every element is closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.references: list[str] = []
        self.cells: list[str] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.ids += [value for name, value in attrs if name == "id"]
        self.references += [value for name, value in attrs if name in ("href", "xlink:href", "src")]
        if tag not in ("meta", "link"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        self.open.pop()

    def handle_data(self, data):
        if self.open and self.open[-1] in ("td", "th"):
            self.cells.append(data)


def test_the_page_holds_the_table_the_curves_and_how_it_was_made(trained_runs):
    text = page(trained_runs)
    read = Reader(text)
    assert not read.open
    assert "<h1>digits/softmax</h1>" in text
    header = ["softmax", "runs", "test accuracy", "test AUC", "validation accuracy", "parameters", "training (s)"]
    assert read.cells[: len(header)] == header
    for number, row in enumerate(summarize(load_runs(trained_runs)).to_dict("records"), 1):
        cells = read.cells[number * len(header) : (number + 1) * len(header)]
        spreads = [f"{row[name]:.4f} ± {row[f'{name} sd']:.4f}" for name in ("test/acc", "test/auc", "val/acc")]
        assert cells[:-1] == [row["model.softmax"], "2", *spreads, f"{row['params']:,.0f}"]
    for words in ("training loss (nats)", "validation accuracy", "test accuracy", "(share right)", "epoch"):
        assert f"<!-- {words} -->" in text  # how matplotlib notes a line of text that it draws
    stored = json.loads((next(trained_runs.iterdir()) / RESULT).read_text())
    for fact in (stored["data"]["digits"], stored["device"], stored["precision"], f"torch {stored['versions']['torch']}"):
        assert fact in text


def test_the_page_needs_nothing_else_and_is_the_same_each_time(trained_runs):
    text = page(trained_runs)
    read = Reader(text)
    assert all(reference.startswith("#") and reference[1:] in read.ids for reference in read.references) and read.references
    assert len(set(read.ids)) == len(read.ids)
    assert "<script" not in text and "@import" not in text
    assert page(trained_runs) == text


def test_the_floor_is_drawn_for_a_softmax_in_the_network_only(runs):
    assert page(runs).count(f"<!-- {FLOOR} -->") == 1
    for folder in runs.glob("*softmax-output*"):
        shutil.rmtree(folder)
    assert "double softmax" not in page(runs)


def test_no_test_curve_where_the_test_split_was_scored_once(runs):
    for path in runs.rglob(METRICS):
        table = pd.read_csv(path)
        table[[name for name in table if not name.startswith("test/")]].to_csv(path, index=False)
    text = page(runs)
    assert text.count("<figure>") == 2 and "<!-- test accuracy -->" not in text


def test_unfinished_runs_are_named_and_left_out(runs):
    folder = min(runs.iterdir())
    (folder / RESULT).write_text('{"status": "running"}')
    text = page(runs)
    assert f"Not in the tables: {folder.name}." in text and "3 runs of 2 settings" in text
    for path in runs.rglob(RESULT):
        path.write_text('{"status": "running"}')
    with pytest.raises(UserError, match=r"no run below .* is finished"):
        page(runs)


def test_settings_of_made_up_data_are_marked(runs):
    """In the table and beside the lines of the curves; where nothing was made up, no word is lost about it."""
    assert "data" not in Reader(page(runs)).cells
    for path in runs.glob("*softmax-output*/result.json"):
        path.write_text(json.dumps(json.loads(path.read_text()) | {"notes": {"simulated": True}}))
    text = page(runs)
    header, *rows = (Reader(text).cells[begin : begin + 8] for begin in range(0, 24, 8))
    assert header[:3] == ["softmax", "data", "runs"]
    assert [row[:2] for row in rows] == [["none", "real"], ["output", "simulated"]]
    assert "softmax output, simulated" in text


def test_experiments_stand_apart(runs):
    for path in list(runs.rglob(RESULT))[:2]:
        path.write_text(json.dumps(json.loads(path.read_text()) | {"experiment": "digits/<other>"}))
    text = page(runs)
    assert "<h1>runs</h1>" in text and "<h2>digits/&lt;other&gt;</h2>" in text and "<h2>digits/softmax</h2>" in text
    assert len(set(Reader(text).ids)) == len(Reader(text).ids)


def test_the_path_is_printed_last(runs, capsys):
    assert main([str(runs)]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == str(runs / "report.html")
    assert (runs / "report.html").read_text(encoding="utf-8") == page(runs)
    with pytest.raises(UserError, match="nowhere is no folder"):
        main([str(runs / "nowhere")])
    assert not (runs / "nowhere").exists()


def test_a_line_is_the_mean_and_its_band_the_range_as_far_as_all_seeds_go():
    figure = plot({"a": [[1.0, 2.0, 9.0], [3.0, 6.0]], "none": [], "b": [[5.0, 5.0]]}, "loss (nats)")
    first, second = figure.axes[0].lines
    assert first.get_xydata().tolist() == [[1, 2], [2, 4]] and second.get_xydata().tolist() == [[1, 5], [2, 5]]
    [band] = figure.axes[0].collections  # one seed has none
    corners = band.get_paths()[0].vertices
    assert {(x, y) for x, y in corners.tolist()} == {(1, 1), (1, 3), (2, 2), (2, 6)}
    assert (first.get_color(), first.get_linestyle()) != (second.get_color(), second.get_linestyle())
    assert figure.axes[0].get_ylabel() == "loss (nats)" and figure.axes[0].get_xlabel() == "epoch"


def test_every_setting_that_is_drawn_has_a_look_of_its_own():
    figure = plot({str(number): [[number, number]] for number in range(most() + 5)}, "y")
    looks = [(line.get_color(), line.get_linestyle()) for line in figure.axes[0].lines]
    assert len(looks) == len(set(looks)) == most()


def test_the_best_settings_are_drawn_where_there_are_too_many(runs):
    template = next(folder for folder in runs.iterdir() if folder.name.endswith("seed-0") and "softmax-output" not in folder.name)
    for number in range(most()):
        folder = shutil.copytree(template, runs / f"lr-{number}")
        config, stored = (folder / "config.yaml").read_text(), json.loads((folder / RESULT).read_text())
        (folder / "config.yaml").write_text(config.replace("lr: 0.01\n", f"lr: {number + 1}.0\n"))
        (folder / RESULT).write_text(json.dumps(stored | {"val": stored["val"] | {"acc": 1 - number / 1000}}))
    text = page(runs)
    assert f"The {most()} settings that were best on the validation split are drawn, 2 more are not." in text
    assert f"<!-- softmax none, lr {most()}.0 -->" in text and "<!-- softmax output, lr 0.01 -->" not in text


def test_a_drawing_takes_the_colour_of_the_page():
    drawing = svg(plot({"a": [np.arange(3.0)]}, "y"), "name", 'x < "y"')
    assert "currentColor" in drawing and "#24292f" not in drawing.lower()
    assert 'aria-label="x &lt; &quot;y&quot;"' in drawing and 'id="name-' in drawing
