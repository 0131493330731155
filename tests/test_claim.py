"""A run's folder is held by one process at a time, and a run that is refused leaves nothing behind."""

import multiprocessing
import os
from pathlib import Path

import pytest

from dlhw.errors import UserError
from dlhw.run_folder import LOCK, LOG, claim


class Refused(Exception):
    """What ends a run before it has left anything."""


def refuse(folder: Path, *leaves: str) -> None:
    """A run that is refused, after these files were written."""
    with claim(folder):
        for name in (LOG, *leaves):
            (folder / name).write_text("a line")
        raise Refused


@pytest.mark.parametrize("there", ["", "outputs", "outputs/digits"])
def test_a_refused_run_removes_what_it_has_made_and_nothing_else(tmp_path: Path, there: str) -> None:
    (tmp_path / there).mkdir(parents=True, exist_ok=True)
    with pytest.raises(Refused):
        refuse(tmp_path / "outputs" / "digits" / "run")
    assert (tmp_path / there).is_dir()
    assert not [*(tmp_path / there).iterdir()]


def test_a_run_that_has_left_something_keeps_it(tmp_path: Path) -> None:
    folder = tmp_path / "outputs" / "run"
    with pytest.raises(Refused):
        refuse(folder, "result.json")
    assert {path.name for path in folder.iterdir()} == {LOCK, LOG, "result.json"}
    with pytest.raises(Refused):
        refuse(tmp_path / "outputs" / "other")
    assert [path.name for path in (tmp_path / "outputs").iterdir()] == ["run"]


def claim_often(folder: Path) -> None:
    """Claim the folder and leave nothing, many times; ends with the number of times that another process was in it as well."""
    intruders = 0
    for _ in range(300):
        try:
            with claim(folder):
                try:
                    os.close(os.open(folder / "mine", os.O_CREAT | os.O_EXCL))
                    os.unlink(folder / "mine")
                except OSError:
                    intruders += 1
                raise Refused
        except Refused:
            pass
        except UserError as error:
            intruders += "another process is at work" not in str(error)
    os._exit(min(intruders, 100))


@pytest.mark.skipif(os.name == "nt", reason="needs fork")
def test_several_processes_that_come_and_go_do_not_meet(tmp_path: Path) -> None:
    """The folder and its lock vanish all the time."""
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=claim_often, args=(tmp_path / "outputs" / "digits" / f"run-{n // 2}",)) for n in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * 4
    assert not [*tmp_path.rglob("run-*")]
