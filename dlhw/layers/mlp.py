"""Fully connected layers, and the ranges of what networks are built with.

Legend: B batch, D width of the input, P outputs.
"""

from collections.abc import Sequence

from torch import nn

from dlhw.errors import UserError


def mlp(inputs: int, hidden: Sequence[int], outputs: int, dropout: float) -> nn.Sequential:
    """Linear layers of the widths ``hidden`` with ReLU, and a last one; dropout before each: (B, D) -> (B, P)."""
    layers: list[nn.Module] = []
    for width in hidden:
        layers += [nn.Dropout(dropout), nn.Linear(inputs, width), nn.ReLU()]
        inputs = width
    return nn.Sequential(*layers, nn.Dropout(dropout), nn.Linear(inputs, outputs))


def check_shares(**shares: float) -> None:
    """Refuse shares of values to drop that are not 0 to below 1; their keywords are those of the network.

    Raises:
        UserError: naming the knob.
    """
    for name, share in shares.items():
        if not 0 <= share < 1:
            raise UserError(f"model.{name}={share} is out of range: 0 to below 1")


def check_within(length: int, **sizes: int) -> None:
    """Refuse what is not 1 to ``length`` positions long, that of the sequences; the keywords are those of the network.

    Raises:
        UserError: naming the knob.
    """
    for name, size in sizes.items():
        if not 1 <= size <= length:
            raise UserError(f"model.{name}={size} is out of range: 1 to {length}, the length of the sequences")
