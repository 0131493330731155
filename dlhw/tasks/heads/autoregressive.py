"""The head of networks that write symbol by symbol: trained with all symbols before given, decoded with its own."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dlhw.decoding import Decode, Hypotheses
from dlhw.decoding import autoregressive as decoders
from dlhw.errors import UserError
from dlhw.specs import BOS, PAD


class Autoregressive:
    """Cross-entropy of every symbol and of the end."""

    def check(self, settings: Decode) -> None:
        """Refuse the language model and the bonus, which only the beam search of CTC has."""
        for name in ("lm_weight", "symbol_bonus"):
            if value := getattr(settings, name):
                raise UserError(f"task.decode.{name}={value} is for CTC: a network that writes symbol by symbol takes 0")

    def losses(self, net: nn.Module, inputs: Any, targets: Tensor, smoothing: float = 0.0) -> Tensor:
        """Teacher forcing: (B,) nats, summed over the symbols of each text. ``targets`` int64 (B, T)."""
        previous = F.pad(targets[:, :-1], (1, 0), value=BOS)
        logits = net(inputs, previous).float()  # (B, T, V)
        return F.cross_entropy(logits.transpose(1, 2), targets, ignore_index=PAD, reduction="none", label_smoothing=smoothing).sum(dim=1)

    def decode(self, net: Any, inputs: Any, settings: Decode, index: Tensor | None = None) -> Hypotheses:
        """See :func:`dlhw.decoding.autoregressive.decode`."""
        with torch.no_grad():
            return decoders.decode(net, inputs, settings, index)
