"""SIGTERM and Ctrl-C: the state is saved, one line says what to do, and the exit status is the one that shells expect."""

import os
import re
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
from faults import signal_at
from harness import LAST, ROOT, Shell, Starter, assert_same_run, result
from test_resume import EVERYTHING

from dlhw.callbacks.checkpoints import Signals
from dlhw.checkpoint_file import load_checkpoint
from dlhw.errors import Stopped

TASK = "dlhw.tasks.classify.Classification"
LIGHTNING = "lightning.pytorch.trainer.connectors.logger_connector.logger_connector._LoggerConnector"
SHORT = (*EVERYTHING, "trainer.max_epochs=2", "trainer.patience=null", "trainer.min_delta=0", "trainer.test_every_epoch=true")
SWEEP = ("-m", "trainer=smoke", "trainer.accelerator=cpu", "model.channels=[4]", "model.hidden=[8]", "seed=0,1,2")
STATUS = {signal.SIGTERM: 143, signal.SIGINT: 130}


@pytest.fixture(scope="module")
def whole(starter: Starter, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run that nothing stopped."""
    shell = Shell(starter, tmp_path_factory.mktemp("whole"))
    shell.run(*SHORT)
    return shell.only_run()


@pytest.mark.parametrize(
    ("signum", "where", "name", "call", "place"),
    [
        (signal.SIGTERM, TASK, "training_step", 3, (0, 7)),  # the third call is for steps 7 to 9, and stops after the first of them
        pytest.param(signal.SIGINT, TASK, "training_step", 9, (1, 4), marks=pytest.mark.slow),
        (signal.SIGINT, TASK, "validation_step", 2, (0, 19)),
        pytest.param(signal.SIGTERM, TASK, "validation_step", 3, (1, 19), marks=pytest.mark.slow),
        (signal.SIGTERM, LIGHTNING, "on_epoch_end", 2, (1, 1)),  # after the epoch has been saved: Lightning would end with status 0
        (signal.SIGTERM, TASK, "test_step", 1, (2, 0)),
    ],
)
def test_signal_saves_the_state(
    shell: Shell, whole: Path, signum: signal.Signals, where: str, name: str, call: int, place: tuple[int, int]
) -> None:
    text = shell.run(*SHORT, prepare=[partial(signal_at, where, name, call, signum)], status=STATUS[signum])
    last_line = text.splitlines()[-1]
    assert re.match(f"stopped by {signum.name} .*; the same command goes on from there: .*outputs/digits", last_line)
    assert "Traceback" not in text
    run = shell.only_run()
    stopped = result(run)
    assert stopped.keys() == {"status", "started", "ended"}
    assert stopped["status"] == "stopped"
    position = load_checkpoint(run / LAST)["position"]
    assert (position["epoch"], position["step"]) == place
    shell.run(*SHORT)
    assert_same_run(run, whole)
    assert result(run)["started"] == stopped["started"]


def test_signal_ends_a_sweep(shell: Shell) -> None:
    text = shell.run(*SWEEP, prepare=[partial(signal_at, TASK, "training_step", 3, signal.SIGINT)], status=130)  # in the second run
    assert "stopped by SIGINT" in text.splitlines()[-1]
    assert [result(run)["status"] for run in shell.runs()] == ["finished", "stopped"]
    text = shell.run(*SWEEP)
    assert "3 runs: 2 trained, 1 skipped, 0 failed" in text


def test_signal_at_the_very_end_of_a_run_ends_a_sweep(shell: Shell) -> None:
    """The run is finished, so it does not go on; but the next one must not start."""
    text = shell.run(*SWEEP, prepare=[partial(signal_at, "dlhw.training", "finish_result", 1, signal.SIGTERM)], status=143)
    [run] = shell.runs()
    assert result(run)["status"] == "finished"
    assert "stopped by SIGTERM" in text.splitlines()[-1]


@pytest.mark.parametrize("signum", STATUS)
@pytest.mark.parametrize("words", [SHORT, SWEEP])
def test_interrupt_before_the_training(shell: Shell, words: tuple[str, ...], signum: signal.Signals) -> None:
    text = shell.run(*words, prepare=[partial(signal_at, "dlhw.data.digits.DigitsData", "read", 1, signum)], status=STATUS[signum])
    assert text.splitlines()[-1] == "stopped; what is finished is kept, and the same command goes on from there"
    assert "Traceback" not in text


def test_second_signal_ends_at_once(shell: Shell) -> None:
    """The first comes before the third call, the second within it."""
    prepare = [partial(signal_at, TASK, method, 3, signal.SIGINT) for method in ("training_step", "_step")]
    text = shell.run(*SHORT, "trainer.steps_per_call=1", prepare=prepare, status=130)
    assert "Traceback" not in text
    assert not (shell.only_run() / LAST).exists()


def test_a_reader_that_has_seen_enough_ends_nothing(tmp_path: Path) -> None:
    """The training goes on, and its log.txt has every line."""
    words = ("task=digits", "trainer=smoke", "trainer.accelerator=cpu", "trainer.max_epochs=3", "model.channels=[4]", "model.hidden=[8]")
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "train.py"), *words], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout and process.stdout.readline().startswith("started ")
    process.stdout.close()
    assert process.stderr and process.stderr.read() == ""
    assert process.wait() == 0
    [log] = tmp_path.rglob("log.txt")
    assert result(log.parent)["status"] == "finished"
    assert [line.split()[2] for line in log.read_text().splitlines()] == ["started", "epoch", "epoch", "epoch", "finished"]


def test_help_for_a_reader_that_has_seen_enough(tmp_path: Path) -> None:
    command = f"{sys.executable} {ROOT / 'train.py'} --help | head -1"
    ended = subprocess.run(command, shell=True, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert ended.stdout.startswith("One run:") and ended.stderr == ""


@pytest.mark.parametrize("error", [None, SystemExit(), RuntimeError("a mistake")])
def test_no_signal_is_forgotten(error: BaseException | None) -> None:
    """Whatever else happens once it was noted, and also where Lightning answers it with an exit without a status."""
    before = signal.getsignal(signal.SIGTERM)

    def run() -> None:
        with Signals():
            os.kill(os.getpid(), signal.SIGTERM)
            if error:
                raise error

    with pytest.raises(Stopped, match="stopped by SIGTERM") as caught:
        run()
    assert caught.value.signum == signal.SIGTERM
    assert signal.getsignal(signal.SIGTERM) == before
