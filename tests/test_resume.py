"""A run that was killed goes on as if nothing had happened; a finished one is skipped, extended or protected."""

import random
import shutil
import signal
import time
from functools import partial
from pathlib import Path

import pytest
from faults import kill_at_rename, signal_at
from harness import LAST, Shell, Starter, assert_same_run, result
from omegaconf import OmegaConf

from dlhw.callbacks import checkpoints
from dlhw.run_files import read_metrics
from dlhw.run_folder import CONFIG, METRICS

# Every kind of state that a training has: averaged weights, batch statistics, momenta, dropout masks, augmentation, gradients that wait
# for a second batch (3 steps a call, 2 batches a step, 19 batches an epoch), a schedule, patience that runs out.
EVERYTHING = (
    "trainer.accelerator=cpu",
    "trainer.max_epochs=12",
    "trainer.steps_per_call=3",
    "trainer.patience=2",
    "trainer.min_delta=0.05",
    "trainer.final_pictures=false",
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
    """Kill the command at random moments of its training, ``kills`` times; whenever it comes to its end, compare it with ``whole``."""
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


@pytest.fixture(scope="module")
def whole(starter: Starter, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, float]:
    """The uninterrupted run and the seconds between the first line of its log and its end."""
    shell = Shell(starter, tmp_path_factory.mktemp("whole"))
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


def test_killed_after_the_patience_has_run_out(shell: Shell, whole: tuple[Path, float]) -> None:
    """The run that goes on must not train another epoch."""
    run = whole[0]
    shell.run(*EVERYTHING, "output_root=killed", prepare=[partial(signal_at, "dlhw.training", "score", 1, signal.SIGKILL)], status=-9)
    shell.run(*EVERYTHING, "output_root=killed")
    [killed] = (path.parent for path in (shell.folder / "killed").rglob("result.json"))
    assert_same_run(killed, run)


@pytest.fixture(scope="module")
def small(starter: Starter, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The outputs of a finished run of two epochs; copy it before changing anything in it."""
    shell = Shell(starter, tmp_path_factory.mktemp("small"))
    shell.run(*SMALL)
    return shell.folder / "outputs"


@pytest.fixture
def finished(shell: Shell, small: Path) -> Path:
    """The folder of a finished run in this test's own shell."""
    shutil.copytree(small, shell.folder / "outputs")
    return shell.only_run()


@pytest.mark.slow
@pytest.mark.parametrize("before", [True, False])
def test_killed_at_every_rename(shell: Shell, small: Path, before: bool) -> None:
    """Every file of a run is renamed into its place; a kill at any of these moments loses nothing."""
    [whole] = (path.parent for path in small.rglob(CONFIG))
    for number in range(1, 100):
        command = shell.start(*SMALL, prepare=[partial(kill_at_rename, number, before=before)])
        if command.wait() == 0:
            break
        assert command.status == -signal.SIGKILL, command.text
        shell.run(*SMALL)
        assert_same_run(shell.only_run(), whole)
        assert not list(shell.folder.rglob("*.writing"))
        shutil.rmtree(shell.folder / "outputs")
    assert number > 10


def test_finished_run_is_skipped(shell: Shell, finished: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in finished.rglob("*") if path.name != ".lock"}
    assert "skipped, already finished" in shell.run(*SMALL)
    assert {path: path.stat().st_mtime_ns for path in finished.rglob("*") if path.name != ".lock"} == before


def change(run: Path, key: str, value: object, *, remove: bool = False) -> None:
    """Let the run's folder hold other settings than its name says."""
    cfg = OmegaConf.load(run / CONFIG)
    if remove:
        parent, _, name = key.rpartition(".")
        del OmegaConf.select(cfg, parent)[name]
    else:
        OmegaConf.update(cfg, key, value)
    OmegaConf.save(cfg, run / CONFIG)


def test_other_settings_in_the_folder_are_refused(shell: Shell, finished: Path) -> None:
    change(finished, "optim.lr", 0.5)
    weights_before = (finished / LAST).read_bytes()
    text = shell.run(*SMALL, status=1)
    assert "optim.lr was 0.5, now 0.001" in text
    assert "output_root=FOLDER" in text
    assert (finished / LAST).read_bytes() == weights_before
    assert result(finished)["status"] == "finished"


def test_a_knob_that_is_newer_than_the_run_counts_as_its_default(shell: Shell, finished: Path) -> None:
    change(finished, "model.dropout", None, remove=True)
    assert "skipped" in shell.run(*SMALL)


def test_a_knob_that_is_gone_is_refused(shell: Shell, finished: Path) -> None:
    change(finished, "model.forgotten", 3)
    assert "model.forgotten was 3, now (not there)" in shell.run(*SMALL, status=1)


def test_more_epochs_extend_a_finished_run(shell: Shell, finished: Path) -> None:
    text = shell.run(*SMALL, "trainer.max_epochs=4")
    assert "resumed" in text
    assert "epoch 3/4" in text
    assert "epoch 2/4" not in text
    shell.run(*SMALL, "trainer.max_epochs=4", "output_root=longer")
    [longer] = (path.parent for path in (shell.folder / "longer").rglob(CONFIG))
    assert longer.name == finished.name
    assert_same_run(finished, longer)
    assert "has 4 epochs behind, now trainer.max_epochs=2 is asked for" in shell.run(*SMALL, status=1)


def test_an_extension_that_was_too_long_ends_where_it_is(shell: Shell, finished: Path) -> None:
    command = shell.start(*SMALL, "trainer.max_epochs=4000")
    command.wait_for(lambda: "epoch 3/4000" in command.text)
    command.send(signal.SIGINT)
    assert command.wait() == 130
    behind = len(read_metrics(finished / METRICS))
    assert f"has {behind} epochs behind, now trainer.max_epochs=2 is asked for" in shell.run(*SMALL, status=1)
    shell.run(*SMALL, f"trainer.max_epochs={behind}")
    assert (result(finished)["status"], result(finished)["epochs"]) == ("finished", behind)
    shutil.rmtree(finished / "checkpoints")
    text = shell.run(*SMALL, "trainer.max_epochs=4000", status=1)
    assert "is finished, but checkpoints/last.ckpt is gone, so it cannot go on" in text


@pytest.mark.parametrize("rename", [1, 2, 3])
def test_killed_early_in_an_extension(shell: Shell, finished: Path, rename: int) -> None:
    """The shorter run's result must not pass for the longer one's; the third file is metrics.csv, whose last epoch is trained again."""
    longer = (*SMALL, "trainer.max_epochs=3")
    shell.run(*longer, prepare=[partial(kill_at_rename, rename, before=False)], status=-9)
    shell.run(*longer)
    assert result(finished)["epochs"] == 3


@pytest.mark.parametrize("schedule", ["optim.schedule=cosine", pytest.param("optim.warmup=0.5", marks=pytest.mark.slow)])
def test_a_schedule_over_the_whole_training_is_not_extended(shell: Shell, schedule: str) -> None:
    shell.run(*SMALL, schedule)
    before = (shell.only_run() / LAST).read_bytes()
    text = shell.run(*SMALL, schedule, "trainer.max_epochs=4", status=1)
    assert "so 4 epochs would be another run" in text
    assert (shell.only_run() / LAST).read_bytes() == before


def test_two_processes_in_one_folder(shell: Shell) -> None:
    first = shell.start(*SMALL, "trainer.max_epochs=1000")
    first.wait_for(lambda: "started" in first.text)
    text = shell.run(*SMALL, "trainer.max_epochs=1000", status=1)
    assert "another process is at work in this run" in text
    first.send(signal.SIGTERM)
    assert first.wait() == 143
    assert "Traceback" not in first.text


def test_a_damaged_checkpoint_is_refused(shell: Shell, finished: Path) -> None:
    content = bytearray((finished / LAST).read_bytes())
    content[len(content) // 2] ^= 1
    (finished / LAST).write_bytes(content)
    text = shell.run(*SMALL, "trainer.max_epochs=4", status=1)
    assert "last.ckpt is damaged" in text
    assert "Traceback" not in text
    assert result(finished)["status"] == "finished"


def test_left_over_files_are_swept(shell: Shell, finished: Path) -> None:
    left_over = [finished / "metrics.csv.12-34.writing", finished / "checkpoints" / "last.ckpt.12-34.writing"]
    for path in left_over:
        path.write_text("half")
    shell.run(*SMALL, "trainer.max_epochs=3")
    assert not any(path.exists() for path in left_over)


def test_nothing_is_written_outside_the_folder(shell: Shell) -> None:
    """Neither in the folder where the command is given, nor in that for temporary files."""
    temporary = shell.folder / "temporary"
    temporary.mkdir(mode=0)
    shell.run(*SMALL, TMPDIR=str(temporary))
    assert result(shell.only_run())["status"] == "finished"
    assert {path.name for path in shell.folder.iterdir()} == {"outputs", "temporary", "output-1.txt"}
    assert not [*temporary.iterdir()]
    outside = {path for path in (shell.folder / "outputs").rglob("*") if path.is_file() and shell.only_run() not in path.parents}
    assert not outside
