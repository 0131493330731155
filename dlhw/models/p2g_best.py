"""The best single network found here for spelling: hard attention that only moves forward, summed over all its paths.

Legend: B batch, S symbols of the source, T symbols of the target, V ids of the target, H hidden width, M width of the encoder's outputs.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dlhw.layers.lstm import LSTM
from dlhw.models.seq2seq import LSTMEncoder, State
from dlhw.ranges import check, check_at_least, check_shares
from dlhw.specs import BOS, EOS, PAD, UNKNOWN, TextSpec, wants


class MonotonicSeq2Seq(nn.Module):
    """Every letter is written from one phone, and the phone of the next letter is the same or a later one.

    Which phones they are is not known, so the probability of a word is the sum over all paths, which the forward algorithm of a hidden
    Markov model gives in S T steps (Wu and Cotterell, 2019, "Exact Hard Monotonic Attention", https://arxiv.org/abs/1905.06319).
    Differences: the decoder starts from the encoder's last state; phones are dropped at random; embeddings and output layer are tied.

    Args:
        embedding: width of the phones' embeddings.
        hidden: H of the decoder, width of its embeddings, and of both directions of the encoder together.
        layers: of the encoder.
        dropout: share of the values that are dropped, of embeddings, between layers, and before the output layer.
        symbol_dropout: share of the phones, and of the letters written before, that are replaced by the unknown symbol in training.

    Shapes: ids (B, S) and the symbols before, (B, T) -> log-probabilities (B, T, V).
    """

    head = "autoregressive"

    def __init__(
        self,
        spec: TextSpec,
        *,
        embedding: int = 128,
        hidden: int = 192,
        layers: int = 2,
        dropout: float = 0.4,
        symbol_dropout: float = 0.0,
    ) -> None:
        super().__init__()
        wants(spec, TextSpec, "p2g_best")
        check_at_least(1, "model", embedding=embedding, layers=layers)
        check(
            "model",
            "even, at least 2, half of it for each direction of the encoder",
            lambda size: size >= 2 and not size % 2,
            hidden=hidden,
        )
        check_shares("model", dropout=dropout, symbol_dropout=symbol_dropout)
        self.symbol_dropout = symbol_dropout
        self.encoder = LSTMEncoder(spec.inputs, embedding, hidden // 2, layers, dropout)
        self.embedding = nn.Embedding(spec.outputs, hidden)
        nn.init.normal_(self.embedding.weight, std=hidden**-0.5)
        self.scale = hidden**0.5
        self.lstm = LSTM(hidden, hidden, batch_first=True)
        self.start = nn.Linear(hidden, 2 * hidden)
        self.jump = nn.Linear(hidden, hidden)
        self.of_state, self.of_phone = nn.Linear(hidden, hidden), nn.Linear(hidden, hidden, bias=False)
        self.bias = nn.Parameter(torch.zeros(spec.outputs))
        self.dropout = nn.Dropout(dropout)

    def encode(self, inputs: Any) -> tuple[State, State]:
        """Memory (what depends on the phones alone) and the first state, see :meth:`step`."""
        outputs, mask, (last, _) = self.encoder(self._dropped(inputs))
        outputs = self.dropout(outputs)
        hidden, cell = self.start(last).tanh().chunk(2, dim=1)
        at_begin = torch.full(mask.shape, float("-inf"), device=mask.device).index_fill(1, torch.tensor([0], device=mask.device), 0.0)
        no_emission = at_begin.new_zeros(*mask.shape, len(self.bias))
        return (outputs, self.of_phone(outputs), mask), (hidden, cell, at_begin, no_emission)

    def step(self, previous: Tensor, state: State, memory: State) -> tuple[Tensor, State, Tensor]:
        """One letter: the ids before, (B,) -> log-probabilities (B, V), the next state, and which phone it is written from, (B, S).

        The state holds the LSTM's, and of the letter before: where it was written from, (B, S), and what each phone would have written,
        (B, S, V); with the letter known, these give the path so far.
        """
        hidden, cell, place, emission = state
        written = emission.gather(2, previous.view(-1, 1, 1).expand(-1, emission.shape[1], 1)).squeeze(2)
        path = (place + written).log_softmax(dim=1)
        outputs, (hidden, cell) = self.lstm(self._embedded(previous.unsqueeze(1)), (hidden.unsqueeze(0), cell.unsqueeze(0)))
        place = self._moved(path, self._jumps(outputs, memory)[:, 0])
        emission = self._written(self.of_state(outputs), memory[1])
        log_p = (place.unsqueeze(2) + emission).logsumexp(dim=1)
        return log_p, (hidden.squeeze(0), cell.squeeze(0), place, emission), place.exp()

    def forced(self, previous: Tensor, state: State, memory: State) -> Tensor:
        """All letters at once: the ids before each, (B, T) -> log-probabilities (B, T, V)."""
        hidden, cell, path, _ = state
        outputs, _ = self.lstm(self._embedded(self._dropped(previous)), (hidden.unsqueeze(0), cell.unsqueeze(0)))  # (B, T, H)
        outputs = self.dropout(outputs)
        jumps = self._jumps(outputs, memory)  # (B, T, S)
        emission = self._emission(self.of_state(outputs), memory, (previous != PAD) & (previous != EOS))  # (B, T, S, V)
        following = F.pad(previous[:, 1:], (0, 1), value=BOS)  # the letter of each step; that of the last one is not needed
        written = emission.gather(3, following[:, :, None, None].expand(-1, -1, emission.shape[2], 1)).squeeze(3)  # (B, T, S)
        places = []
        for step in range(previous.shape[1]):
            places.append(self._moved(path, jumps[:, step]))
            path = (places[-1] + written[:, step]).log_softmax(dim=1)
        return (torch.stack(places, dim=1).unsqueeze(3) + emission).logsumexp(dim=2)

    def forward(self, inputs: Any, previous: Tensor) -> Tensor:
        memory, state = self.encode(inputs)
        return self.forced(previous, state, memory)

    def _jumps(self, outputs: Tensor, memory: State) -> Tensor:
        """Scores of every phone as the next one, of decoder outputs (B, T, H): (B, T, S), -inf where there is padding."""
        phones, _, mask = memory
        return (self.jump(outputs) @ phones.transpose(1, 2)).float().masked_fill(~mask.unsqueeze(1), float("-inf"))

    def _emission(self, states: Tensor, memory: State, asked: Tensor) -> Tensor:
        """What each phone writes in each state (B, T, H) where it is asked for, bool (B, T): log-probabilities (B, T, S, V), else 0.

        About a third of a batch is no padding, and this is where most of the time goes.
        """
        _, of_phones, mask = memory
        word, step, phone = places = (asked.unsqueeze(2) & mask.unsqueeze(1)).nonzero(as_tuple=True)
        kept = self.dropout(torch.ones_like(states[:, 0]))  # one mask a word: to draw B T S H numbers takes long
        rows = self._written(states[word, step], of_phones[word, phone], kept[word])
        return rows.new_zeros(*states.shape[:2], mask.shape[1], rows.shape[1]).index_put(places, rows)

    def _written(self, states: Tensor, of_phones: Tensor, kept: Tensor | float = 1.0) -> Tensor:
        """Log-probabilities of the letters, of states and phones of any shapes (..., H) that fit each other: (..., V)."""
        hidden = (states + of_phones).tanh() * kept
        return F.linear(hidden, self.embedding.weight, self.bias).float().log_softmax(dim=-1)

    @staticmethod
    def _moved(path: Tensor, jumps: Tensor) -> Tensor:
        """One transition: log-probabilities of the phone before (B, S) and scores of the next (B, S) -> those of the next.

        From phone i, phone j >= i comes with probability exp(jumps[j]) / sum of exp(jumps[i:]).
        """
        totals = jumps.flip(1).logcumsumexp(dim=1).flip(1)
        reachable = totals > float("-inf")  # padding is not
        return jumps + (path - totals.masked_fill(~reachable, 0.0)).masked_fill(~reachable, float("-inf")).logcumsumexp(dim=1)

    def _embedded(self, previous: Tensor) -> Tensor:
        return self.dropout(self.embedding(previous) * self.scale)

    def _dropped(self, ids: Tensor) -> Tensor:
        """Some symbols replaced by the unknown one, in training."""
        if not self.training or not self.symbol_dropout:
            return ids
        chosen = (torch.rand(ids.shape, device=ids.device) < self.symbol_dropout) & (ids > UNKNOWN)
        return ids.masked_fill(chosen, UNKNOWN)
