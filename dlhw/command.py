"""How the command line tools end."""

import os
import sys
from collections.abc import Callable
from typing import NoReturn

from dlhw.errors import UserError


def run(tool: Callable[[list[str]], int]) -> NoReturn:
    """Call ``tool`` with the arguments of the command line and end with its exit status; a wrong input becomes one line and status 1."""
    try:
        status = tool(sys.argv[1:])
        sys.stdout.flush()
        sys.exit(status)
    except UserError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:
        nobody_reads_on()
        sys.exit(128 + 13)  # as a shell says it of SIGPIPE


def nobody_reads_on() -> None:
    """Send what is still to be written to standard output nowhere: its reader has seen enough, as in ``| head``."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
