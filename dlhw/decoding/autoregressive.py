"""Decoders of networks that write symbol by symbol, over a whole batch at once: greedy, beam search, nucleus sampling.

Legend: B batch, n hypotheses of each input, R = B n rows, V ids, T symbols so far.

Padding, begin and unknown are never written: their probability goes to the other symbols.
"""

from collections.abc import Callable
from typing import Any, Protocol

import torch
from torch import Tensor

from dlhw.decoding import Decode, Hypotheses
from dlhw.randomness import uniform
from dlhw.specs import BOS, EOS, PAD, UNKNOWN

State = tuple[Tensor, ...]


class Writer(Protocol):
    """What is asked of a network: see dlhw.models.seq2seq."""

    def encode(self, inputs: Any) -> tuple[State, State]: ...

    def step(self, previous: Tensor, state: State, memory: State) -> tuple[Tensor, State, Tensor | None]: ...


def decode(net: Writer, inputs: Any, settings: Decode, index: Tensor | None = None) -> Hypotheses:
    """Texts by ``settings.method``; ``index`` (B,) is what the draws of nucleus sampling depend on, None counts from 0."""
    return decode_from(net, *net.encode(inputs), settings, index)


def decode_from(net: Writer, memory: State, state: State, settings: Decode, index: Tensor | None = None) -> Hypotheses:
    """As :func:`decode`, of inputs that the network has encoded."""
    match settings.method:
        case "greedy":
            return _one_by_one(net, memory, state, 1, settings.max_symbols, lambda log_p, step: log_p.argmax(dim=1))
        case "nucleus":
            return nucleus(net, memory, state, settings, index)
    return beam(net, memory, state, settings)


def log_probabilities(logits: Tensor) -> Tensor:
    """Log-probabilities of the symbols that can be written, -inf for the others: (R, V), float32 or better."""
    never = torch.tensor([PAD, BOS, UNKNOWN], device=logits.device)
    logits = logits if logits.dtype == torch.float64 else logits.float()
    return logits.index_fill(1, never, float("-inf")).log_softmax(dim=1)


def _one_by_one(net: Writer, memory: State, state: State, n: int, max_symbols: int, choose: Callable[[Tensor, int], Tensor]) -> Hypotheses:
    """n texts of each input that go their own ways: ``choose`` takes log-probabilities (R, V) and the step, and gives ids (R,)."""
    memory, state = _repeated(memory, n), _repeated(state, n)
    previous = torch.full((len(state[0]),), BOS, device=state[0].device)
    done, ids, steps = torch.zeros_like(previous, dtype=torch.bool), [], []
    for step in range(max_symbols):
        logits, state, _ = net.step(previous, state, memory)
        log_p = log_probabilities(logits)
        previous = choose(log_p, step).masked_fill(done, PAD)
        steps.append(log_p.gather(1, previous.unsqueeze(1)).squeeze(1).masked_fill(done, 0.0))
        ids.append(previous)
        done = done | (previous == EOS)
        if done.all():
            break
    written, log_ps = torch.stack(ids, dim=1).unflatten(0, (-1, n)), torch.stack(steps, dim=1).unflatten(0, (-1, n))  # (B, n, T)
    return Hypotheses(written, log_ps.sum(dim=2), _confidence(written, log_ps))


def _repeated(tensors: State, n: int) -> State:
    return tuple(tensor.repeat_interleave(n, dim=0) for tensor in tensors)


def _confidence(ids: Tensor, log_ps: Tensor) -> Tensor:
    """Probability of each symbol of the first hypothesis: (B, n, T) twice -> (B, T)."""
    return log_ps[:, 0].exp().masked_fill(ids[:, 0] == PAD, 0.0)


def in_nucleus(p: Tensor, share: float) -> tuple[Tensor, Tensor]:
    """The smallest set of symbols whose probabilities sum to at least ``share`` (Holtzman et al., 2020, https://arxiv.org/abs/1904.09751).

    Args:
        p: probabilities (R, V), rows sum to 1.

    Returns:
        The symbols of each row by falling probability, int64 (R, V), and their probabilities, 0 outside the set. Of equal ones, those with
        the lower ids come first.
    """
    ranked, symbols = p.sort(dim=1, descending=True, stable=True)
    before = ranked.cumsum(dim=1) - ranked
    return symbols, ranked.masked_fill(before >= share, 0.0)


def nucleus(net: Writer, memory: State, state: State, settings: Decode, index: Tensor | None = None) -> Hypotheses:
    """``k`` texts of each input, every symbol drawn from its nucleus; a function of the seed and the input's number alone."""

    def draw(log_p: Tensor, step: int) -> Tensor:
        symbols, ranked = in_nucleus(log_p.exp().to(_wide(log_p)), settings.p)
        batch = len(log_p) // settings.k
        numbers = torch.arange(batch, device=log_p.device) if index is None else index
        drawn = uniform(settings.seed, step, numbers, settings.k).flatten().to(ranked)  # (R,)
        reached = ranked.cumsum(dim=1)
        place = (reached <= drawn.unsqueeze(1) * reached[:, -1:]).sum(dim=1)
        return symbols.gather(1, place.unsqueeze(1)).squeeze(1)

    return _one_by_one(net, memory, state, settings.k, settings.max_symbols, draw)


def _wide(tensor: Tensor) -> torch.dtype:
    return torch.float32 if tensor.device.type == "mps" else torch.float64


def beam(net: Writer, memory: State, state: State, settings: Decode) -> Hypotheses:
    """The ``k`` best texts that a search finds which keeps the ``width`` most probable ones, finished or not, after every symbol.

    The search ranks by log-probability, the result by log-probability / symbols ** length_power, the end being a symbol; texts that were
    cut at ``max_symbols`` come behind all that are finished. A text that is finished can only be overtaken where the power is above 0, so
    otherwise an input is done once its first k are finished.
    """
    width = settings.width
    batch, device = len(state[0]), state[0].device
    memory, state = _repeated(memory, width), _repeated(state, width)
    previous = torch.full((batch * width,), BOS, device=device)
    ids = torch.empty(batch, width, 0, dtype=torch.long, device=device)
    log_ps = torch.empty(batch, width, 0, device=device)
    scores = torch.full((batch, width), float("-inf"), device=device).index_fill_(1, torch.tensor([0], device=device), 0.0)
    done = torch.zeros(batch, width, dtype=torch.bool, device=device)
    first_row = torch.arange(batch, device=device).unsqueeze(1) * width
    for _ in range(settings.max_symbols):
        logits, state, _ = net.step(previous, state, memory)
        log_p = log_probabilities(logits).unflatten(0, (batch, width))  # (B, n, V)
        only_padding = torch.full_like(log_p[0, 0], float("-inf")).index_fill_(0, torch.tensor([PAD], device=device), 0.0)
        log_p = torch.where(done.unsqueeze(2), only_padding, log_p)
        scores, flat = (scores.unsqueeze(2) + log_p).flatten(1).topk(width, dim=1)  # (B, n), best first
        origin, symbol = flat // log_p.shape[2], flat % log_p.shape[2]
        added = log_p.flatten(1).gather(1, flat)
        ids = torch.cat([ids.take_along_dim(origin.unsqueeze(2), 1), symbol.unsqueeze(2)], dim=2)
        log_ps = torch.cat([log_ps.take_along_dim(origin.unsqueeze(2), 1), added.unsqueeze(2)], dim=2)
        done = done.gather(1, origin) | (symbol == EOS)
        state = tuple(part[(first_row + origin).flatten()] for part in state)
        previous = symbol.flatten()
        if done.all() or (not settings.length_power and done[:, : settings.k].all()):
            break
    lengths = (ids != PAD).sum(dim=2).clamp(min=1)
    order = (scores / lengths**settings.length_power).argsort(dim=1, descending=True, stable=True)
    done &= scores.isfinite()
    order = order.gather(1, done.gather(1, order).int().argsort(dim=1, descending=True, stable=True))[:, : settings.k]
    ids = ids.masked_fill(scores.isinf().unsqueeze(2), PAD)  # what has no probability is no text
    ids, log_ps = ids.take_along_dim(order.unsqueeze(2), 1), log_ps.take_along_dim(order.unsqueeze(2), 1)
    return Hypotheses(ids, scores.gather(1, order), _confidence(ids, log_ps))
