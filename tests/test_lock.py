"""requirements.lock pins what pyproject.toml asks for, once for each platform and Python, with hashes and from no named place."""

import ast
import re
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
LOCK = (ROOT / "requirements.lock").read_text(encoding="utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PLATFORMS = {"linux": ("Linux", "x86_64"), "darwin": ("Darwin", "arm64"), "win32": ("Windows", "AMD64")}
DIRECT = [Requirement(text) for text in PROJECT["project"]["dependencies"] + PROJECT["dependency-groups"]["dev"]]

# What is imported under another name than it is installed by.
DISTRIBUTIONS = {"Bio": "biopython", "PIL": "pillow", "sklearn": "scikit-learn", "yaml": "pyyaml", "hydra": "hydra-core"}


def locked() -> list[tuple[Requirement, list[str]]]:
    """Each pinned requirement with its hashes."""
    lines = LOCK.replace("\\\n", " ").splitlines()
    words = [line.split("--hash=") for line in lines if line and not line.lstrip().startswith("#")]
    return [(Requirement(first), [text.strip() for text in hashes]) for first, *hashes in words]


def version(pin: Requirement) -> str:
    [specifier] = pin.specifier
    assert specifier.operator == "==", f"{pin} is not pinned"
    return specifier.version


def test_every_pin_is_exact_and_has_hashes() -> None:
    for pin, hashes in locked():
        assert version(pin)
        assert pin.url is None
        assert hashes, f"{pin} has no hash"
        assert all(re.fullmatch("sha256:[0-9a-f]{64}", text) for text in hashes)


@pytest.mark.parametrize("python", ["3.11", "3.12", "3.13"])
@pytest.mark.parametrize("platform", PLATFORMS)
def test_direct_dependencies_are_pinned_within_their_ranges(platform: str, python: str) -> None:
    system, machine = PLATFORMS[platform]
    environment = default_environment() | {
        "sys_platform": platform,
        "platform_system": system,
        "platform_machine": machine,
        "python_version": python,
        "python_full_version": f"{python}.1",
    }
    pins: dict[str, list[str]] = {}
    for pin, _ in locked():
        if pin.marker is None or pin.marker.evaluate(environment):
            pins.setdefault(canonicalize_name(pin.name), []).append(version(pin))
    assert [name for name, versions in pins.items() if len(versions) > 1] == []
    for wanted in DIRECT:
        versions = pins.get(canonicalize_name(wanted.name), [])
        assert [text for text in versions if text in wanted.specifier], f"{wanted} is not in requirements.lock: run make lock"


def test_lock_names_no_place_and_says_how_it_was_made() -> None:
    assert "make lock" in LOCK[:200]
    assert "://" not in LOCK
    assert "index-url" not in LOCK
    assert not (ROOT / "uv.lock").exists()  # one lock file, not two


def test_imports_are_direct_dependencies() -> None:
    """What the code imports stands in pyproject.toml, and does not merely come along with something else."""
    direct = {canonicalize_name(wanted.name) for wanted in DIRECT}
    ours = {"dlhw", "benchmarks", "train", "predict", "hydra_plugins"}
    files = [ROOT / "train.py", ROOT / "predict.py", *(ROOT / "dlhw").rglob("*.py"), *(ROOT / "benchmarks").rglob("*.py")]
    missing = set()
    for path in files:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else []
            names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            top = {name.partition(".")[0] for name in names} - ours - sys.stdlib_module_names
            missing |= {(path.name, name) for name in top if canonicalize_name(DISTRIBUTIONS.get(name, name)) not in direct}
    assert not missing
