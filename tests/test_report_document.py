"""A chapter from short runs: whole, the same bytes each time, also where nothing has been run."""

import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from harness import composed

from dlhw.config import bind, check
from dlhw.errors import Stopped
from dlhw.report import run_missing
from dlhw.report.build import build, placed, shown
from dlhw.report.chapters import plans
from dlhw.report.chapters.a_bloodmnist import shorter
from dlhw.report.claims import Claim, load_claims
from dlhw.report.document import Chapter, Document
from dlhw.report.plan import Curves, Experiment, Metric, Plan, Row
from dlhw.report.render import as_latex, latex_text, typst_text, write_document
from dlhw.report.run_missing import experiment_of, grid_of, run_then, runs_of, shortened
from dlhw.report.runs import Record, load_records
from dlhw.results.statistics import Estimate

DIGITS = {"experiment": "digits/softmax"}
ROWS = (
    Row("D1", "logits & more_or_less 100 %", {**DIGITS, "model.softmax": "none"}, {"test/acc": [0.5, 0.99]}),
    Row("D2", "softmax", {**DIGITS, "model.softmax": "output"}, {"test/acc": [0.5]}, comparable=False),
    Row("D3", "never run", {**DIGITS, "model.softmax": "twice"}, {"test/acc": [0.5]}),
)
PLAN = Plan(
    name="digits",
    title="Digits",
    asked=['What is asked, with a "quotation", a # and a \\.'],
    experiments=[Experiment(["experiment=digits/softmax"])],
    rows=ROWS,
    metrics=[Metric("test/acc", "accuracy"), Metric("max(test/acc)", "highest epoch")],
    more=[Metric("params", "parameters", 0), Metric("test/auc", "AUC")],
    curves=[Curves("curves", "Curves.", [("train/loss", "loss (nats)"), ("val/acc", "accuracy")], ["D1", "D2"], {"floor": 1.46})],
)
CLAIMS = [
    Claim("D-1", "digits", "A second softmax costs accuracy.", "test/acc", ROWS[1].where, "lower", ROWS[0].where, 0.01),
    Claim("D-2", "digits", "There is a floor.", "min(train/loss)", ROWS[1].where, "never_below", value=1.4611),
]


@pytest.fixture(scope="module")
def chapter(trained_runs: Path) -> Chapter:
    return build(PLAN, load_records(trained_runs), CLAIMS)


def assert_whole(chapter: Chapter) -> None:
    """No empty cell, no table without rows, no claim without a verdict."""
    tables = Document("", [chapter]).tables
    assert tables
    for table in tables:
        assert table.rows and all(len(row) == len(table.columns) for row in table.rows), table.name
        assert all(cell.strip() for row in table.rows for cell in row), table.name
    verdicts = [row[2] for row in next(table for table in tables if table.name.endswith("-claims")).rows]
    assert all(re.match(r"holds|does not hold|undecided \(.+\)", verdict) for verdict in verdicts)


def test_a_chapter_is_whole(chapter: Chapter) -> None:
    assert_whole(chapter)
    results = next(table for table in Document("", [chapter]).tables if table.name == "digits-results")
    by_id = {row[0]: dict(zip(results.columns, row, strict=True)) for row in results.rows if row[2] == "accuracy"}
    assert by_id["D1"]["seeds"] == "2" and re.fullmatch(r"0\.\d{4}", by_id["D1"]["here"])  # two seeds: no interval
    assert by_id["D1"]["which is"] == "no interval" and by_id["D2"]["which is"] == "not comparable" and by_id["D3"]["here"] == "not run"
    claims = next(table for table in Document("", [chapter]).tables if table.name == "digits-claims")
    assert claims.rows[0][2] == "undecided (2 seeds, 3 are needed)" and claims.rows[1][2] == "undecided (2 seeds, 3 are needed)"
    network = next(table for table in Document("", [chapter]).tables if table.name == "digits-network-D1")
    counted = [int(row[-1].replace(",", "")) for row in network.rows]
    assert sum(counted[:-1]) == counted[-1]


def test_chapters_without_any_run_are_whole() -> None:
    for plan in plans().values():
        empty = build(plan, [], load_claims())
        assert_whole(empty)
        assert "not run" in empty.sections[-1].tables[0].rows[0][2]


def test_data_that_stands_in_is_named_and_never_compared(trained_runs: Path) -> None:
    runs = load_records(trained_runs)
    for_blood = [replace(run, result=run.result | {"experiment": "bloodmnist/softmax"}) for run in runs]
    row = Row("R1", "logits", {"experiment": "bloodmnist/softmax", "model.softmax": "none"}, {"test/acc": [0.9]})
    claim = replace(CLAIMS[1], of={**row.where})
    made = build(replace(PLAN, rows=[row], curves=[]), for_blood, [claim])
    results, claims = made.sections[2].tables[0], made.sections[-1].tables[0]
    line = dict(zip(results.columns, results.rows[0], strict=True))
    assert line["system"] == "logits (embedded)" and line["which is"] == "not comparable"
    assert dict(zip(claims.columns, claims.rows[0], strict=True))["n, data"].endswith("embedded")
    told = build(replace(PLAN, rows=[row], curves=[], discussion=lambda records: ["It is so."]), for_blood, [claim])
    [found] = [section for section in told.sections if section.title == "What was found"]
    assert found.paragraphs == [
        "Some of these runs are not on the data that their experiments are about: digits (embedded) stands in.",
        "It is so.",
    ]
    simulated = [replace(run, result=run.result | {"notes": {"simulated": True}}) for run in runs]
    assert {run.data for run in simulated} == {"simulated"}
    assert made.glance == [PLAN.title, "embedded", "2", "0", "0", "1"]


def test_blood_cells_that_were_trained_for_less_are_named() -> None:
    def run(model: str, epochs: int, seed: int = 0) -> Record:
        result = {"experiment": "bloodmnist/softmax", "model": model, "epochs": epochs, "seed": seed}
        return Record(Path("none"), result, {"model.softmax": "none"})

    [told] = shorter([run("cnn", 20), run("cnn_pool", 200), run("cnn_pool", 40, 1)])
    assert told == "The report trains for 200 epochs; here R1 for 20, R3 for 40 to 200, so what it claims is judged early."
    assert shorter([run("cnn_pool", 200)]) == []


def test_the_same_runs_give_the_same_bytes(trained_runs: Path, tmp_path: Path) -> None:
    for folder in ("one", "two"):
        document = Document("Report", [build(PLAN, load_records(trained_runs), CLAIMS)], ["Read me."], "quick: a mark", [("runs", "4")])
        written = write_document(document, tmp_path / folder)
        assert [path.name for path in written] == ["report.html", "report.pdf"]
    files = sorted(path.relative_to(tmp_path / "one") for path in (tmp_path / "one").rglob("*.*"))
    endings = {path.suffix for path in files}
    assert endings == {".html", ".pdf", ".csv", ".tex", ".png"}
    for path in files:
        assert (tmp_path / "one" / path).read_bytes() == (tmp_path / "two" / path).read_bytes(), path
    page = (tmp_path / "one" / "report.html").read_text()
    assert "quick: a mark" in page and "logits &amp; more_or_less" in page
    assert not re.search(r'(?:src|href)="(?!#)', page)  # loads nothing


def test_short_and_kept_runs_are_no_runs_of_a_full_report(trained_runs: Path, tmp_path: Path) -> None:
    for place in ("quick/digits", "reference/digits", "digits"):
        shutil.copytree(trained_runs, tmp_path / place)
    assert {record.folder.parent for record in load_records(tmp_path)} == {tmp_path / "digits"}
    assert {record.folder.parent for record in load_records(tmp_path / "reference")} == {tmp_path / "reference" / "digits"}


def test_estimates_as_text() -> None:
    assert shown(None) == "not run"
    assert shown(Estimate(0.5, 0.4, 0.6, 5)) == "0.5000 [0.4000, 0.6000]"
    assert shown(Estimate(0.5, 0.4, 0.6, 1, "test samples"), 2) == "0.50 [0.40, 0.60]*"
    assert shown(Estimate(1234.0, 1234.0, 1234.0, 5), 0) == "1,234"
    row = Row("R", "r", {})
    assert placed(row, [0.3, 0.5, 0.7], Estimate(0.5, 0.4, 0.6, 5)) == "below · inside · above"
    assert placed(row, [0.3], None) == "not run" and placed(row, [], None) == "-"


def test_text_is_no_markup() -> None:
    assert latex_text("50 % & a_b ± 1 · 2") == r"50 \% \& a\_b $\pm$ 1 $\cdot$ 2"
    assert typst_text('a "b" \\ #c') == '"a \\"b\\" \\\\ #c"'


def test_latex_tables_have_as_many_cells_as_columns(chapter: Chapter) -> None:
    for table in Document("", [chapter]).tables:
        lines = [line for line in as_latex(table).splitlines() if line.endswith(r"\tabularnewline")]
        assert len(lines) == len(table.rows) + 2 and lines[0].startswith(r"\caption")
        assert all(len(re.findall(r"(?<!\\)&", line)) == len(table.columns) - 1 for line in lines[1:])


def test_the_quick_report_takes_embedded_data_where_the_real_is_missing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    blood = ["experiment=bloodmnist/softmax", "seed=0,1"]
    own = Experiment(blood, ["trainer.max_epochs=2"], data="sets/blood.npz", embedded=["task=digits"])
    short = shortened(own, tmp_path)
    assert short is not None
    assert short.overrides == [*blood, "trainer.max_epochs=2", "task=digits"]
    assert f"{tmp_path / 'sets/blood.npz'} is missing" in capsys.readouterr().out
    alone = replace(own, embedded=())
    assert shortened(alone, tmp_path) is None and "left out" in capsys.readouterr().out
    (tmp_path / "sets").mkdir()
    (tmp_path / "sets" / "blood.npz").touch()
    for experiment in (own, alone):
        short = shortened(experiment, tmp_path)
        assert short is not None and short.overrides == [*blood, "trainer.max_epochs=2"]
    assert shortened(replace(own, quick=None), tmp_path) is None
    for quick_then, expected in ((None, [["long"]]), ([], []), ([["short"]], [["short"]])):
        short = shortened(replace(own, then=[["long"]], quick_then=quick_then), tmp_path)
        assert short is not None and short.then == expected
    named = shortened(Experiment(["task=p2g", "seed=1"], data="nowhere", embedded=["task=digits"]), tmp_path)
    assert named is not None and named.overrides == ["seed=1", "task=digits"]  # one value for a key


def test_every_experiment_of_the_quick_report_can_be_composed(tmp_path: Path) -> None:
    """With its own data and with what stands in for that: the first run of each sweep."""
    for plan in plans().values():
        for experiment in plan.experiments:
            (tmp_path / "there" / experiment.data).mkdir(parents=True, exist_ok=True)
            forms = {tuple(short.overrides) for place in ("there", "nowhere") if (short := shortened(experiment, tmp_path / place))}
            forms.add(tuple(experiment.overrides))
            for words in forms:
                given = {word.partition("=")[0] for word in words}
                axes = (f"{key}={values}" for key, values in grid_of(experiment_of(words)).items() if key not in given)
                cfg = composed(*(word if "[" in word else word.split(",")[0] for word in map(str, (*words, *axes))))
                check(cfg)
                bind(cfg)


def test_the_number_of_runs_is_known_before() -> None:
    assert runs_of(["experiment=digits/softmax"]) == 8
    assert runs_of(["experiment=digits/softmax", "seed=0,1,2", "model.pool=max"]) == 6
    assert runs_of(["experiment=ocr/ctc_vs_attention"]) == 9  # the seeds are those of the experiment that it builds on
    assert runs_of(["experiment=digits/softmax", "model.channels=[8,16],[4]"]) == 16
    assert runs_of(["experiment=ocr/ctc_vs_attention", "seed=0", "task=ocr_digits", "~task.data.path"]) == 3
    for plan in plans().values():
        assert all(runs_of(experiment.overrides) >= 1 for experiment in plan.experiments)


def test_what_follows_an_experiment_is_run_once_and_again_when_its_runs_have_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment = Experiment([], then=[["dlhw.decode", "{folder}"], ["dlhw.explain", "run={run}", "data_root={data_root}"]])
    started: list[list[str]] = []

    class Pretended:
        def __init__(self, module: str, arguments: list[str]) -> None:
            started.append([module, *arguments])
            self.ends = 1 if module == "dlhw.explain" and len(started) == 2 else 143 if len(started) == 6 else 0

        def status(self) -> int:
            return self.ends

    monkeypatch.setattr(run_missing, "Command", Pretended)
    assert run_then(experiment, tmp_path, Path("data")) == [] == started  # nothing has been trained
    for name in ("pool-max_seed-0", "seed-0"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "result.json").write_text(name)
    decode, explain = ["dlhw.decode", str(tmp_path)], ["dlhw.explain", f"run={tmp_path / 'seed-0'}", "data_root=data"]
    assert run_then(experiment, tmp_path, Path("data")) == [" ".join(explain)]
    assert started == [decode, explain]
    assert run_then(experiment, tmp_path, Path("data")) == []
    assert started[2:] == [explain]  # failed the first time
    (tmp_path / "seed-0" / "result.json").write_text("trained again")
    run_then(experiment, tmp_path, Path("data"))
    run_then(experiment, tmp_path, Path("data"))
    assert started[3:] == [decode, explain]
    (tmp_path / "seed-0" / "result.json").write_text("trained once more")
    with pytest.raises(Stopped):  # by a signal: no failure, after which the others would be run
        run_then(experiment, tmp_path, Path("data"))
    assert started[5:] == [decode]
