"""Several trained networks that write as one.

Legend: B batch, T symbols, V ids, E networks.
"""

import itertools
from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from dlhw.decoding.vote import mean_of
from dlhw.errors import UserError
from dlhw.models.seq2seq import State


class Ensemble(nn.Module):
    """Networks with the same head, which must know the same symbols. Of those that write symbol by symbol it is the mean of their
    probabilities; those with CTC vote, see :class:`dlhw.tasks.heads.ctc.CTC`, which asks each of ``members``.
    """

    def __init__(self, members: Sequence[nn.Module]) -> None:
        super().__init__()
        heads = [str(getattr(net, "head", None)) for net in members]
        if len({*heads}) != 1:
            raise UserError(f"an ensemble is of networks with one kind of head, got {', '.join(heads)}")
        self.head = heads[0]
        self.members: Any = nn.ModuleList(members)
        self._memories: list[int] = []  # how many tensors of the memory are whose
        self._states: list[int] = []

    def encode(self, inputs: Any) -> tuple[State, State]:
        """Memories and first states of all members, one after the other."""
        parts: list[tuple[State, State]] = [net.encode(inputs) for net in self.members]
        self._memories, self._states = [len(memory) for memory, _ in parts], [len(state) for _, state in parts]
        return sum((memory for memory, _ in parts), ()), sum((state for _, state in parts), ())

    def step(self, previous: Tensor, state: State, memory: State) -> tuple[Tensor, State, None]:
        """One symbol: the ids before, (B,) -> log-probabilities (B, V) and the next states."""
        logits, states = [], []
        for net, of_state, of_memory in zip(self.members, _cut(state, self._states), _cut(memory, self._memories), strict=True):
            of_net, after, _ = net.step(previous, of_state, of_memory)
            logits.append(of_net)
            states.append(after)
        return mean_of(logits), sum(states, ()), None

    def forced(self, previous: Tensor, state: State, memory: State) -> Tensor:
        """All symbols at once: the ids before each, (B, T) -> log-probabilities (B, T, V)."""
        parts = zip(self.members, _cut(state, self._states), _cut(memory, self._memories), strict=True)
        return mean_of([net.forced(previous, of_state, of_memory) for net, of_state, of_memory in parts])

    def forward(self, inputs: Any, previous: Tensor) -> Tensor:
        memory, state = self.encode(inputs)
        return self.forced(previous, state, memory)


def _cut(tensors: State, sizes: Sequence[int]) -> list[State]:
    ends = itertools.accumulate(sizes, initial=0)
    return [tensors[begin:end] for begin, end in itertools.pairwise(ends)]
