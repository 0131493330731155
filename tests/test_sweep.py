"""A sweep names its runs, goes on after a failed one, and takes up where it was killed."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import joblib
import pytest
from faults import signal_at
from harness import ROOT, TIMED, Shell, result
from hydra_plugins.grid_sweeper import one_of_each_setting

import dlhw.run
import dlhw.training
from dlhw.checkpoint_file import load_checkpoint
from dlhw.results import load_runs
from dlhw.run_folder import LAST, METRICS

TINY = ("trainer.max_epochs=1", "trainer.steps_per_epoch=2", "trainer.accelerator=cpu", "model.channels=[4]", "model.hidden=[8]")


def wait_until(true: Callable[[], bool], seconds: float) -> None:
    until = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < until
        time.sleep(0.1)


def do_nothing() -> None:
    dlhw.run.main = lambda cfg: "trained"


def train_nothing() -> None:
    dlhw.training.train = lambda *arguments: None


def fail_in_the_second_run() -> None:
    calls = iter(range(1, 100))

    def failing(*arguments: Any) -> None:
        if next(calls) == 2:
            raise RuntimeError("a mistake in the code")
        print("trained")

    dlhw.training.train = failing


def test_a_failing_run_does_not_stop_the_others(shell: Shell) -> None:
    text = shell.run("-m", *TINY, "model.kernel=2,3,4", status=1)
    lines = text.splitlines()
    assert lines[0] == "3 runs"
    assert "3 runs: 1 trained, 0 skipped, 2 failed" in lines
    for kernel in (2, 4):
        message = f"model.kernel={kernel} must be odd"
        assert any(line.startswith(f"error: {message}") for line in lines[:-3])  # when it failed
        assert any(line.startswith("failed: ") and message in line for line in lines[-2:])  # at the end
    assert "Traceback" not in text
    assert result(shell.only_run())["status"] == "finished"


@pytest.mark.parametrize("axis", ["trainer.max_epochs=1,2", "trainer.threads=1,2"])
def test_what_makes_no_other_run_is_no_axis(shell: Shell, axis: str) -> None:
    text = shell.run("-m", *TINY[1:], "seed=0", axis, status=1)
    assert f"error: {axis.partition('=')[0]} makes no other run, so it is no axis of a sweep: one value is right" in text
    assert not (shell.folder / "outputs").exists()


def test_a_mistake_in_the_code_is_shown_at_once(shell: Shell) -> None:
    text = shell.run("-m", *TINY, "seed=0,1,2", prepare=[fail_in_the_second_run], status=1)
    assert text.index("Traceback") < text.rindex("trained\n")  # before the third run
    assert "3 runs: 2 trained, 0 skipped, 1 failed" in text
    assert "RuntimeError('a mistake in the code')" in text.splitlines()[-1]


@pytest.mark.parametrize(
    ("words", "count"),
    [
        (("task=digits", "model=cnn", "-m"), 9),  # a pair without a grid of its own: three rates, three seeds
        (("experiment=digits/softmax", "-m", "seed=7"), 4),  # two by two; the seeds are pinned
        (("task=digits", "model=cnn,cnn_pool", "--multirun"), 2),  # the grid of one pair is not that of another
    ],
)
def test_the_number_of_runs_comes_first(shell: Shell, words: tuple[str, ...], count: int) -> None:
    text = shell.run(*words, prepare=[do_nothing])
    assert text.splitlines() == [f"{count} runs", f"{count} runs: {count} trained, 0 skipped, 0 failed"]


@pytest.mark.slow
def test_a_killed_sweep_goes_on(shell: Shell) -> None:
    grid = ("-m", *TINY, "optim.lr=0.001,0.01", "model.pool=none,max", "seed=0,1,2")
    shell.run(*grid, "output_root=whole")
    kill = partial(signal_at, "dlhw.tasks.classify.Classification", "training_step", 7, 9)  # one call a run
    shell.run(*grid, prepare=[kill], status=-9)
    text = shell.run(*grid)
    assert "12 runs: 6 trained, 6 skipped, 0 failed" in text
    whole, killed = (load_runs(shell.folder / root).drop(columns=["path", *TIMED]) for root in ("whole", "outputs"))
    assert len(whole) == 12
    assert set(whole["status"]) == {"finished"}
    assert whole.equals(killed)


def test_ten_launches_in_the_same_second(shell: Shell) -> None:
    commands = [shell.start(*TINY, f"optim.lr={rate}e-3", prepare=[train_nothing]) for rate in range(1, 11)]
    assert [command.wait() for command in commands] == [0] * 10
    assert len([*shell.folder.rglob(".lock")]) == 10  # each holds its own


def in_a_process_of_its_own(folder: Path, *words: str, **environment: str) -> str:
    """A sweep of two seeds as a user starts it, free to choose its threads."""
    inherited = {name: value for name, value in os.environ.items() if name not in ("OMP_NUM_THREADS", "MKL_NUM_THREADS")}
    command = [sys.executable, str(ROOT / "train.py"), "-m", *TINY, "trainer.precision=32-true", "seed=0,1", *words]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, env=inherited | environment)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
@pytest.mark.skipif(joblib.cpu_count() < 2, reason="needs two cores")
def test_runs_side_by_side_share_the_cores(tmp_path: Path) -> None:
    share = joblib.cpu_count() // 2
    text = in_a_process_of_its_own(tmp_path, "hydra/launcher=joblib", "hydra.launcher.n_jobs=2")
    assert "2 runs: 2 trained, 0 skipped, 0 failed" in text
    in_a_process_of_its_own(tmp_path, "output_root=alone", OMP_NUM_THREADS=str(share))
    together, alone = (load_runs(tmp_path / root).drop(columns=["path", *TIMED]) for root in ("outputs", "alone"))
    assert together["device"].str.endswith(f"({share} threads)").all()
    assert together["status"].tolist() == ["finished"] * 2
    assert together.equals(alone)


@pytest.mark.slow
@pytest.mark.parametrize("whom", ["the sweep", "everybody"])
def test_a_signal_for_runs_side_by_side_stops_each_with_its_checkpoint(tmp_path: Path, whom: str) -> None:
    words = ["-m", *TINY[1:], "trainer.max_epochs=100000", "seed=0,1", "hydra/launcher=joblib", "hydra.launcher.n_jobs=2"]
    sweep = subprocess.Popen([sys.executable, str(ROOT / "train.py"), *words], cwd=tmp_path, start_new_session=True)
    wait_until(lambda: len(list(tmp_path.rglob(METRICS))) == 2, seconds=300)
    if whom == "the sweep":
        sweep.terminate()  # as a scheduler does
    else:
        os.killpg(sweep.pid, signal.SIGINT)  # as Ctrl-C does
    assert sweep.wait(60) == (143 if whom == "the sweep" else 130)
    runs = [path.parent for path in tmp_path.rglob(METRICS)]
    assert [result(run)["status"] for run in runs] == ["stopped"] * 2
    for run in runs:
        assert len(load_checkpoint(run / LAST)["metrics"]) and not list(run.rglob("*.writing"))


def test_all_settings_of_a_sweep_are_composed_before_the_first_run(shell: Shell) -> None:
    """Of those that differ in the seed alone one is; a seed that is no number is refused before anything runs as well."""
    jobs = [["optim.lr=0.1", "seed=0"], ["optim.lr=0.1", "seed=1"], ["optim.lr=0.2", "seed=0"], ["optim.lr=0.2", "seed=x"]]
    assert one_of_each_setting(jobs) == [jobs[0], jobs[2], jobs[3]]
    for wrong in ("seed=0,x", "seed=0,1 optim.lr=0.1,x"):
        text = shell.run("-m", *TINY, *wrong.split(), prepare=[do_nothing], status=1)
        assert "'x'" in text and " runs" not in text
