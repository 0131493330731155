"""Sequence to sequence with LSTMs: an encoder of both directions, and a decoder that writes symbol by symbol.

Legend: B batch, S symbols of the source, T symbols of the target, V ids of the target, H hidden width of the decoder, M width of the
encoder's outputs.

A network that writes symbol by symbol has ``head = "autoregressive"``, ``encode(inputs) -> memory, state``, then for decoding
``step(previous, state, memory)``, and ``forced(previous, state, memory)`` where all symbols before are known; ``forward(inputs, previous)``
is both, for the training. ``memory`` and ``state`` are tuples of tensors with the batch along the first axis, so that a decoder can
repeat and reorder hypotheses.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from dlhw.errors import UserError
from dlhw.layers.attention import ATTENTIONS
from dlhw.layers.lstm import LSTM
from dlhw.ranges import check, check_at_least, check_shares
from dlhw.specs import PAD, TextSpec, wants

State = tuple[Tensor, ...]


class LSTMEncoder(nn.Module):
    """Embedded ids through a bidirectional LSTM that never sees padding.

    Args:
        ids: number of ids.
        embedding: width of their embeddings.
        hidden: per direction.
        layers: of the LSTM.
        dropout: share of the embeddings' values, and of those between two layers, that are dropped.
    """

    def __init__(self, ids: int, embedding: int, hidden: int, layers: int, dropout: float) -> None:
        super().__init__()
        self.embedding = nn.Embedding(ids, embedding)
        self.dropout = nn.Dropout(dropout)
        self.lstm = LSTM(embedding, hidden, layers, batch_first=True, bidirectional=True, dropout=dropout if layers > 1 else 0.0)

    def forward(self, source: Tensor) -> tuple[Tensor, Tensor, State]:
        """Ids (B, S), padded at the end -> outputs (B, S', 2 H), mask (B, S'), and the last state of both directions, (B, 2 H) twice."""
        lengths = (source != PAD).sum(dim=1).clamp(min=1)
        embedded = self.dropout(self.embedding(source[:, : int(lengths.max())].long()))  # (B, S', E)
        packed, (hidden, cell) = self.lstm(pack_padded_sequence(embedded, lengths.cpu(), batch_first=True, enforce_sorted=False))
        outputs, _ = pad_packed_sequence(packed, batch_first=True)
        mask = torch.arange(outputs.shape[1], device=source.device) < lengths.unsqueeze(1)
        return outputs, mask, (hidden[-2:].transpose(0, 1).flatten(1), cell[-2:].transpose(0, 1).flatten(1))


class LSTMDecoder(nn.Module):
    """An LSTM over the symbols written so far, whose state looks at the memory by attention: s~ = tanh(Wout [c; s]).

    The output layer has no weights of its own: a symbol's logit is the product of s~ with its embedding.

    Args:
        symbols: V.
        hidden: H, also the width of the embeddings.
        memory: M; of any encoder.
        attention: none, bahdanau, dot.
        dropout: share of the values of embeddings and of outputs that are dropped.
    """

    def __init__(self, symbols: int, hidden: int, memory: int, attention: str, dropout: float) -> None:
        super().__init__()
        self.embedding = nn.Embedding(symbols, hidden)
        nn.init.normal_(self.embedding.weight, std=hidden**-0.5)  # as output layer: torch's 1 would start with logits of tens
        self.lstm = LSTM(hidden, hidden, batch_first=True)
        self.attention, self.combine = None, None
        if attention != "none":
            if attention not in ATTENTIONS:
                raise UserError(f"model.attention={attention} is not one of none, {', '.join(ATTENTIONS)}")
            self.attention = ATTENTIONS[attention](hidden, memory, hidden)
            self.combine = nn.Linear(memory + hidden, hidden, bias=False)
        self.dropout = nn.Dropout(dropout)

    def memory(self, outputs: Tensor, mask: Tensor) -> State:
        """What every step needs of an encoder's outputs (B, S, M) and their mask, bool (B, S)."""
        return (outputs, mask, self.attention.keys(outputs)) if self.attention else (mask,)

    def forward(self, previous: Tensor, state: State, memory: State) -> tuple[Tensor, State, Tensor | None]:
        """Any number of symbols at once.

        Args:
            previous: ids (B, T), each the symbol before the one that is asked for.
            state: hidden and cell state before them, (B, H) each.
            memory: from :meth:`memory`.

        Returns:
            Logits (B, T, V), the state behind them, and the weights of the attention (B, T, S) where there is one.
        """
        embedded = self.dropout(self.embedding(previous))  # (B, T, H)
        hidden, (last, cell) = self.lstm(embedded, (state[0].unsqueeze(0), state[1].unsqueeze(0)))
        weights = None
        if self.attention is not None and self.combine is not None:
            outputs, mask, keys = memory
            context, weights = self.attention(hidden, keys, outputs, mask)
            hidden = self.combine(torch.cat([context, hidden], dim=-1)).tanh()
        logits = F.linear(self.dropout(hidden), self.embedding.weight)
        return logits, (last.squeeze(0), cell.squeeze(0)), weights


class Seq2Seq(nn.Module):
    """R12 to R14 of the course reports: phones in, letters out.

    Args:
        embedding: width of the source's embeddings.
        hidden: of the decoder, and of both directions of the encoder together, so that the encoder's last state starts the decoder.
        attention: none, bahdanau, dot.
        dropout: share of the values of embeddings and outputs that are dropped.

    Shapes: ids (B, S) and the symbols before, (B, T) -> logits (B, T, V).
    """

    head = "autoregressive"

    def __init__(
        self, spec: TextSpec, *, embedding: int = 128, hidden: int = 128, attention: str = "bahdanau", dropout: float = 0.3
    ) -> None:
        super().__init__()
        wants(spec, TextSpec, "seq2seq")
        check(
            "model",
            "even, at least 2, half of it for each direction of the encoder",
            lambda size: size >= 2 and not size % 2,
            hidden=hidden,
        )
        check_at_least(1, "model", embedding=embedding)
        check_shares("model", dropout=dropout)
        self.encoder = LSTMEncoder(spec.inputs, embedding, hidden // 2, layers=1, dropout=dropout)
        self.decoder = LSTMDecoder(spec.outputs, hidden, hidden, attention, dropout)

    def encode(self, inputs: Any) -> tuple[State, State]:
        """Memory and first state of the decoder."""
        outputs, mask, state = self.encoder(inputs)
        return self.decoder.memory(outputs, mask), state

    def step(self, previous: Tensor, state: State, memory: State) -> tuple[Tensor, State, Tensor | None]:
        """One symbol: the ids before, (B,) -> logits (B, V), the next state, attention (B, S)."""
        logits, state, weights = self.decoder(previous.unsqueeze(1), state, memory)
        return logits[:, 0], state, None if weights is None else weights[:, 0]

    def forced(self, previous: Tensor, state: State, memory: State) -> Tensor:
        """All symbols at once: the ids before each, (B, T) -> logits (B, T, V)."""
        return self.decoder(previous, state, memory)[0]

    def forward(self, inputs: Any, previous: Tensor) -> Tensor:
        memory, state = self.encode(inputs)
        return self.forced(previous, state, memory)
