"""What a user is told when something is wrong: one sentence, no stack trace."""

from collections.abc import Sequence


class UserError(Exception):
    """A wrong input, setting or file: says what is wrong, where, and what would be right."""


def listed(names: Sequence[str], most: int = 20) -> str:
    """Names for a message; of many, the first ones and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


class Diverged(UserError):
    """The training loss became NaN or infinite."""


class Terminated(KeyboardInterrupt):
    """SIGTERM at a place where no training is under way that could save where it is; handled as Ctrl-C is there."""


class Stopped(Exception):
    """A run was asked to stop by a signal and has saved where it was.

    ``signum`` is the signal; the process ends with status 128 + signum.
    """

    def __init__(self, signum: int, message: str) -> None:
        super().__init__(message)
        self.signum = signum
