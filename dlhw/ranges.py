"""The ranges of knobs: a line for each check, and the same words to the user everywhere. Their types are checked by :mod:`dlhw.knobs`."""

from collections.abc import Callable, Sequence
from typing import Any

from dlhw.errors import UserError


def check(group: str, right: str, fits: Callable[[Any], bool], **knobs: float | Sequence[float] | None) -> None:
    """Refuse knobs of which a value does not fit; each is a number, or several that must all fit, or None where ``fits`` takes that.

    Args:
        group: what stands before the name, such as ``model`` or ``task.data``.
        right: what would be right, in words.

    Raises:
        UserError: naming the knob, its value and ``right``.
    """
    for name, value in knobs.items():
        several = isinstance(value, Sequence) and not isinstance(value, str)
        values: Sequence[Any] = value if several else [value]  # type: ignore[assignment]
        if not all(map(fits, values)):
            shown = f"[{', '.join(map(str, values))}]" if several else value
            raise UserError(f"{group}.{name}={shown} is out of range: {'each ' if several else ''}{right}")


def check_at_least(least: float, group: str, **knobs: float | Sequence[float]) -> None:
    """Refuse knobs below ``least``; see :func:`check`."""
    check(group, f"at least {least}" if least else "0 or more", lambda value: value >= least, **knobs)


def check_shares(group: str, **knobs: float | Sequence[float]) -> None:
    """Refuse shares that are not 0 to below 1, as those of values to drop; see :func:`check`."""
    check(group, "0 to below 1", lambda value: 0 <= value < 1, **knobs)


def check_within(length: int, **sizes: int) -> None:
    """Refuse sizes of a network that are not 1 to ``length`` positions, that of the sequences; see :func:`check`."""
    check("model", f"1 to {length}, the length of the sequences", lambda size: 1 <= size <= length, **sizes)


def check_split(**shares: float) -> None:
    """Refuse shares of validation and test that are not between 0 and 1 each, or leave nothing to train on; see :func:`check`."""
    check("task.data", "a share between 0 and 1", lambda share: 0 < share < 1, **shares)
    if sum(shares.values()) >= 1:
        said = " and ".join(f"{name}={share}" for name, share in shares.items())
        raise UserError(f"task.data.{said} leave nothing to train on: together below 1 is right")
