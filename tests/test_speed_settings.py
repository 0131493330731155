"""Settings that change the speed alone: the run is the same one, and so is what it finds."""

import signal
from functools import partial
from pathlib import Path

import pytest
from faults import signal_at
from harness import LAST, METRICS, Shell, assert_same_run, assert_same_tensors, result, weights
from test_resume import EVERYTHING, save_at_every_call

from dlhw.run_files import read_metrics

TWO_EPOCHS = (*EVERYTHING, "trainer.max_epochs=2", "trainer.patience=null", "trainer.min_delta=0")


def run_below(root: Path) -> Path:
    [folder] = (path.parent for path in root.rglob("config.yaml"))
    return folder


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_steps_per_call_change_nothing(shell: Shell, precision: str) -> None:
    """Not one bit, also where a run is killed and goes on with other calls. Under autocast, a call of several steps must not go on with
    copies of the weights as they were before the first."""
    words = (*TWO_EPOCHS, f"trainer.precision={precision}")
    shell.run(*words, "trainer.steps_per_call=1", "output_root=whole")
    kill = [save_at_every_call, partial(signal_at, "dlhw.tasks.classify.Classification", "training_step", 5, signal.SIGKILL)]
    shell.run(*words, "trainer.steps_per_call=8", prepare=kill, status=-9)  # in the second epoch, 3 calls after the first 19 steps
    shell.run(*words, "trainer.steps_per_call=5")
    assert shell.only_run().relative_to(shell.folder / "outputs") == run_below(shell.folder / "whole").relative_to(shell.folder / "whole")
    assert_same_run(shell.only_run(), run_below(shell.folder / "whole"))


def test_the_size_of_evaluation_batches_changes_no_weight(shell: Shell) -> None:
    shell.run(*TWO_EPOCHS)
    shell.run(*TWO_EPOCHS, "task.data.eval_batch_size=7", "output_root=small")
    one, other = shell.only_run(), run_below(shell.folder / "small")
    assert one.relative_to(shell.folder / "outputs") == other.relative_to(shell.folder / "small")
    assert_same_tensors(weights(one, LAST), weights(other, LAST))
    for row, same in zip(read_metrics(one / METRICS), read_metrics(other / METRICS), strict=True):
        assert {name: value for name, value in row.items() if name.startswith("val/")} == pytest.approx(
            {name: value for name, value in same.items() if name.startswith("val/")}, abs=1e-6
        )
    assert result(one)["test"] == pytest.approx(result(other)["test"], abs=1e-6)
    assert "skipped" in shell.run(*TWO_EPOCHS, "task.data.eval_batch_size=100", "trainer.steps_per_call=2")
