"""What may import what: models know specs, tasks know batches, only the run layer knows Hydra, the report knows results."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "dlhw"
FILES = sorted(PACKAGE.rglob("*.py"))

# Files by the beginning of their path below dlhw/, and what they must not import.
FORBIDDEN = {
    "layers/": ("dlhw.models", "dlhw.tasks", "dlhw.data", "lightning", "omegaconf"),
    "models/": ("dlhw.tasks", "dlhw.data", "dlhw.callbacks", "lightning", "omegaconf"),
    "tasks/": ("dlhw.models", "dlhw.layers", "dlhw.callbacks", "dlhw.training", "omegaconf"),
    "data/": ("dlhw.models", "dlhw.tasks", "dlhw.callbacks", "omegaconf"),
    "callbacks/": ("dlhw.models", "dlhw.tasks", "dlhw.training", "omegaconf"),
    "report/": ("dlhw.models", "dlhw.tasks", "dlhw.data", "dlhw.callbacks", "dlhw.training", "dlhw.checkpoint_file", "lightning", "torch"),
    "results/": ("dlhw.report", "dlhw.models", "dlhw.callbacks"),
    "explain/": ("dlhw.callbacks", "lightning", "omegaconf"),
    "predict/": ("dlhw.callbacks", "dlhw.training", "lightning", "omegaconf"),
    "options.py": ("torch", "numpy", "lightning", "omegaconf"),
    "specs.py": ("torch", "numpy", "lightning", "omegaconf"),
    "errors.py": ("torch", "numpy", "lightning", "omegaconf", "dlhw"),
    "hydra_guard.py": ("torch", "numpy", "lightning"),
    "launch.py": ("torch", "numpy", "lightning"),
    "config.py": ("torch", "numpy", "lightning"),
    "run.py": ("torch", "numpy", "lightning"),
    "run_files.py": ("torch", "numpy", "lightning"),
    "run_folder.py": ("torch", "numpy", "lightning"),
    "atomic_file.py": ("torch", "numpy", "lightning"),
}
MAY_IMPORT_HYDRA = {
    "composition_errors.py",
    "config.py",
    "hydra_guard.py",
    "launch.py",
    "result.py",
    "run_folder.py",
    "results/verify.py",
    "trainer.py",
    "training.py",
}


def imports(path: Path) -> set[str]:
    """The dotted names that a file imports, wherever in it; of ``from a import b`` both ``a`` and ``a.b``."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            assert node.module
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def of(found: set[str], package: str) -> set[str]:
    return {name for name in found if name == package or name.startswith(f"{package}.")}


@pytest.mark.parametrize("part", FORBIDDEN)
def test_layers(part: str) -> None:
    files = [path for path in FILES if path.relative_to(PACKAGE).as_posix().startswith(part)]
    assert files
    wrong = [f"{path.name}: {name}" for path in files for package in FORBIDDEN[part] for name in sorted(of(imports(path), package))]
    assert not wrong


def test_hydra_stays_in_the_run_layer() -> None:
    users = {path.relative_to(PACKAGE).as_posix() for path in FILES if of(imports(path), "hydra")}
    assert users <= MAY_IMPORT_HYDRA | {"plugins/hydra_plugins/grid_sweeper.py"}


def test_the_chapters_of_the_report_need_no_torch() -> None:
    code = (
        "import sys; from dlhw.report.chapters import plans; plans(); sys.exit(' '.join({'torch', 'lightning'} & sys.modules.keys()) or 0)"
    )
    ended = subprocess.run([sys.executable, "-c", code], cwd=PACKAGE.parent, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
