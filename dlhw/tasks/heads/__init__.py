"""How a network's outputs become a loss and texts: by CTC, or symbol by symbol."""

from typing import Any, Protocol

from torch import Tensor, nn

from dlhw.decoding import Decode, Hypotheses
from dlhw.errors import UserError


class Head(Protocol):
    """What :class:`dlhw.tasks.transcribe.Transcription` asks of a head, which has no weights. ``inputs`` are whatever the network takes."""

    def check(self, settings: Decode) -> None:
        """Refuse settings that this head has no use for.

        Raises:
            UserError: one of them asks for something; names it.
        """

    def losses(self, net: nn.Module, inputs: Any, targets: Tensor, smoothing: float = 0.0) -> Tensor:
        """The loss of each text in nats, summed over its symbols: (B,). ``targets`` are int64 (B, T): ids, end, padding.

        ``smoothing``: label smoothing, which the training asks for and the evaluation does not. The caller divides the sum over the batch
        by its symbols (with one end a text), so a loss is in nats per symbol for every head.
        """

    def decode(self, net: nn.Module, inputs: Any, settings: Decode, index: Tensor | None = None) -> Hypotheses:
        """Texts by ``settings.method``; ``net`` is in eval mode and nothing is differentiated.

        ``index`` int64 (B,): the number of each input, on which the draws of nucleus sampling depend; None counts from 0.
        """


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
