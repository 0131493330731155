"""How a run stands, as result.json says it: running, stopped, failed with its message, or finished; and as strict JSON."""

import json
import re
import shutil
import signal
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from faults import signal_at
from harness import METRICS, TRAINED, Shell, result
from test_bad_input import let_the_loss_be

from dlhw.callbacks.recorder import Recorder
from dlhw.errors import UserError
from dlhw.report.page import page
from dlhw.results import load_run, load_runs
from dlhw.results.__main__ import main
from dlhw.results.reference import keep, readme_table
from dlhw.results.summary import summarize
from dlhw.run_files import read_metrics
from dlhw.run_folder import BEST
from dlhw.tasks.classify import Classification

WORDS = (*TRAINED, "model.softmax=none", "seed=0")


def fail_in_the_second_epoch(error: Exception) -> None:
    record = Recorder.on_train_epoch_end

    def on_train_epoch_end(self: Recorder, *arguments: Any) -> None:
        if self.rows:
            raise error
        record(self, *arguments)

    Recorder.on_train_epoch_end = on_train_epoch_end  # type: ignore[method-assign]


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (partial(let_the_loss_be, float("nan")), "the loss is nan in epoch 2, step 2: "),
        (partial(fail_in_the_second_epoch, ValueError("a mistake")), "ValueError: a mistake"),
    ],
    ids=["diverged", "mistake"],
)
def test_a_run_that_failed_says_so_and_goes_on_when_started_again(shell: Shell, capsys: Any, fault: partial[None], message: str) -> None:
    shell.run(*WORDS, prepare=[fault], status=1)
    run = shell.only_run()
    failed = result(run)
    assert failed.keys() == {"status", "message", "started", "ended"}
    assert failed["status"] == "failed" and failed["message"].startswith(message)
    with pytest.raises(UserError, match=r"no run below .* is finished"):
        main(["table", str(run)])
    with pytest.raises(UserError, match="status failed"):
        load_run(run)
    assert "resumed" in shell.run(*WORDS)
    finished = result(run)
    assert finished["status"] == "finished" and finished["started"] == failed["started"]
    assert not {"message", "ended"} & finished.keys()


def test_the_table_and_the_page_name_what_failed(trained_runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs = shutil.copytree(trained_runs, tmp_path / "runs")
    first, second, *_ = sorted(runs.iterdir())
    (first / "result.json").write_text('{"status": "failed", "message": "the loss is nan in epoch 2"}')
    (second / "result.json").write_text('{"status": "stopped"}')
    assert main(["table", str(runs)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert f"failed: {first}: the loss is nan in epoch 2" in lines and f"unfinished: {second}" in lines
    assert load_runs(runs)["status"].tolist()[:2] == ["failed", "stopped"]
    assert f"Not in the tables: {first.name} (failed), {second.name}." in page(runs)


def measure_no_number() -> None:
    """The validation loss is infinite and the AUC is no number, as for a split with one class alone."""
    measure = Classification.metrics_of

    def metrics_of(self: Classification, collected: Any, split: str) -> dict[str, torch.Tensor]:
        values = measure(self, collected, split)
        return values | {"auc": values["auc"] * float("nan"), "loss": values["loss"] * float("inf")}

    Classification.metrics_of = metrics_of  # type: ignore[method-assign]


def strict(path: Path) -> dict[str, Any]:
    def refuse(text: str) -> None:
        raise ValueError(f"{text} is no JSON")

    return json.loads(path.read_text(), parse_constant=refuse)


def test_a_metric_that_is_no_number_is_null(shell: Shell, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for seed in (0, 1):
        shell.run(*WORDS, f"seed={seed}", prepare=[measure_no_number])
    runs = shell.folder / "outputs"
    for run in shell.runs():
        found = strict(run / "result.json")
        assert found["val"]["auc"] is found["test"]["auc"] is found["last"]["loss"] is None
        assert 0 < found["val"]["acc"] < 1
    frame = load_runs(runs)
    assert np.isnan(frame[["val/auc", "test/auc", "test/loss"]].to_numpy(dtype=float)).all()
    [row] = summarize(frame).to_dict("records")
    assert row["n"] == 2 and row["test/auc n"] == row["val/loss n"] == 0 and row["test/acc n"] == 2
    assert main(["table", str(runs)]) == 0
    assert re.search(r"test/auc +.*\n.* - \(0\)", capsys.readouterr().out)
    assert "<td>-</td>" in page(runs)
    assert keep([runs], tmp_path / "kept")
    assert " | - | " in readme_table(tmp_path / "kept")


def test_an_early_stopped_run_says_why_more_epochs_train_nothing(shell: Shell) -> None:
    words = (*WORDS, "trainer.patience=2", "trainer.min_delta=1")  # nothing is better by 1 than the first epoch
    told = r"early stopping after epoch 3 of {}: val/acc was not better for trainer\.patience=2 epochs, .* trains nothing more"
    assert re.search(told.format(9), shell.run(*words, "trainer.max_epochs=9"))
    before = result(shell.only_run())
    assert re.search(told.format(12), shell.run(*words, "trainer.max_epochs=12"))
    assert result(shell.only_run())["epochs"] == len(read_metrics(shell.only_run() / METRICS)) == 3
    assert result(shell.only_run())["test"] == before["test"]
    assert "skipped" in shell.run(*words, "trainer.max_epochs=12")
    assert "early stopping" not in shell.run(*WORDS, "trainer.patience=9", "output_root=other")


def let_the_accuracy_be(values: list[float]) -> None:
    """On the validation split, one value an epoch."""
    measure = Classification.metrics_of

    def metrics_of(self: Classification, collected: Any, split: str) -> dict[str, torch.Tensor]:
        found = measure(self, collected, split)
        return found | {"acc": torch.tensor(values[self.epoch])} if split == "val" else found

    Classification.metrics_of = metrics_of  # type: ignore[method-assign]


def write_no_last_checkpoint() -> None:
    from dlhw.callbacks import checkpoints

    checkpoints.COST = 0.0


def test_the_best_epoch_keeps_its_own_metrics_on_other_hardware(shell: Shell) -> None:
    """best.ckpt was written in an epoch that last.ckpt does not know of; then the run goes on where the numbers are others."""
    words = (*WORDS, "trainer.max_epochs=4")
    here, there = [partial(let_the_accuracy_be, values) for values in ([0.3, 0.2, 0.75, 0.5], [0.3, 0.2, 0.125, 0.0])]
    step = partial(signal_at, "dlhw.tasks.classify.Classification", "training_step")  # one call an epoch
    shell.run(*words, prepare=[here, partial(step, 2, signal.SIGTERM)], status=143)  # last.ckpt: amid the second epoch
    shell.run(*words, prepare=[here, write_no_last_checkpoint, partial(step, 3, signal.SIGKILL)], status=-9)  # best.ckpt: the third
    run = shell.only_run()
    best = (run / BEST).read_bytes()
    shell.run(*words, prepare=[there])
    assert (run / BEST).read_bytes() == best
    found = result(run)
    assert (found["best_epoch"], found["val"]["acc"], found["last"]["acc"]) == (2, 0.75, 0.0)
