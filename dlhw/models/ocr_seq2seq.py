"""R16: pictures of text lines to letters by an attention decoder.

Legend: B batch, H height, W width, S steps along the line, T symbols of the text, V ids of the text, D width of the encoder's states.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from dlhw.layers.line_encoder import LineEncoder
from dlhw.models.seq2seq import LSTMDecoder, State
from dlhw.specs import LineSpec, wants


class OCRSeq2Seq(nn.Module):
    """The encoder of ``crnn_ctc``, and the decoder of ``seq2seq`` that writes symbol by symbol.

    The decoder starts from the encoder's last state of each direction. With attention, the place along the line is added to the states
    it looks at, as sines and cosines (Vaswani et al., Attention Is All You Need, 2017): the same letter stands on a line many times.

    Args:
        attention: none, bahdanau, dot.
        decoder: hidden width of the decoder.
        channels, pools, hidden, layers, dropout: see :class:`dlhw.layers.line_encoder.LineEncoder`.

    Shapes: ink (B, 1, H, W) with widths (B,), and the symbols before, (B, T) -> logits (B, T, V).
    """

    head = "autoregressive"

    def __init__(
        self,
        spec: LineSpec,
        *,
        attention: str = "bahdanau",
        decoder: int = 256,
        channels: Sequence[int] = (16, 32, 64, 128),
        pools: Sequence[Sequence[int]] = ((2, 2), (2, 2), (2, 1), (2, 1)),
        hidden: int = 192,
        layers: int = 2,
        dropout: float = 0.3,
    ) -> None:
        super().__init__()
        wants(spec, LineSpec, "ocr_seq2seq")
        self.encoder = LineEncoder(spec.height, channels, pools, hidden, layers, dropout)
        self.decoder = LSTMDecoder(spec.outputs, decoder, self.encoder.width, attention, dropout)
        self.start = nn.Linear(self.encoder.width, 2 * decoder)

    def encode(self, inputs: tuple[Tensor, Tensor]) -> tuple[State, State]:
        """Memory and first state of the decoder."""
        states, lengths = self.encoder(*inputs)  # (B, S, D)
        half = states.shape[2] // 2
        rows = torch.arange(len(states), device=states.device)
        ends = torch.cat([states[rows, lengths - 1, :half], states[:, 0, half:]], dim=1)  # the last that each direction has read
        hidden, cell = self.start(ends).tanh().chunk(2, dim=1)
        mask = torch.arange(states.shape[1], device=states.device) < lengths[:, None]
        return self.decoder.memory(states + places(states), mask), (hidden, cell)

    def step(self, previous: Tensor, state: State, memory: State) -> tuple[Tensor, State, Tensor | None]:
        """One symbol: the ids before, (B,) -> logits (B, V), the next state, attention (B, S)."""
        logits, state, weights = self.decoder(previous.unsqueeze(1), state, memory)
        return logits[:, 0], state, None if weights is None else weights[:, 0]

    def forced(self, previous: Tensor, state: State, memory: State) -> Tensor:
        """All symbols at once: the ids before each, (B, T) -> logits (B, T, V)."""
        return self.decoder(previous, state, memory)[0]

    def forward(self, inputs: tuple[Tensor, Tensor], previous: Tensor) -> Tensor:
        memory, state = self.encode(inputs)
        return self.forced(previous, state, memory)


def places(states: Tensor) -> Tensor:
    """Sines and cosines of the place along the line, with periods of 2 pi to 2,000 pi steps: (S, D) for states (B, S, D)."""
    _, steps, width = states.shape
    rates = torch.exp(torch.arange(0, width, 2, device=states.device) * (-math.log(1000.0) / width))
    angles = torch.arange(steps, device=states.device)[:, None] * rates
    return torch.stack([angles.sin(), angles.cos()], dim=2).flatten(1)[:, :width].to(states.dtype)
