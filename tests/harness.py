"""Commands of train.py in forked processes, which share one import of torch and can be killed at any moment.

A starter process is forked off before the first test, while this process has neither computed anything nor touched a device;
it forks every command. A test gets the command's process id, exit status and output, as from a shell.
"""

import json
import os
import pickle
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import sklearn.datasets
import torch
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from omegaconf import DictConfig
from torch.utils import tensorboard

import dlhw.metrics
import dlhw.training
import train
from dlhw.checkpoint_file import load_checkpoint
from dlhw.config import CONF
from dlhw.launch import hydra_main
from dlhw.run_files import read_metrics
from dlhw.run_folder import BEST, LAST, METRICS, PREDICTIONS

torch.set_num_threads(1)  # a pool of threads would not outlive a fork

ROOT = Path(train.__file__).parent
TIMED = ("samples_per_second", "train_seconds")  # what two equal runs may differ in

# The sweep of the fixture trained_runs.
TRAINED = (
    "experiment=digits/softmax",
    "trainer.max_epochs=2",
    "trainer.steps_per_epoch=5",
    "trainer.accelerator=cpu",
    "trainer.precision=32-true",
    "model.channels=[8]",
    "model.pool=max",
    "model.hidden=[16]",
    "optim.lr=0.01",
    "optim.ema=0.8",
)

FOR_THE_COMMANDS = (dlhw.training, dlhw.metrics, sklearn.datasets, tensorboard)  # imported before they are forked


def composed(*words: str, hydra: bool = False) -> DictConfig:
    """The configuration of ``python train.py WORDS``; ``hydra``: with Hydra's own part."""
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose("config", list(words), return_hydra_config=hydra)


class Starter:
    """The process that forks the commands."""

    def __init__(self) -> None:
        self.channel, far_end = Pipe()
        sys.stdout.flush()
        self.pid = os.fork()
        if self.pid == 0:
            self.channel.close()
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            _serve(far_end)
            os._exit(0)
        far_end.close()

    def ask(self, *request: Any) -> Any:
        self.channel.send(request)
        return self.channel.recv()

    def close(self) -> None:
        self.channel.close()
        os.waitpid(self.pid, 0)


def _serve(channel: Connection) -> None:
    composed("seed=1")  # Hydra's parser learns as it reads
    running: set[int] = set()
    while True:
        try:
            what, *arguments = channel.recv()
        except EOFError:
            for pid in running:
                os.kill(pid, signal.SIGKILL)
            return
        if what == "start":
            pid = os.fork()
            if pid == 0:
                channel.close()
                _be(*arguments)
            running.add(pid)
            channel.send(pid)
        else:  # "status"
            done, status = os.waitpid(arguments[0], os.WNOHANG)
            running.discard(done)
            channel.send(os.waitstatus_to_exitcode(status) if done else None)


def _be(words: list[str], folder: Path, output: Path, environment: dict[str, str], prepare: bytes) -> None:
    """Become ``python train.py WORDS`` started in ``folder``, with its output in a file."""
    status = 1
    try:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        os.chdir(folder)
        os.environ.update(environment)
        file = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(file, 1)
        os.dup2(file, 2)
        sys.stdout, sys.stderr = os.fdopen(1, "w", buffering=1), os.fdopen(2, "w", buffering=1)
        sys.argv = [str(ROOT / "train.py"), *words]
        GlobalHydra.instance().clear()
        for change in pickle.loads(prepare):
            change()
        hydra_main(train.train)
        status = 0
    except SystemExit as end:
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        os._exit(status)


@dataclass
class Command:
    """A command that was started."""

    starter: Starter
    pid: int
    output: Path
    status: int | None = None

    def running(self) -> bool:
        if self.status is None:
            self.status = self.starter.ask("status", self.pid)
        return self.status is None

    def wait(self, seconds: float = 120) -> int:
        """The exit status; minus the number of the signal that ended the process."""
        end = time.monotonic() + seconds
        while self.running():
            if time.monotonic() > end:
                os.kill(self.pid, signal.SIGKILL)
                raise TimeoutError(f"still running after {seconds} s:\n{self.text}")
            time.sleep(0.005)
        assert self.status is not None
        return self.status

    def send(self, signum: int) -> None:
        if self.running():
            os.kill(self.pid, signum)

    def wait_for(self, condition: Callable[[], Any], seconds: float = 120) -> None:
        """Wait until ``condition`` holds; fails where the command has ended before."""
        end = time.monotonic() + seconds
        while not condition():
            if not self.running() or time.monotonic() > end:
                raise AssertionError(f"status {self.status} before it came about:\n{self.text}")
            time.sleep(0.002)

    @property
    def text(self) -> str:
        return self.output.read_text()


class Shell:
    """Starts commands of train.py in a folder of its own, whose runs land in ``outputs`` there."""

    def __init__(self, starter: Starter, folder: Path) -> None:
        self.starter, self.folder, self.count = starter, folder, 0

    def start(self, *words: str, prepare: Iterable[Callable[[], Any]] = (), **environment: str) -> Command:
        """Start ``python train.py WORDS``. ``prepare``: called in the process before anything else; functions of modules, or partials."""
        self.count += 1
        output = self.folder / f"output-{self.count}.txt"
        output.touch()
        prepared = pickle.dumps(list(prepare))
        return Command(self.starter, self.starter.ask("start", list(words), self.folder, output, environment, prepared), output)

    def run(self, *words: str, prepare: Iterable[Callable[[], Any]] = (), status: int = 0, **environment: str) -> str:
        """Run a command to its end and return its output; fails where it ends with another status."""
        command = self.start(*words, prepare=prepare, **environment)
        ended = command.wait()
        assert ended == status, f"status {ended}, expected {status}:\n{command.text}"
        return command.text

    def runs(self) -> list[Path]:
        """The folders of all runs."""
        return sorted(path.parent for path in (self.folder / "outputs").rglob("config.yaml"))

    def only_run(self) -> Path:
        [folder] = self.runs()
        return folder


def result(run: Path) -> dict[str, Any]:
    return json.loads((run / "result.json").read_text())


def weights(run: Path, name: str = LAST) -> dict[str, torch.Tensor]:
    return load_checkpoint(run / name)["state_dict"]


def assert_same_tensors(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> None:
    """Bit for bit."""
    assert one.keys() == other.keys()
    different = [name for name, tensor in one.items() if not torch.equal(tensor, other[name])]
    assert not different


def assert_same_run(one: Path, other: Path) -> None:
    """Two finished runs agree bit for bit in all but what takes time."""
    for name in (LAST, BEST):
        assert_same_tensors(weights(one, name), weights(other, name))
    assert [_untimed(row) for row in read_metrics(one / METRICS)] == [_untimed(row) for row in read_metrics(other / METRICS)]
    with np.load(one / PREDICTIONS) as a, np.load(other / PREDICTIONS) as b:
        assert set(a) == set(b)
        assert all(np.array_equal(a[name], b[name]) for name in a)
    same = ("status", "epochs", "best_epoch", "val", "test", "last", "train", "config_hash")
    results = result(one), result(other)
    assert [results[0][name] for name in same] == [results[1][name] for name in same]


def _untimed(row: dict[str, float]) -> dict[str, float]:
    return {name: value for name, value in row.items() if name not in TIMED}
