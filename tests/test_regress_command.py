"""Whole runs of regression, on tables of the course's layout."""

import csv
import os
import signal
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from faults import signal_at
from harness import BEST, Shell, assert_same_run, composed, result, weights
from rbp_tables import read, table, write_table
from scipy import stats
from test_devices import run as on_devices
from test_regress import ONE_PROCESS

from dlhw.data.rna import one_hot
from dlhw.run_folder import METRICS, PREDICTIONS
from dlhw.training import build

SMALL = (
    "task=rbp",
    "task.data.table=norm_data.txt",
    "task.data.metadata=metadata.xlsx",
    "trainer.accelerator=cpu",
    "trainer.precision=32-true",
    "task.data.batch_size=16",
    "optim.lr=0.01",
)
CNN = (*SMALL, "model=rbp_cnn", "model.filters=16", "model.kernel=8", "model.hidden=[16]")


def course(folder: Path, probes: int = 400) -> None:
    """The two files of the course: a table without end of its name, and a sheet; A1CF has two experiments."""
    write_table(folder / "norm_data.txt", table(probes, experiments=3))
    frame = pd.DataFrame({"Protein_name": ["RBFOX1", "A1CF", "A1CF"], "Motif_ID": ["EXP1", "EXP2", "EXP3"]})
    frame.to_excel(folder / "metadata.xlsx", index=False)


def test_training_probes_can_be_scored_as_the_validation_split_is(shell: Shell):
    """As many as there are: then their correlation is that of the network on the whole training split."""
    course(shell.folder)
    given = ("task=rbp", "task.data.table=norm_data.txt", "task.data.metadata=metadata.xlsx", "task.data.protein=EXP1", "model=rbp_cnn")
    same = ("trainer.accelerator=cpu", "trainer.precision=32-true")  # as what is computed below
    shell.run(*given, *same, "trainer.max_epochs=2", "optim.lr=0.01", "task.data.score_train=100000")
    folder = next(shell.folder.rglob(METRICS)).parent
    row = pd.read_csv(folder / METRICS).iloc[-1]
    cfg = composed(
        *given,
        f"data_root={shell.folder}",
        f"task.data.table={shell.folder}/norm_data.txt",
        f"task.data.metadata={shell.folder}/metadata.xlsx",
    )
    data, trained = build(cfg)
    trained.load_state_dict(weights(folder))
    split = data.splits["train"]
    with torch.no_grad():
        predicted = trained.eval().net(*one_hot(torch.from_numpy(split.inputs)))[:, 0]
    assert row["train/spearman"] == pytest.approx(stats.spearmanr(predicted, split.targets[:, 0]).statistic, abs=1e-6)


def test_a_run_on_files_of_the_course(shell: Shell):
    course(shell.folder, 1200)
    shell.run(*CNN, "task.data.protein=RBFOX1", "trainer.max_epochs=10")
    run = shell.only_run()
    found = result(run)
    assert (
        found["spec"]["proteins"] == ["RBFOX1"]
        and found["monitor"] == "spearman"
        and sorted(found["data"]) == ["metadata.xlsx", "norm_data.txt"]
    )
    assert found["test"]["pearson"] > 0.9  # a third of the probes hold the motif, and nothing else tells them apart
    with np.load(run / PREDICTIONS) as file:
        predicted, measured, index = file["predicted"], file["measured"], file["index"]
    assert predicted.shape == (600, 1) and index.tolist() == list(range(600))
    assert found["test"]["spearman"] == pytest.approx(stats.spearmanr(predicted[:, 0], measured[:, 0]).statistic)
    data = read(shell.folder / "norm_data.txt", shell.folder / "metadata.xlsx", "RBFOX1")
    np.testing.assert_array_equal(measured, data.splits["test"].targets)
    with open(run / METRICS, newline="") as file:
        assert {"train/loss", "val/loss", "val/spearman", "val/pearson"} <= set(next(csv.reader(file)))


def test_several_proteins_at_once(shell: Shell):
    course(shell.folder)
    shell.run(*CNN, "task.data.protein=all", "trainer.max_epochs=1")
    names = {f"{metric}:{name}" for metric in ("spearman", "pearson") for name in ("RBFOX1", "EXP2", "EXP3")}
    assert set(result(shell.only_run())["test"]) == {"loss", "spearman", "pearson"} | names
    assert set(result(shell.only_run())["val"]) == {"loss", "spearman", "pearson"}


def test_a_protein_with_two_experiments_is_asked_for_in_one_line(shell: Shell):
    course(shell.folder)
    output = shell.run(*CNN, "task.data.protein=A1CF", status=1)
    assert output.strip().endswith("error: task.data.protein=A1CF has several experiments: name one of EXP2, EXP3")
    assert "Traceback" not in output
    output = shell.run("task=rbp", "model=rbp_cnn", status=1)
    assert "task.data.protein must be given" in output


@pytest.mark.parametrize("model", ["model=rbp_bilstm_attention", pytest.param("model=rbp_multi", marks=pytest.mark.slow)])
def test_killed_run_ends_as_an_uninterrupted_one(shell: Shell, model: str):
    course(shell.folder, 200)
    words = (*SMALL, "task.data.protein=RBFOX1", model, "model.dropout=0.2", "trainer.max_epochs=3", "trainer.steps_per_call=1")
    shell.run(*words)
    whole = shell.only_run()
    at_the_second_epoch = [partial(signal_at, "dlhw.tasks.regress:Regression", "metrics_of", 2, signal.SIGKILL)]
    shell.run(*words, "output_root=killed", prepare=at_the_second_epoch, status=-signal.SIGKILL)
    output = shell.run(*words, "output_root=killed")
    assert "resumed" in output
    [killed] = (path.parent for path in (shell.folder / "killed").rglob("result.json"))
    assert_same_run(killed, whole)


@pytest.mark.slow
@pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="needs two cores")
def test_ranks_on_two_devices_are_over_the_whole_split(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    course(tmp_path, 230)  # 23 probes validate: the parts differ in length
    words = (*CNN, "task.data.protein=all", "trainer.max_epochs=1")
    on_devices(tmp_path, *words, "trainer.devices=2", "trainer.strategy=ddp", "task.data.eval_batch_size=5")
    [run] = (path.parent for path in tmp_path.rglob("result.json"))
    monkeypatch.chdir(tmp_path)
    data, alone = build(composed(*words))
    alone.load_state_dict(weights(run, BEST))
    alone._trainer = ONE_PROCESS  # type: ignore[assignment]
    split = data.splits["val"]
    with torch.no_grad():
        outputs = alone.eval().outputs((torch.from_numpy(split.inputs), torch.from_numpy(split.targets), torch.arange(len(split.inputs))))
    assert len(split.inputs) == 23
    expected = {name: float(value) for name, value in alone.metrics_of(outputs, "val").items()}
    assert result(run)["val"] == pytest.approx(expected, rel=1e-5)


def test_a_precision_that_would_round_the_intensities_is_refused(shell: Shell):
    text = shell.run("task=rbp_sim", "model=rbp_cnn", "trainer.precision=bf16-true", "trainer.accelerator=cpu", status=1)
    assert "error: trainer.precision=bf16-true would convert the intensities too: bf16-mixed or 32-true is right" in text


@pytest.mark.slow
@pytest.mark.realdata
def test_a_short_run_on_real_probes(shell: Shell, data_root: Path):
    """One epoch."""
    words = ("task=rbp", "task.data.protein=RBP04", "model=rbp_cnn", f"data_root={data_root}", "trainer.accelerator=cpu")
    shell.run(*words, "trainer.max_epochs=1", "trainer.precision=32-true", "trainer.final_pictures=false")
    assert result(shell.only_run())["test"]["spearman"] > 0.7
