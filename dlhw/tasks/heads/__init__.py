"""How a network's outputs become a loss and texts: by CTC, or symbol by symbol."""

from collections.abc import Collection, Sequence
from dataclasses import fields, replace
from typing import Any, Protocol

from torch import Tensor, nn

from dlhw.decoding import Decode, Hypotheses
from dlhw.errors import UserError


class Head(Protocol):
    """What :class:`dlhw.tasks.transcribe.Transcription` asks of a head, which has no weights. ``inputs`` are whatever the network takes."""

    kind: str  # what its networks are called
    methods: Sequence[str]  # of those in dlhw.decoding.METHODS

    def used(self, settings: Decode) -> frozenset[str]:
        """The names of the settings that count under ``settings.method``."""

    def losses(self, net: nn.Module, inputs: Any, targets: Tensor, smoothing: float = 0.0) -> Tensor:
        """The loss of each text in nats, summed over its symbols: (B,). ``targets`` are int64 (B, T): ids, end, padding.

        ``smoothing``: label smoothing, which the training asks for and the evaluation does not. The caller divides the sum over the batch
        by its symbols (with one end a text), so a loss is in nats per symbol for every head.
        """

    def decode(self, net: nn.Module, inputs: Any, settings: Decode, index: Tensor | None = None) -> Hypotheses:
        """Texts by ``settings.method``; ``net`` is in eval mode and nothing is differentiated.

        ``index`` int64 (B,): the number of each input, on which the draws of nucleus sampling depend; None counts from 0.
        """

    def evaluate(
        self, net: nn.Module, inputs: Any, targets: Tensor, settings: Decode, index: Tensor | None = None
    ) -> tuple[Hypotheses, Tensor]:
        """Texts and losses, as :meth:`decode` and :meth:`losses` give them, with the inputs read once."""


def check(head: Head, settings: Decode) -> None:
    """Refuse what would do nothing in a training: settings that neither the method of the test nor that of the validation looks at.

    ``max_symbols`` may always be set: a task does it for all of its networks. So may ``length_power`` where a beam of the head takes it: a
    recipe does it, which may be trained with another decoder.

    Raises:
        UserError: one of them is not at its default, or the head lacks the method; names it.
    """
    changed = [field.name for field in fields(settings) if getattr(settings, field.name) != field.default]
    of_validation = replace(settings, method=settings.validation)
    recipe = head.used(replace(settings, method="beam")) & {"length_power"}
    used = used_by(head, settings) | used_by(head, of_validation, "validation") | recipe | {"method", "validation", "max_symbols"}
    refuse(head, settings, [name for name in changed if name not in used])


def check_given(head: Head, settings: Decode, given: Collection[str]) -> None:
    """Refuse what would do nothing when a finished run is decoded: names of settings that were asked for.

    Raises:
        UserError: the method does not look at one of them, or the head lacks the method; names it.
    """
    used = used_by(head, settings) | {"method"}
    refuse(head, settings, [name for name in given if name not in used])


def used_by(head: Head, settings: Decode, key: str = "method") -> frozenset[str]:
    """The settings that count; ``key`` is what the method was given as.

    Raises:
        UserError: the head lacks the method.
    """
    if settings.method not in head.methods:
        raise UserError(f"task.decode.{key}={settings.method} is not for {head.kind}: {' or '.join(head.methods)} is right")
    return head.used(settings)


def refuse(head: Head, settings: Decode, unused: Sequence[str]) -> None:
    """Raises:
    UserError: there is an unused one; tells which settings count.
    """
    for name in unused:
        asked = [field.name for field in fields(settings) if field.name in head.used(settings)]
        raise UserError(
            f"task.decode.{name}={getattr(settings, name)} would do nothing: {head.kind} with method={settings.method} "
            f"takes {', '.join(asked) or 'no further settings'}"
        )


def head_of(net: nn.Module) -> Head:
    """The head that a network names in its attribute ``head``.

    Raises:
        UserError: a network that transcribes nothing.
    """
    match getattr(net, "head", None):
        case "autoregressive":
            from dlhw.tasks.heads.autoregressive import Autoregressive

            return Autoregressive()
        case "ctc":
            from dlhw.tasks.heads.ctc import CTC

            return CTC()
    raise UserError(f"{type(net).__name__} gives no text (it has no head): choose another model for this task")
