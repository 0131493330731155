"""Every command in README.md exists and takes the words that it is given; nothing is trained or installed."""

import importlib
import itertools
import re
import shlex
import shutil
import subprocess
import sys
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from hydra.core.global_hydra import GlobalHydra
from omegaconf import DictConfig

from dlhw.config import check
from dlhw.errors import UserError
from dlhw.explain.options import TOOL as EXPLAIN
from dlhw.launch import hydra_main
from dlhw.predict.options import TOOL as PREDICT
from dlhw.report.build import build
from dlhw.report.claims import load_claims
from dlhw.report.runs import load_records

ROOT = Path(__file__).parent.parent
PYTHON = ("python", "python3", ".venv/bin/python")


def shell_commands(markdown: str) -> list[str]:
    """The commands of all blocks marked ``sh``, each as one line without its comment."""
    blocks = "\n".join(re.findall(r"^```sh\n(.*?)^```", markdown, flags=re.MULTILINE | re.DOTALL))
    return [shlex.join(words) for line in blocks.replace("\\\n", " ").splitlines() if (words := shlex.split(line, comments=True))]


def try_out(command: str) -> None:
    """Go as far with a command as is possible without doing its work; raises where it would fail."""
    match shlex.split(command):
        case ["make", *words]:
            if shutil.which("make") is None:
                pytest.skip("needs make")
            subprocess.run(["make", "-n", *words], cwd=ROOT, check=True, capture_output=True)
        case [python, "train.py", *words] if python in PYTHON:
            compose(words)
        case [python, "predict.py", *words] if python in PYTHON:
            PREDICT.given(words)
        case [python, "-m", "dlhw.explain", *words] if python in PYTHON:
            EXPLAIN.given(words)
        case [python, "-m", module, *words] if python in PYTHON and module.startswith("dlhw."):
            ask_for_help(module, words)
        case [python, "-m", "venv" | "pip", *words] if python in PYTHON:
            assert_files_are_there(words)
        case [".venv/bin/uv", "pip", *words]:
            assert_files_are_there(words)
        case ["git", "clone", *_] | ["cd", _]:
            pass
        case _:
            raise AssertionError(f"this test does not know how to try: {command}")


def compose(words: list[str]) -> None:
    """Compose and check the configuration of ``python train.py WORDS``, with -m that of every run of the sweep, for one seed."""
    if "-m" in words and not any(word.startswith("seed=") for word in words):
        words = ["seed=0", *words]
    checked = 0

    def only_check(cfg: DictConfig) -> None:
        nonlocal checked
        check(cfg)
        checked += 1

    GlobalHydra.instance().clear()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", [str(ROOT / "train.py"), *words])
        try:
            hydra_main(only_check)
        except SystemExit as end:
            if end.code:  # 0 after --help; else a key, a group or a value is wrong
                raise
    assert checked or {"--help", "--cfg", "--info"} & set(words)


def ask_for_help(module: str, words: list[str]) -> None:
    """Ask the tool for its help behind ``words``: it ends with 0 where they are right so far, and the help names every option."""
    tool = importlib.import_module(f"{module}.__main__" if (ROOT / module.replace(".", "/")).is_dir() else module)
    with redirect_stdout(StringIO()) as text, pytest.raises(SystemExit) as end:
        tool.main([*words, "--help"])
    assert end.value.code == 0
    unknown = [word for word in words if word.startswith("-") and word.partition("=")[0] not in text.getvalue().split()]
    assert not unknown, f"{module} has no {', '.join(unknown)}"


def assert_files_are_there(words: list[str]) -> None:
    named = [after for word, after in itertools.pairwise(words) if word in ("-r", "-c")]
    assert all((ROOT / name).is_file() for name in named), named


@pytest.mark.parametrize("command", shell_commands((ROOT / "README.md").read_text(encoding="utf-8")))
def test_readme_command(command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    try_out(command)


def test_shell_commands_are_found() -> None:
    first = "```sh\nmake demo  # two\n\npython train.py \\\n    seed=1\n```\n"
    markdown = first + "text\n```python\nno\n```\n```sh\n# none\n.venv/bin/uv pip list\n```\n"
    assert shell_commands(markdown) == ["make demo", "python train.py seed=1", ".venv/bin/uv pip list"]


@pytest.mark.parametrize(
    "command",
    [
        "make nonesuch",
        "python train.py task=digits optim.lrr=1",
        "python train.py task=digits model=nonesuch",
        "python train.py task=digits model.nonesuch=1,2 -m",
        "python train.py experiment=digits/nonesuch -m",
        "python train.py optim.lr=-1",
        "python predict.py run=outputs/digits/cnn_pool/seed-0",
        "python -m dlhw.nonesuch",
        "python -m dlhw.results nonesuch outputs/digits",
        "python -m dlhw.results table outputs/digits --nonesuch",
        "python -m pip install -r nonesuch.txt",
        "nonesuch",
    ],
)
def test_wrong_command_is_noticed(command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises((SystemExit, AssertionError, UserError, ImportError, subprocess.CalledProcessError)):
        try_out(command)


def test_the_chapter_of_ones_own_is_a_chapter(trained_runs: Path, tmp_path: Path) -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    chapter = text[text.index("A chapter of your own") :]
    code, claims = (re.search(rf"^```{kind}\n(.*?)^```", chapter, flags=re.MULTILINE | re.DOTALL) for kind in ("python", "yaml"))
    assert code and claims
    (tmp_path / "claims.yaml").write_text(claims[1])
    named: dict[str, Any] = {}
    exec(code[1], named)
    built = build(named["PLAN"], load_records(trained_runs), load_claims(tmp_path / "claims.yaml"))
    results, verdicts = built.sections[2].tables[0], built.sections[-1].tables[0]
    assert [row[3] for row in results.rows] == ["2", "2"]
    assert [row[2] for row in verdicts.rows] == ["undecided (2 seeds, 3 are needed)"]
    assert named["PLAN"].experiments[0].overrides[0] == "experiment=digits/softmax"
