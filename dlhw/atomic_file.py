"""Files that are written whole or not at all."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from dlhw.errors import UserError

TEMPORARY = ".writing"  # the ending of a file that is being written


def write_text(path: Path, text: str) -> None:
    """Write a file whole or not at all: under a temporary name, flushed to the disk, then renamed.

    Raises:
        UserError: the disk is full or the folder cannot be written; the file that was there before is left as it was.
    """
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary name beside ``path``; what has been written there takes its place once the block has ended without an error."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}-{time.monotonic_ns()}{TEMPORARY}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink()
        raise UserError(
            f"{path} could not be written ({error.strerror or error}); what was there before is whole; "
            "make room, or the folder writable, and start again"
        ) from None
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise
