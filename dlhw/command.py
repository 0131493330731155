"""How the command line tools end."""

import sys
from collections.abc import Callable
from typing import NoReturn

from dlhw.errors import UserError


def run(tool: Callable[[list[str]], int]) -> NoReturn:
    """Call ``tool`` with the arguments of the command line and end with its exit status; a wrong input becomes one line and status 1."""
    try:
        sys.exit(tool(sys.argv[1:]))
    except UserError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        sys.exit(130)
