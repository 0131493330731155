"""The head of networks that write symbol by symbol: trained with all symbols before given, decoded with its own."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dlhw.decoding import METHODS, Decode, Hypotheses
from dlhw.decoding import autoregressive as decoders
from dlhw.specs import BOS, EOS, FIRST, PAD


class Autoregressive:
    """Cross-entropy of every symbol and of the end."""

    kind = "a network that writes symbol by symbol"
    methods: Sequence[str] = METHODS

    def used(self, settings: Decode) -> frozenset[str]:
        """See :class:`dlhw.tasks.heads.Head`."""
        of_method = {"greedy": (), "beam": ("width", "length_power", "k"), "nucleus": ("p", "k", "seed")}[settings.method]
        return frozenset({*of_method, "max_symbols"})

    def losses(self, net: nn.Module, inputs: Any, targets: Tensor, smoothing: float = 0.0) -> Tensor:
        """Teacher forcing: (B,) nats, summed over the symbols of each text. ``targets`` int64 (B, T)."""
        return cross_entropy(net(inputs, before(targets)), targets, smoothing)

    @torch.no_grad()
    def decode(self, net: Any, inputs: Any, settings: Decode, index: Tensor | None = None) -> Hypotheses:
        """See :func:`dlhw.decoding.autoregressive.decode`."""
        return decoders.decode(net, inputs, settings, index)

    @torch.no_grad()
    def evaluate(self, net: Any, inputs: Any, targets: Tensor, settings: Decode, index: Tensor | None = None) -> tuple[Hypotheses, Tensor]:
        """See :class:`dlhw.tasks.heads.Head`: the encoder works once."""
        memory, state = net.encode(inputs)
        losses = cross_entropy(net.forced(before(targets), state, memory), targets)
        return decoders.decode_from(net, memory, state, settings, index), losses


def before(targets: Tensor) -> Tensor:
    """The symbol before each of ``targets``: (B, T)."""
    return F.pad(targets[:, :-1], (1, 0), value=BOS)


def cross_entropy(logits: Tensor, targets: Tensor, smoothing: float = 0.0) -> Tensor:
    """The loss of each text, (B,), of logits (B, T, V) and ids (B, T); smoothing is spread over the symbols that can be written."""
    log_p = logits.float().log_softmax(dim=2)
    losses = F.nll_loss(log_p.transpose(1, 2), targets, ignore_index=PAD, reduction="none")
    if smoothing:
        spread = -torch.cat([log_p[..., EOS : EOS + 1], log_p[..., FIRST:]], dim=2).mean(dim=2).masked_fill(targets == PAD, 0.0)
        losses = (1 - smoothing) * losses + smoothing * spread
    return losses.sum(dim=1)
