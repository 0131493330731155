"""Files of a run that were damaged, and data that has changed since: told in one sentence before anything is done."""

import random
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from harness import METRICS, TRAINED, Shell, result
from PIL import Image

from dlhw.errors import UserError
from dlhw.run_files import read_config, read_metrics, read_result
from dlhw.run_folder import CONFIG, RESULT, identity

WORDS = (*TRAINED, "model.softmax=none", "seed=0", "trainer.max_epochs=3")  # one of the trained runs, extended
REMEDY = re.compile("delete this file and start the run again|move the run's folder .* away and start it again")
READERS: dict[str, Callable[[Path], Any]] = {
    CONFIG: lambda folder: identity(read_config(folder)),
    RESULT: lambda folder: (read_result(folder) or {})["status"],
    METRICS: lambda folder: read_metrics(folder / METRICS),
}


@pytest.fixture
def run(shell: Shell, trained_runs: Path) -> Path:
    """A finished run in this test's own shell."""
    [source] = (path for path in trained_runs.iterdir() if "output" not in path.name and path.name.endswith("seed-0"))
    return shutil.copytree(source, shell.folder / "outputs" / "digits" / "softmax" / source.name)


def test_this_run_is_extended_where_nothing_is_damaged(shell: Shell, run: Path) -> None:
    assert "resumed" in shell.run(*WORDS)
    assert shell.only_run() == run


@pytest.mark.parametrize("name", READERS)
def test_whatever_the_damage_it_is_one_sentence(run: Path, name: str) -> None:
    chance, content = random.Random(0), (run / name).read_bytes()
    refused = []
    for _ in range(100):
        damaged = bytearray(content)
        at = chance.randrange(len(content))
        match chance.randrange(5):
            case 0:
                del damaged[at:]
            case 1:
                damaged[at] = chance.randrange(256)
            case 2:
                damaged[at : at + 20] = chance.randbytes(20)
            case 3:
                del damaged[at : at + chance.randrange(60)]
            case 4:
                damaged[at:at] = chance.choice([b"\n", b",", b": ", b"[", b"${x}", b'"', b"\x00", b"\t"])
        (run / name).write_bytes(damaged)
        try:
            READERS[name](run)
        except UserError as error:
            refused.append(str(error))
    assert len(refused) > 20
    for message in refused:
        assert message.startswith(str(run / name)) and REMEDY.search(message) and "\n" not in message


@pytest.mark.parametrize(
    ("name", "content"),
    [
        (CONFIG, b""),
        (CONFIG, b"\xff\x00\x9c"),
        (CONFIG, b"trainer: {max_epochs: many}"),
        (RESULT, b""),
        (RESULT, b"\xff\x00\x9c"),
        (RESULT, b"[1]"),
        (RESULT, b'{"status": 3}'),
        (METRICS, b""),
        (METRICS, b"\xff\x00\x9c"),
        (METRICS, b"epoch,train/loss,val/acc,samples_per_second\n0,2.1,0.3,1e4\n1,1.9,much,1e4\n"),
        (METRICS, b"epoch,train/loss,samples_per_second\n0,2.1,1e4\n1,1.9,1e4\n"),  # without what is monitored
        (METRICS, b"epoch,train/loss,val/acc,samples_per_second\n1,2.1,0.3,1e4\n"),  # without the first epoch
    ],
)
def test_a_run_with_a_damaged_file_does_not_go_on(shell: Shell, run: Path, name: str, content: bytes) -> None:
    (run / name).write_bytes(content)
    others = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    text = shell.run(*WORDS, status=1)
    assert text.splitlines()[-1].startswith(f"error: {run.relative_to(shell.folder) / name} ")
    assert REMEDY.search(text.splitlines()[-1])
    assert "Traceback" not in text
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == others


def test_metrics_do_not_matter_where_the_training_starts_anew(shell: Shell, run: Path) -> None:
    shutil.rmtree(run / "checkpoints")
    (run / RESULT).unlink()  # else it is finished, and not trained anew
    (run / METRICS).write_bytes(b"\xff\x00")
    assert "started" in shell.run(*WORDS)
    assert len(read_metrics(run / METRICS)) == 3


def draw(folder: Path, seed: int) -> None:
    """Twelve pictures in two class folders."""
    chance = np.random.default_rng(seed)
    for number in range(12):
        path = folder / "ab"[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(chance.integers(0, 256, (8, 8, 3), dtype=np.uint8)).save(path)


def test_pictures_that_have_changed_are_noticed(shell: Shell) -> None:
    folder = shell.folder / "pictures"
    draw(folder, seed=0)
    words = ("task=images", f"task.data.path={folder}", "task.data.size=8", "model.channels=[4]", "model.hidden=[8]", "trainer=smoke")
    longer = (*words, "trainer.accelerator=cpu", "trainer.max_epochs=3")
    shell.run(*words, "trainer.accelerator=cpu")
    draw(folder, seed=1)
    assert "skipped" in shell.run(*words, "trainer.accelerator=cpu")  # a finished run is not touched, so nothing is read
    before = result(shell.only_run())
    last_line = shell.run(*longer, status=1).splitlines()[-1]
    assert last_line.startswith("error: pictures is not the data that outputs/images/cnn_pool/")
    assert "put that back, or set output_root=FOLDER" in last_line
    assert result(shell.only_run()) == before
    draw(folder, seed=0)
    assert "resumed" in shell.run(*longer)
