"""One training on several devices: here two processes on the CPU."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import torch
from harness import BEST, LAST, METRICS, PREDICTIONS, ROOT, composed, result, weights
from PIL import Image
from sklearn.datasets import load_digits

from dlhw.run_files import read_metrics
from dlhw.tasks.supervised import SupervisedTask
from dlhw.training import build

pytestmark = [pytest.mark.slow, pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="needs two cores")]

WORDS = (
    "trainer.accelerator=cpu",
    "trainer.devices=2",
    "trainer.strategy=ddp",
    "trainer.precision=32-true",
    "trainer.max_epochs=2",
    "trainer.final_pictures=false",
    "task=images",
    "task.data.path=pictures",
    "task.data.size=8",
    "task.data.channels=1",
    "task.data.eval_batch_size=149",  # of 299 pictures one process has 150, in two batches, the other 149, in one
    "model.channels=[4,8]",
    "model.batch_norm=conv",
    "model.hidden=[8]",
    "optim.lr=0.01",
    "optim.ema=0.5",
    "optim.accumulate=2",
)


# Takes the place of train.py: the loss of the second process is no number in its eighth step, the last one of a call.
FAULTY = f"""
import sys
sys.path[:0] = [{str(ROOT)!r}]
import train
from dlhw.launch import hydra_main
from dlhw.tasks.classify import Classification

step = Classification._step

def _step(self, *arguments):
    loss, sums = step(self, *arguments)
    return (loss * float("nan") if self.global_rank == 1 and self.step == 7 else loss), sums

Classification._step = _step
hydra_main(train.train)
"""


@pytest.fixture(scope="module", autouse=True)
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The digits as files: 1199 to train on, 299 to validate, 299 to test; the commands of this module find them."""
    root = tmp_path_factory.mktemp("data")
    images, labels = load_digits(return_X_y=True)
    for number, (image, label) in enumerate(zip(images, labels, strict=True)):
        split = "train" if number < 1199 else "val" if number < 1498 else "test"
        path = root / "pictures" / split / str(label) / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray((image * 255 / 16).astype(np.uint8).reshape(8, 8)).save(path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DLHW_DATA", str(root))
        yield


def start(folder: Path, *words: str, script: Path = ROOT / "train.py") -> subprocess.Popen[bytes]:
    """A command in a group of processes of its own; its output goes to output.txt in the folder."""
    command = [sys.executable, str(script), *words]
    with open(folder / "output.txt", "wb") as output:
        return subprocess.Popen(command, cwd=folder, stdout=output, stderr=subprocess.STDOUT, start_new_session=True)


def end(process: subprocess.Popen[bytes]) -> int:
    """The exit status; all processes of the group are gone afterwards, also where they would wait for each other for ever."""
    try:
        return process.wait(timeout=300)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def run(folder: Path, *words: str) -> str:
    status = end(start(folder, *words))
    text = (folder / "output.txt").read_text()
    assert status == 0, text
    return text


def runs(folder: Path) -> list[Path]:
    return sorted(path.parent for path in folder.rglob("config.yaml"))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("devices")
    text = run(folder, *WORDS)
    assert text.count("started outputs/") == 1
    assert text.count("finished outputs/") == 1
    [done] = runs(folder)
    return done


def test_the_result_of_two_devices(whole: Path) -> None:
    found = result(whole)
    assert found["devices"] == 2
    assert found["epochs"] == 2
    with np.load(whole / PREDICTIONS) as file:
        assert sorted(file["index"]) == list(range(299))  # the whole test split, each picture once
        accuracy = (file["probabilities"].argmax(axis=1) == file["targets"]).mean()
    assert found["test"]["acc"] == pytest.approx(accuracy)


def evaluated(task: SupervisedTask, run_folder: Path) -> tuple[float, float]:
    """Accuracy and loss on the validation split, by one process in one batch."""
    data, _ = build(composed(*WORDS))
    task.load_state_dict(weights(run_folder, BEST))
    task.eval()
    pictures, targets = torch.from_numpy(data.splits["val"].inputs), torch.from_numpy(data.splits["val"].targets)
    with torch.no_grad():
        logits = task.evaluated((pictures.permute(0, 3, 1, 2).float() / 255 - 0.5) / 0.5)
    return float((logits.argmax(dim=1) == targets).float().mean()), float(torch.nn.functional.cross_entropy(logits, targets))


def test_validation_on_two_devices_equals_that_on_one(whole: Path) -> None:
    accuracy, loss = evaluated(build(composed(*WORDS))[1], whole)
    row = read_metrics(whole / METRICS)[result(whole)["best_epoch"]]
    assert row["val/acc"] == pytest.approx(accuracy)
    assert row["val/loss"] == pytest.approx(loss, rel=1e-5)


def test_each_job_of_a_sweep_uses_both(tmp_path: Path) -> None:
    """The second process of a job must train that job, not start the sweep once more."""
    text = run(tmp_path, "-m", *WORDS, "seed=0,1")
    assert "2 runs: 2 trained, 0 skipped, 0 failed" in text
    assert text.count("2 runs\n") == 1
    assert [result(folder)["devices"] for folder in runs(tmp_path)] == [2, 2]


def test_stopped_on_two_devices(tmp_path: Path, whole: Path) -> None:
    """A signal to the first process stops both at the same step, and the run goes on to the same end."""
    process = start(tmp_path, *WORDS)
    output = tmp_path / "output.txt"
    while process.poll() is None and "epoch 1/2" not in output.read_text():
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    assert end(process) == 143, output.read_text()
    assert "stopped by SIGTERM" in output.read_text()
    [stopped] = runs(tmp_path)
    assert result(stopped)["status"] == "stopped"
    run(tmp_path, *WORDS)
    one, other = weights(stopped, LAST), weights(whole, LAST)
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert result(stopped)["val"] == result(whole)["val"]


def test_a_loss_that_is_no_number_on_one_device_ends_both(tmp_path: Path) -> None:
    """The other must not wait for its gradients."""
    script = tmp_path / "faulty.py"
    script.write_text(FAULTY)
    process = start(tmp_path, *WORDS, script=script)
    status, text = end(process), (tmp_path / "output.txt").read_text()
    assert status == 1
    assert text.count("error: the loss is nan in epoch 1, step 8: ") == 1
    assert "Traceback" not in text
    [failed] = runs(tmp_path)
    assert result(failed)["status"] == "failed"
