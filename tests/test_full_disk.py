"""A disk that fills up amid a run: one line, a status other than 0, and what was saved before stays whole."""

import subprocess
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest
from harness import LAST, Shell, assert_same_run, result, weights

from dlhw.callbacks.recorder import Recorder

SMALL = ("trainer=smoke", "trainer.accelerator=cpu", "trainer.max_epochs=4", "model.channels=[4]", "model.hidden=[8]")


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 400 kB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", str(folder)], capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip("needs the right to mount a file system")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill_from_the_third_epoch(filler: Path) -> None:
    """Let another process take all the room just before the metrics of the third epoch are written."""
    record = Recorder.on_train_epoch_end

    def on_train_epoch_end(self: Recorder, trainer: object, pl_module: object) -> None:
        if len(self.rows) == 2:
            with suppress(OSError), open(filler, "wb", buffering=0) as file:
                while file.write(bytes(512)):
                    pass
        record(self, trainer, pl_module)  # type: ignore[arg-type]

    Recorder.on_train_epoch_end = on_train_epoch_end  # type: ignore[assignment]


def test_full_disk(shell: Shell, disk: Path) -> None:
    filler = disk / "filler"
    text = shell.run(*SMALL, f"output_root={disk}", prepare=[partial(fill_from_the_third_epoch, filler)], status=1)
    assert text.splitlines()[-1].startswith(f"error: {disk}/")
    assert "could not be written (No space left on device)" in text.splitlines()[-1]
    assert "Traceback" not in text
    [run] = (path.parent for path in disk.rglob("config.yaml"))
    assert weights(run, LAST)
    assert not [*run.rglob("*.writing")]
    text = shell.run(*SMALL, f"output_root={disk}", status=1)  # still full
    assert text.splitlines()[-1].startswith("error: ")
    assert "Traceback" not in text
    filler.unlink()
    assert "resumed" in shell.run(*SMALL, f"output_root={disk}")
    assert result(run)["status"] == "finished"
    shell.run(*SMALL, "output_root=elsewhere")
    [whole] = (path.parent for path in (shell.folder / "elsewhere").rglob("config.yaml"))
    assert_same_run(run, whole)
