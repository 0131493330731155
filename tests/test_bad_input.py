"""Whatever is wrong on the command line is told in one line before the first epoch, and no run is harmed."""

import os
import subprocess
import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from harness import ROOT, Shell

from dlhw.errors import UserError
from dlhw.specs import wants
from dlhw.tasks.classify import Classification

SMALL = ("trainer=smoke", "trainer.accelerator=cpu", "model.channels=[4]", "model.hidden=[8]")
CORES = os.cpu_count() or 1


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("task=digitz", "there is no task digitz; near it: digits"),
        ("-m model=cn,cnn", "there is no model cn; near it: cnn, rbp_cnn, crnn_ctc"),
        ("optim=sdgd,x", "optim=sdgd,x has several values: -m makes a sweep of them"),
        ("optim=zzz", "there is no optim zzz; near it: adam, adamw, "),
        ("optim.learning_rate=1", "nothing reads optim.learning_rate"),
        ("trainer.max_epoch=1", "nothing reads trainer.max_epoch; near it: trainer.max_epochs"),
        ("model=cnn model.pol=max", "nothing reads model.pol; near it: model.pool"),
        ("optim.lr=fast", "optim.lr=fast is of the wrong type: a number is right"),
        ("-m trainer.max_epochs=1.5", "trainer.max_epochs=1.5 is of the wrong type: a whole number is right"),
        ("trainer.deterministic=maybe", "trainer.deterministic=maybe is of the wrong type: true or false is right"),
        ("seed=1,2", "seed=1,2 has several values: -m makes a sweep of them, seed=[1,2] is one list"),
        ("task", "task is not written as KEY=VALUE"),
        ("taks=rbp", "nothing reads taks; near it: task"),
        ("task=rbp,rbp_multi", "task=rbp,rbp_multi has several values: -m makes a sweep of them"),
        ("task.data.path=a(1).txt", "stands in quotes, 'task.data.path=\"a(1).txt\"'"),
        ("output_root=${nothing}", "Interpolation key 'nothing' not found"),
        ("-m model.channels=[8", "model.channels=[8 is not written as KEY=VALUE"),
        ("trainer=null", "the configuration cannot be composed: Config group override must be"),
        ("optim=[adam,sgd]", "optim=NAME takes one name, no list"),
        ("task=base/classification", "task.data has no _target_, so nothing can be built of it: task=NAME, one of bloodmnist, digits, "),
        ("optim=base", "optim.optimizer has no _target_, so nothing can be built of it: optim=NAME, one of adam, adamw, "),
        ("+report=claims", "'report' not in 'Config'"),
        ("experiment=digits/softmaxx", "there is no experiment digits/softmaxx; near it: digits/softmax"),
        ("experiment=nothing", "digits/softmax"),
        ("+nothing=1", "nothing"),
        ("experiment=bloodmnist/cnn model=cnn_pool", "experiment=bloodmnist/cnn is of task=bloodmnist model=cnn; one of the two is right"),
        ("experiment=digits/softmax,bloodmnist/softmax", "start one sweep for each"),
    ],
)
def test_unknown_names_and_types(shell: Shell, word: str, told: str) -> None:
    [line] = shell.run(*word.split(), status=1).splitlines()
    assert line.startswith("error: ") and told in line
    assert not (shell.folder / "outputs").exists()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["optim.lr=-1"], "optim.lr=-1.0 is out of range: above 0"),
        (["task=medmnist"], "task.data.flag must be given"),
        (["model.pool=maximum"], "model.pool=maximum is not one of none, max, avg"),
        (["model.channels=[4,4,4,4]"], "after 4 poolings nothing is left of 8x8 pictures"),
        (["task.module.label_smoothing=1"], "task.module.label_smoothing=1 is out of range"),
        (["task.data.batch_size=0"], "task.data.batch_size=0 is out of range"),
        (["task.module.augment.affine_share=0.9"], "affine_share=0.9 does nothing without task.module.augment.rotate or zoom"),
        (["trainer.min_delta=0.1"], "trainer.min_delta=0.1 does nothing without trainer.patience"),
        (["optim.step_every=0.5"], "optim.step_every=0.5 does nothing without optim.schedule=step"),
        (["task.monitor=accuracy"], "task.monitor=accuracy is not measured: one of loss, acc, auc"),
        (["trainer.accelerator=abacus"], "trainer.accelerator=abacus"),
        (["trainer.strategy=abacus"], "strategy=abacus"),
        ([f"trainer.devices={CORES + 1}"], f"this machine has {CORES} cores"),
        (["trainer.devices=0"], "devices=0"),
        ([f"trainer.threads={CORES + 1}"], f"this machine has {CORES} cores"),
        (["trainer.precision=16-mixed", "optim.clip_norm=1"], "use bf16-mixed or 32-true"),
        (["trainer.precision=bf16-true", "optim.ema=0.999"], "too few for optim.ema=0.999"),
        (["+trainer.callbacks.x._target_=lightning.pytorch.callbacks.EarlyStopping"], "trainer.callbacks.x: "),
        (
            ["+trainer.callbacks.x._target_=lightning.pytorch.callbacks.EarlyStopping", "+trainer.callbacks.x.monitor=val_loss"],
            "EarlyStopping watches val_loss, which is not measured: one of val/loss, val/acc",
        ),
        (["trainer.precision=16-mixed"], "trainer.precision=16-mixed is for GPUs"),
        (["task.data.batch_size=64.5"], "task.data.batch_size=64.5 is of the wrong type: a whole number is right"),
        (["task.data.batch_size=abc"], "task.data.batch_size=abc is of the wrong type: a whole number is right"),
        (["task.data.eval_batch_size=true"], "task.data.eval_batch_size=True is of the wrong type: a whole number is right"),
        (["model.channels=8"], "model.channels=8 is of the wrong type: a list of whole numbers is right"),
        (["model.channels=[8,4.5]"], "model.channels=[8, 4.5] is of the wrong type: a list of whole numbers is right"),
        (["model.dropout=inf"], "model.dropout=inf is of the wrong type: a number is right"),
        (["model.dropout=null"], "model.dropout=null is of the wrong type: a number is right"),
        (["optim.optimizer.betas=[0.9]"], "optim.optimizer.betas=[0.9] is of the wrong type: a list of 2 is right"),
        (["optim.optimizer.fused=maybe"], "optim.optimizer.fused=maybe is of the wrong type: true or false or null is right"),
        (["optim.optimizer.betas=[2,2]"], "optim.optimizer (Adam) cannot be built of its settings (betas=[2, 2], "),
        (["+task.batch_size=8"], "nothing reads task.batch_size; near it: task.data.batch_size"),
        (["+optim.momentum=0.9"], "momentum"),
        (["warm_start=nowhere"], "warm_start=nowhere: there is no checkpoints/best.ckpt in it"),
    ],
)
def test_wrong_settings(shell: Shell, words: list[str], told: str) -> None:
    text = shell.run(*SMALL, *words, status=1)
    assert [line for line in text.splitlines() if line.startswith("error: ") and told in line]
    assert "Traceback" not in text
    assert "started" not in text
    assert not (shell.folder / "outputs").exists()


def test_a_device_that_is_not_there(shell: Shell) -> None:
    """Also on a machine with a GPU: it has not a hundred."""
    text = shell.run(*SMALL, "trainer.accelerator=gpu", "trainer.devices=100", status=1)
    assert "error: trainer.accelerator=gpu, devices=100" in text
    assert "Traceback" not in text


@pytest.mark.parametrize("place", ["file/below", "/proc/outputs"])
def test_an_output_folder_that_cannot_be_written(shell: Shell, place: str) -> None:
    (shell.folder / "file").write_text("")
    text = shell.run(*SMALL, f"output_root={place}", status=1)
    assert f"error: {place}/" in text
    assert "cannot be written" in text
    assert "output_root=FOLDER" in text
    assert "Traceback" not in text


@dataclass
class WaveSpec:
    """Data of a kind that no network here wants."""


def test_an_impossible_pair() -> None:
    with pytest.raises(UserError, match="cnn wants WaveSpec, got int: choose another model for this task"):
        wants(3, WaveSpec, "cnn")


def let_the_loss_be(value: float) -> None:
    """In the seventh step of the training."""
    step, count = Classification._step, iter(range(1, 1000))

    def _step(self: Classification, *arguments: Any) -> Any:
        loss, sums = step(self, *arguments)
        return (loss * value if next(count) == 7 else loss), sums

    Classification._step = _step  # type: ignore[method-assign]


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite(shell: Shell, value: float) -> None:
    text = shell.run(*SMALL, prepare=[partial(let_the_loss_be, value)], status=1)
    [line] = [line for line in text.splitlines() if line.startswith("error: ")]
    assert f"the loss is {value} in epoch 2, step 2: " in line  # five steps an epoch
    assert "Traceback" not in text


def test_a_learning_rate_that_is_far_too_high(shell: Shell) -> None:
    text = shell.run(*SMALL, "optim=sgd", "optim.lr=1e30", "trainer.precision=32-true", status=1)
    assert "in epoch 1, step 2: a lower optim.lr" in text


def python(*words: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """A process of its own, as a user starts it."""
    return subprocess.run([sys.executable, *words], cwd=folder, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("words", "status", "told"),
    [
        (["--help"], 0, "One run:   python train.py task=bloodmnist"),
        (["optim.learning_rate=1"], 1, "optim.learning_rate"),
        (["optim.lr=0"], 1, "optim.lr=0.0 is out of range"),
        (["--cfg", "job"], 0, "max_epochs: 20"),
    ],
)
def test_quick_answers_import_no_torch(tmp_path: Path, words: list[str], status: int, told: str) -> None:
    ended = python("-X", "importtime", str(ROOT / "train.py"), *words, folder=tmp_path)
    imported = {line.rsplit("|", 1)[1].strip() for line in ended.stderr.splitlines() if line.startswith("import time:")}
    messages = "\n".join(line for line in (ended.stdout + ended.stderr).splitlines() if not line.startswith("import time:"))
    assert ended.returncode == status
    assert told in messages
    assert "hydra.main" in imported
    assert not {"torch", "lightning", "numpy"} & imported
