"""The command that explains a run on RNA probes: its files, its messages, real proteins."""

import csv
import json
import re
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from harness import Shell, Starter, result
from matplotlib.text import Text
from rbp_tables import MOTIF, table, write_table

from dlhw.errors import UserError
from dlhw.explain.command import main
from dlhw.explain.sequences import Report

SMALL = (
    "task=rbp",
    "task.data.table=norm_data.txt",
    "task.data.metadata=null",
    "task.data.batch_size=16",
    "trainer.accelerator=cpu",
    "trainer.precision=32-true",
    "optim.lr=0.01",
)


@pytest.fixture(scope="module")
def runs(starter: Starter, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Runs on a table of the course's layout in a folder of their own: a CNN on one protein, attention on two."""
    shell = Shell(starter, tmp_path_factory.mktemp("explained"))
    write_table(shell.folder / "norm_data.txt", table(1600, experiments=2))
    shell.run(*SMALL, "task.data.protein=EXP1", "model=rbp_cnn", "model.kernel=8", "model.filters=8", "trainer.max_epochs=10")
    words = ("task.data.protein=all", "model=rbp_bilstm_attention", "model.hidden=8", "trainer=smoke")
    shell.run(*SMALL, *words)
    return {run.parent.name: run for run in shell.runs()}


def explained(monkeypatch: pytest.MonkeyPatch, run: Path, output: Path, *more: str) -> dict[str, Any]:
    """The summary of ``python -m dlhw.explain`` in the folder of the table."""
    monkeypatch.chdir(run.parents[3])
    assert main([f"run={run}", f"output={output}", "device=cpu", *more]) == 0
    [summary] = output.rglob("summary.json")
    return json.loads(summary.read_text())


def rows_of(path: Path) -> list[dict[str, str]]:
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def test_a_trained_network_shows_its_motif(runs, tmp_path, monkeypatch, capsys):
    summary = explained(monkeypatch, runs["rbp_cnn"], tmp_path, "k=4", "probes=1", "backgrounds=20")
    assert summary["kmers"]["network"] in MOTIF and summary["kmers"]["measured"] in MOTIF
    assert summary["missing"] < 0.1
    names = {"filters.png", "filters.pdf", "filters.csv", "filters.meme", "positions.csv", "summary.json", "kmers.csv", "kmers.png"}
    names |= {"kmers.pdf", "probe-1.png", "probe-1.pdf"}
    assert {path.name for path in tmp_path.iterdir()} == names
    output = capsys.readouterr().out
    assert all(name in output.splitlines()[-1] for name in names)
    probe = pd.read_csv(tmp_path / "positions.csv")
    at = "".join(probe["base"]).index(MOTIF)  # it has the highest prediction
    inside = probe["position"].between(at + 1, at + 6)
    assert probe["integrated_gradient"][inside].mean() > probe["integrated_gradient"][~inside].mean() + 0.1
    table = rows_of(tmp_path / "kmers.csv")
    assert len(table) == 256 and table[0]["kmer"] == summary["kmers"]["network"]


def test_of_normal_scores_the_network_is_told_and_of_intensities_what_was_measured(runs, tmp_path, monkeypatch, capsys):
    """The same network, as one that was taught normal scores: k-mers are still scored by the intensities, and each number has its unit."""
    plain, scored = runs["rbp_cnn"], runs["rbp_cnn"].with_name("scored")
    shutil.copytree(plain, scored)
    config = scored / "config.yaml"
    config.write_text(config.read_text().replace("normal_scores: false", "normal_scores: true"))
    said: dict[str, list[str]] = {}
    monkeypatch.setattr(
        Report, "figure", lambda self, name, drawn: said.setdefault(name, []).extend(text.get_text() for text in drawn.findobj(Text))
    )
    words = ("k=3", "probes=1", "backgrounds=5")
    summaries = [explained(monkeypatch, run, tmp_path / run.name, *words) for run in (plain, scored)]
    assert [summary["unit"] for summary in summaries] == ["standard deviations", "normal scores"]
    assert (tmp_path / plain.name / "kmers.csv").read_bytes() == (tmp_path / "scored" / "kmers.csv").read_bytes()
    assert capsys.readouterr().err == ""  # it is the data that both were trained on
    titles = [text for text in said["probe-1"] if "predicted" in text]
    value = r"-?\d+\.\d\d"
    assert (numbers := re.search(rf"predicted ({value}), measured ({value}) \(standard deviations\)$", titles[0]))
    assert titles[1].endswith(f"predicted {numbers[1]} (normal scores), measured {numbers[2]} (standard deviations)")
    for name, labels in {"filters": ("(in {})",), "kmers": ("importance\n({})", "importance ({})")}.items():
        for unit in ("standard deviations", "normal scores"):
            assert all([label.format(unit) in text for text in said[name]].count(True) == 1 for label in labels), (name, unit)
    axes = [text for text in said["probe-1"] if text.startswith(("integrated", "change"))]
    expected = [f"{what}\n({unit})" for unit in ("sd", "normal scores") for what in ("integrated\ngradients", "change")]
    assert sorted(axes) == sorted(expected)


@pytest.mark.slow
def test_the_same_run_is_explained_the_same(runs, tmp_path, monkeypatch):
    for name in ("one", "other"):
        explained(monkeypatch, runs["rbp_cnn"], tmp_path / name, "k=2", "probes=1", "backgrounds=5")
    for name in ("filters.csv", "positions.csv", "kmers.csv", "filters.meme", "kmers.png"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "other" / name).read_bytes()


def test_one_protein_of_several_and_own_sequences(runs, tmp_path, monkeypatch, capsys):
    run = runs["rbp_bilstm_attention"]
    sequences = ["UGCAUGACGUACGUNACGUACG", "acgttgca"]
    explained(monkeypatch, run, tmp_path, "protein=EXP2", f"sequence={','.join(sequences)}", "k=2", "backgrounds=5")
    assert "no filters: this network has no convolution over the bases" in capsys.readouterr().out
    assert (tmp_path / "EXP2" / "probe-2.png").exists() and not (tmp_path / "EXP2" / "filters.png").exists()
    rows = rows_of(tmp_path / "EXP2" / "positions.csv")
    assert "".join(row["base"] for row in rows) == "UGCAUGACGUACGUNACGUACG" + "ACGUUGCA"
    assert sum(float(row["attention"]) for row in rows) == pytest.approx(2, abs=1e-4)
    with pytest.raises(UserError, match=r"^protein= is none of this run: name one of EXP1, EXP2$"):
        explained(monkeypatch, run, tmp_path)


def test_a_seen_protein_of_a_run_with_unseen_ones(starter, tmp_path, monkeypatch):
    """Its values are hidden from the test split of the run, but they were measured."""
    shell = Shell(starter, tmp_path)
    write_table(tmp_path / "norm_data.txt", table(400, experiments=3))
    shell.run(*SMALL, "task.data.protein=all", "task.data.unseen=[EXP3]", "model=rbp_cnn", "model.filters=2", "trainer=smoke")
    run = shell.only_run()
    [seen] = {*result(run)["spec"]["proteins"]} - {*result(run)["spec"]["unseen"]}
    summary = explained(monkeypatch, run, tmp_path / "out", f"protein={seen}", "k=3", "probes=0", "backgrounds=2")
    assert summary["kmers"]["measured"] in MOTIF


def test_without_an_output_everything_lies_in_the_run(runs, monkeypatch):
    run = runs["rbp_cnn"]
    monkeypatch.chdir(run.parents[3])
    main([f"run={run}", "k=2", "probes=0", "backgrounds=2"])
    assert (run / "explain" / "kmers.csv").exists() and not (run / "explain" / "positions.csv").exists()


WRONG = {
    (): "run= must be given, as in python -m dlhw.explain run=",
    ("run=RUN", "kmer=5"): "kmer: no such key; there are run=, output=, data_root=, device=, batch_size=, protein=, sequence=, probes=, k=",
    ("run=RUN", "k=9"): "k=9 is out of range: 2 to 8",
    ("run=RUN", "probes=-1"): "probes=-1 is out of range: 0 to 100",
    ("run=RUN", "backgrounds=0"): "backgrounds=0 is out of range: 1 to 10000",
    ("run=RUN", "batch_size=0"): "batch_size=0 is out of range: at least 1",
    ("run=RUN", "protein=FOX"): "protein=FOX is none of this run: name one of EXP1",
    ("run=RUN", "sequence=ACX"): r"sequence has letters that are no bases, in one row \(row 1: 'X'\)",
    ("run=RUN", "output=norm_data.txt"): "output=norm_data.txt is a file: the name of a folder is right",
}


@pytest.mark.parametrize("arguments", WRONG)
def test_wrong_keys(runs, monkeypatch, arguments):
    monkeypatch.chdir(runs["rbp_cnn"].parents[3])
    with pytest.raises(UserError, match=WRONG[arguments]):
        main([argument.replace("RUN", str(runs["rbp_cnn"])) for argument in arguments])


def test_missing_and_changed_data(runs, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    words = [f"run={runs['rbp_cnn']}", f"output={tmp_path / 'out'}", "k=2", "probes=0", "backgrounds=2"]
    with pytest.raises(UserError, match=r"task\.data\.table=norm_data\.txt is missing"):
        main(words)
    write_table(tmp_path / "norm_data.txt", table(100, seed=1))
    main(words)
    assert "norm_data.txt is not the data that" in capsys.readouterr().err


def test_help(capsys):
    assert main(["--help"]) == 0
    assert capsys.readouterr().out.startswith("python -m dlhw.explain run=")


@pytest.mark.slow
@pytest.mark.realdata
@pytest.mark.parametrize("protein", ["RBP04", "RBP07", "RBP11"])
def test_the_kmers_of_real_proteins(shell: Shell, data_root: Path, protein: str, tmp_path: Path):
    """Two epochs are enough for the network to want what the intensities, without any network, say was bound."""
    shell.run(
        "task=rbp",
        f"task.data.protein={protein}",
        "task.data.batch_size=128",
        "model=rbp_cnn",
        f"data_root={data_root}",
        "trainer.accelerator=cpu",
        "trainer.precision=32-true",
        "trainer.max_epochs=2",
    )
    assert main([f"run={shell.only_run()}", f"output={tmp_path / 'out'}", f"data_root={data_root}", "device=cpu", "probes=1"]) == 0
    found = json.loads((tmp_path / "out" / "summary.json").read_text())["kmers"]
    assert found["network"] == found["measured"]
    assert found["shared"] >= 6 and found["spearman"] > 0.7
