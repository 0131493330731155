"""Checkpoints are written whole or not at all, and read only if they are what was written."""

import math
import os
import resource
import signal
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import torch
from faults import kill_at_rename

from dlhw.callbacks.checkpoints import Checkpoints, Signals
from dlhw.checkpoint_file import SafeCheckpointIO, load_checkpoint, sha256_of
from dlhw.errors import UserError


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "checkpoints" / "last.ckpt"


def save(path: Path, value: float, size: int = 10_000) -> None:
    SafeCheckpointIO().save_checkpoint({"weights": torch.full((size,), value), "epoch": 3}, path)


def value(path: Path) -> float:
    return float(load_checkpoint(path)["weights"][0])


def in_a_child(act: Callable[[], None]) -> int:
    """Call ``act`` in a forked process; returns how that ended."""
    pid = os.fork()
    if pid == 0:
        try:
            act()
            os._exit(0)
        except UserError as error:
            os.write(2, str(error).encode())
            os._exit(1)
        finally:
            os._exit(2)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_round_trip(path: Path) -> None:
    save(path, 1.0)
    save(path, 2.0)
    assert value(path) == 2.0
    assert sorted(file.name for file in path.parent.iterdir()) == ["last.ckpt", "last.ckpt.sha256"]
    assert path.with_name("last.ckpt.sha256").read_text().split() == [sha256_of(path)]


@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize("renames", [[1], [2], [3], [1, 1], [2, 2], [2, 2, 2], [2, 1], [2, 3]])
def test_killed_between_the_renames(path: Path, renames: list[int], before: bool) -> None:
    """Each number is a process that is killed at that rename while it replaces the checkpoint."""
    save(path, 1.0)
    for number, rename in enumerate(renames, 2):

        def write_and_die(rename: int = rename, number: int = number) -> None:
            kill_at_rename(rename, before=before)
            save(path, float(number))

        last = value(path)
        assert in_a_child(write_and_die) == -signal.SIGKILL
        assert value(path) in (last, float(number))
    save(path, 9.0)
    assert value(path) == 9.0


def test_killed_while_the_first_is_written(path: Path) -> None:
    def write_and_die() -> None:
        kill_at_rename(2, before=True)
        save(path, 1.0)

    assert in_a_child(write_and_die) == -signal.SIGKILL
    with pytest.raises(UserError, match=r"last\.ckpt is missing: move the run's folder .* away and start it again"):
        load_checkpoint(path)


@pytest.mark.parametrize("damage", ["cut", "bit", "digest", "no digest", "no file"])
def test_damage_is_refused(path: Path, damage: str) -> None:
    save(path, 1.0)
    content = bytearray(path.read_bytes())
    match damage:
        case "cut":
            path.write_bytes(content[: len(content) // 2])
        case "bit":
            content[len(content) // 2] ^= 1  # amid the weights: torch alone would load it
            path.write_bytes(content)
            assert len(torch.load(path, weights_only=True)["weights"]) == 10_000
        case "digest":
            path.with_name("last.ckpt.sha256").write_bytes(b"\xff\xfe0123\n")  # no text either
        case "no digest":
            path.with_name("last.ckpt.sha256").unlink()
        case "no file":
            path.unlink()
    with pytest.raises(UserError, match=f"move the run's folder {path.parent.parent} away and start it again") as caught:
        load_checkpoint(path)
    assert "\n" not in str(caught.value)


def test_only_plain_data_is_read(path: Path) -> None:
    SafeCheckpointIO().save_checkpoint({"callable": os.getpid}, path)
    with pytest.raises(UserError, match="cannot be read"):
        load_checkpoint(path)


def test_full_disk_leaves_the_previous_checkpoint(path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    save(path, 1.0)

    def write_too_much() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))  # as a full disk, files stop growing
        save(path, 2.0, size=100_000)

    assert in_a_child(write_too_much) == 1
    message = capfd.readouterr().err
    assert "last.ckpt could not be written (File too large); what was there before is whole" in message
    assert value(path) == 1.0
    assert not list(path.parent.glob("*.writing"))


def test_temporary_folder_is_not_used(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", "/nowhere")
    monkeypatch.setattr("tempfile.tempdir", None)
    save(path, 1.0)
    assert value(path) == 1.0


@dataclass
class Epochs:
    """As much of Lightning's Trainer as the choice of the best epoch needs."""

    callback_metrics: dict[str, float] = field(default_factory=dict)
    current_epoch: int = 0
    should_stop: bool = False
    world_size: int = 1
    saved: list[int] = field(default_factory=list)

    def save_checkpoint(self, path: Path, weights_only: bool) -> None:
        if path.name == "best.ckpt":
            self.saved.append(self.current_epoch)


@pytest.mark.parametrize(
    ("mode", "values", "saved"),
    [
        ("max", [0.1, 0.3, 0.3, 0.2, 0.4], [0, 1, 4]),
        ("min", [3.0, 2.0, 2.0, 2.5, -1.0], [0, 1, 4]),
        ("max", [math.nan, 0.1, math.nan, 0.2], [0, 1, 3]),  # something must be there after the first epoch, but no longer than needed
        ("min", [math.inf, math.nan, 5.0], [0, 2]),
    ],
)
def test_the_best_epoch(tmp_path: Path, mode: str, values: list[float], saved: list[int]) -> None:
    callback, epochs = Checkpoints(tmp_path, "score", mode, Signals()), Epochs()
    for epochs.current_epoch, value in enumerate(values):
        epochs.callback_metrics = {"val/score": value}
        callback.on_train_epoch_end(epochs, None)  # type: ignore[arg-type]
    assert epochs.saved == saved
    assert callback.best_epoch == saved[-1]
