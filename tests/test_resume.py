"""A run that was killed goes on as if nothing had happened; a finished one is skipped, extended or protected."""

import random
import shutil
import signal
import time
from functools import partial
from pathlib import Path

import pytest
from harness import LAST, Shell, assert_same_run, assert_same_tensors, result, weights
from omegaconf import OmegaConf

from dlhw.callbacks import checkpoints
from dlhw.checkpoint_file import load_checkpoint

# Every kind of state that a training has: averaged weights, batch statistics, momenta, dropout masks, augmentation, gradients that wait
# for a second batch (3 steps a call, 2 batches a step, 19 batches an epoch), a schedule, patience that runs out.
EVERYTHING = (
    "trainer.accelerator=cpu",
    "trainer.max_epochs=12",
    "trainer.steps_per_call=3",
    "trainer.patience=2",
    "trainer.min_delta=0.05",
    "task.module.augment.dihedral=true",
    "task.module.augment.translate=1",
    "model.channels=[8,16]",
    "model.hidden=[16]",
    "model.dropout=0.1",
    "model.batch_norm=all",
    "optim=adamw",
    "optim.lr=0.02",
    "optim.schedule=cosine",
    "optim.warmup=0.1",
    "optim.clip_norm=1",
    "optim.accumulate=2",
    "optim.ema=0.7",
)
SMALL = ("trainer=smoke", "trainer.accelerator=cpu", "model.channels=[4]", "model.hidden=[8]")


def save_at_every_call() -> None:
    checkpoints.LONGEST = 0.0


def kill_and_repeat(shell: Shell, whole: Path, training: float, kills: int) -> None:
    """Kill the command at random moments of its training until ``kills`` are spent; whenever it comes to its end compare it with ``whole``."""
    chance, root = random.Random(0), "killed"
    left, comparisons = kills, 0
    while left or not comparisons:
        command = shell.start(*EVERYTHING, f"output_root={root}", prepare=[save_at_every_call])
        command.wait_for(lambda command=command: "started" in command.text or "resumed" in command.text)
        if left:
            time.sleep(chance.uniform(0, 1.5 * training / kills))
            command.send(signal.SIGKILL)
        if command.wait() == -signal.SIGKILL:
            left, comparisons = left - 1, 0
            continue
        assert command.status == 0, command.text
        [killed] = (path.parent for path in (shell.folder / root).rglob("result.json"))
        assert_same_run(killed, whole)
        comparisons += 1
        shutil.rmtree(shell.folder / root)


@pytest.fixture
def whole(shell: Shell) -> tuple[Path, float]:
    """The uninterrupted run and the seconds between the first line of its log and its end."""
    command = shell.start(*EVERYTHING)
    command.wait_for(lambda: "started" in command.text)
    begin = time.monotonic()
    assert command.wait() == 0, command.text
    run = shell.only_run()
    assert 3 < result(run)["epochs"] < 12  # the patience has run out: else this is no test of it
    return run, time.monotonic() - begin


def test_killed_run_ends_as_an_uninterrupted_one(shell: Shell, whole: tuple[Path, float]) -> None:
    kill_and_repeat(shell, *whole, kills=5)


@pytest.mark.slow
def test_killed_twenty_times(shell: Shell, whole: tuple[Path, float]) -> None:
    kill_and_repeat(shell, *whole, kills=20)
