"""The notebooks are stored without outputs, and each runs from top to bottom and shows what it says, without data sets."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

import matplotlib.font_manager  # noqa: F401 - builds its cache here, and not with a warning in a notebook
import nbformat
import pytest
from jupyter_client import KernelManager
from nbclient import NotebookClient
from test_readme import shell_commands, try_out

from dlhw.report.chapters import plans

ROOT = Path(__file__).parent.parent
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
START = "start_here"


def read(path: Path) -> nbformat.NotebookNode:
    return nbformat.read(path, as_version=nbformat.NO_CONVERT)


def cells(notebook: nbformat.NotebookNode, kind: str) -> list[nbformat.NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == kind]


def prose(path: Path) -> str:
    return "\n".join(cell.source for cell in cells(read(path), "markdown"))


def test_there_is_one_for_each_chapter() -> None:
    assert {path.stem for path in NOTEBOOKS} == {START, *plans()} - {"digits"}  # which the one on blood cells shows


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_stored_without_outputs(path: Path) -> None:
    notebook = read(path)
    nbformat.validate(notebook)
    assert notebook.metadata == {"language_info": {"name": "python"}}
    for cell in notebook.cells:
        assert cell.metadata == {} and cell.source.strip()
    for cell in cells(notebook, "code"):
        assert cell.outputs == [] and cell.execution_count is None


README = shell_commands((ROOT / "README.md").read_text(encoding="utf-8"))  # are tried out elsewhere


@pytest.mark.parametrize("command", sorted({command for path in NOTEBOOKS for command in shell_commands(prose(path))} - {*README}))
def test_commands_in_the_prose(command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    try_out(command)


def test_links_lead_to_notebooks() -> None:
    links = {link for path in NOTEBOOKS for link in re.findall(r"\]\((.+?)\)", prose(path))}
    assert links == {path.name for path in NOTEBOOKS if path.stem != START}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that looks like the project, in which notebooks may leave what they like."""
    folder = tmp_path_factory.mktemp("project")
    for name in ("notebooks", "outputs"):
        (folder / name).mkdir()
    for name in ("dlhw", "conf", "train.py", "predict.py", "outputs/reference"):
        (folder / name).symlink_to(ROOT / name)
    return folder


@pytest.fixture(scope="module")
def kernel(project: Path) -> Iterator[KernelManager]:
    """One kernel for all notebooks, which would spend most of their time on importing torch. It knows of no data set."""
    manager = KernelManager(connection_file=str(project / "kernel.json"))
    environment = {name: value for name, value in os.environ.items() if name != "DLHW_DATA"}
    environment |= {"OMP_NUM_THREADS": "1", "IPYTHONDIR": str(project / "ipython")}
    manager.start_kernel(cwd=str(project / "notebooks"), env=environment)
    yield manager
    manager.shutdown_kernel(now=True)


def executed(path: Path, kernel: KernelManager) -> nbformat.NotebookNode:
    """The notebook with its outputs; fails where a cell does. It finds no name that another notebook has left."""
    notebook = read(path)
    notebook.cells.insert(0, nbformat.v4.new_code_cell("%reset -f"))
    NotebookClient(notebook, km=kernel, timeout=120).execute()
    return notebook


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_runs_and_shows(path: Path, kernel: KernelManager) -> None:
    outputs = [output for cell in cells(executed(path, kernel), "code") for output in cell.outputs]
    assert [output.text for output in outputs if output.get("name") == "stderr"] == []
    printed = "".join(output.text for output in outputs if output.get("name") == "stdout")
    assert 1 <= printed.count("\nstarted ") + printed.startswith("started ") == printed.count("\nfinished ")
    assert "<Figure" not in printed  # an empty one
    pages = "".join(output.data.get("text/html", "") for output in outputs if "data" in output)
    assert "<svg" in pages and any("image/png" in output.get("data", {}) for output in outputs)
    plan = plans()["digits" if path.stem == START else path.stem]
    table = pages[pages.index(f'id="{plan.name}-results"') :]
    assert {row.id for row in plan.rows} == set(re.findall(r'<tr><td class="text">(.+?)</td>', table[: table.index("</table>")]))
    if path.stem != START:
        assert re.search(r"<td[^>]*>(holds|does not hold|undecided \()", pages)
