"""What may happen to a process, to be given as ``prepare`` to a command of :class:`harness.Shell`."""

import os
import signal
from pathlib import Path
from pkgutil import resolve_name
from typing import Any


def signal_at(where: str, name: str, call: int, signum: int) -> None:
    """The process sends itself a signal just before a function of a module, or a method of a class, is called for the
    ``call``-th time."""
    owner, count = resolve_name(where), iter(range(1, 1_000_000))
    original = getattr(owner, name)

    def counting(*arguments: Any, **options: Any) -> Any:
        if next(count) == call:
            os.kill(os.getpid(), signum)
        return original(*arguments, **options)

    setattr(owner, name, counting)


def kill_at_rename(number: int, *, before: bool) -> None:
    """The process ends with SIGKILL just before or after it renames a file for the ``number``-th time."""
    rename, count = os.replace, iter(range(1, 1_000_000))

    def replace(source: Path, target: Path) -> None:
        mine = next(count) == number
        if not (mine and before):
            rename(source, target)
        if mine:
            os.kill(os.getpid(), signal.SIGKILL)

    os.replace = replace  # type: ignore[assignment]
