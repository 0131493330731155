"""What several tests share."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:  # it imports torch
    from harness import Shell, Starter

_started: list["Starter"] = []


def pytest_collection_finish(session: pytest.Session) -> None:
    """Fork the starter of tests/harness.py before the first test, where any test uses it."""
    if any("starter" in getattr(item, "fixturenames", ()) for item in session.items) and not session.config.option.collectonly:
        from harness import Starter

        _started.append(Starter())


def pytest_sessionfinish() -> None:
    for starter in _started:
        starter.close()


@pytest.fixture(scope="session")
def starter() -> "Starter":
    """The process that forks commands of train.py."""
    return _started[0]


@pytest.fixture
def shell(starter: "Starter", tmp_path: Path) -> "Shell":
    """Runs commands of train.py in an empty folder: see :class:`harness.Shell`."""
    from harness import Shell

    return Shell(starter, tmp_path)


@pytest.fixture(scope="session")
def trained_runs(starter: "Starter", tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with four short runs on digits: model.softmax none and output, seeds 0 and 1. Copy it before changing anything in it."""
    from harness import TRAINED, Shell

    shell = Shell(starter, tmp_path_factory.mktemp("trained"))
    shell.run("-m", *TRAINED)
    return shell.folder / "outputs" / "digits" / "softmax"


@pytest.fixture
def data_root() -> Path:
    """The folder of real data sets; the test is skipped where there is none."""
    folder = os.environ.get("DLHW_DATA")
    if not folder or not Path(folder).is_dir():
        pytest.skip("needs real data: set DLHW_DATA to the folder of data sets")
    return Path(folder)
