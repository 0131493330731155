"""Decoders of CTC: the best path, the prefix beam search, and where on the line each symbol stands. All work on whole batches.

Legend: B batch, S steps, K classes (0 is the blank), W width of the beam, n hypotheses, L symbols of the longest text.
Log-probabilities are (B, S, K), lengths int64 (B,); texts are classes (..., L), filled up with 0.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from dlhw.decoding.ngram import END, NGram

NEVER = float("-inf")
_FACTOR = 6364136223846793005  # of the hash of a prefix: the multiplier of Knuth's 64-bit generator


def best_path(log_probs: Tensor, lengths: Tensor) -> Tensor:
    """The most likely class of every step, equal neighbours merged and blanks dropped: (B, L)."""
    path = log_probs.argmax(dim=2)  # (B, S)
    before = torch.nn.functional.pad(path, (1, 0))[:, :-1]  # a blank stands before the first step
    inside = torch.arange(path.shape[1], device=path.device) < lengths[:, None]
    return compact(path * ((path != before) & inside))


def compact(classes: Tensor) -> Tensor:
    """Move what is not 0 to the front of the last axis, in its order, and cut the axis to the longest: (..., S) -> (..., L)."""
    order = (classes == 0).long().argsort(dim=-1, stable=True)
    longest = int((classes != 0).sum(dim=-1).max()) if classes.numel() else 0
    return classes.gather(-1, order[..., :longest])


class _Beam(NamedTuple):
    """W prefixes of each line; dead ones have probability 0 and a hash that no prefix has. All (B, W).

    Log-probabilities contain what the language model and the bonus give to the prefix.
    """

    blank: Tensor  # log-probability of all paths to the prefix that end in a blank
    symbol: Tensor  # the same of those that end in its last symbol
    last: Tensor  # class of the last symbol, 0 of the empty prefix
    hash: Tensor
    parent: Tensor  # hash of the prefix without its last symbol
    state: Tensor  # of the language model


def prefix_beam(
    log_probs: Tensor, lengths: Tensor, width: int, n: int, model: NGram | None = None, weight: float = 0.0, bonus: float = 0.0
) -> tuple[Tensor, Tensor]:
    """The n best texts of a prefix beam search (Hannun et al., First-Pass Large Vocabulary Continuous Speech Recognition, 2014).

    Every prefix sums the paths that lead to it; of all prefixes and their extensions by any class, the ``width`` best go on. With a width
    above their number the result is exact.

    Args:
        model: language model over classes, on the device of ``log_probs``; a text's score is log p(text | picture) + weight * log p(text)
            + bonus * symbols, and its prefixes are ranked likewise.

    Returns:
        classes (B, n, L) and scores (B, n), the best first; -inf and no symbols where there are fewer texts.
    """
    b, steps, _ = log_probs.shape
    device = log_probs.device
    # Beyond its end a line goes on with certain blanks, which change nothing.
    over = torch.arange(steps, device=device)[None] >= lengths[:, None]
    frames = log_probs.masked_fill(over[:, :, None], NEVER)
    frames[:, :, 0].masked_fill_(over, 0)
    dead = -2 - torch.arange(width, device=device).expand(b, width)
    never = log_probs.new_full((b, width), NEVER)
    start = never.clone()
    start[:, 0] = 0
    empty = torch.zeros_like(dead)
    alive = start == 0
    beam = _Beam(start, never, empty, torch.where(alive, 1, dead), torch.where(alive, -1, dead), empty)
    came_from: list[Tensor] = []
    wrote: list[Tensor] = []
    for frame in frames.unbind(1):
        beam, source, symbol = _step(beam, frame, dead, model, weight, bonus)
        came_from.append(source)
        wrote.append(symbol)
    scores = torch.logaddexp(beam.blank, beam.symbol)
    if model is not None:
        scores = scores + weight * model.log_probs[beam.state, END]
    scores, place = scores.topk(min(n, width), dim=1)
    symbols = []
    for source, symbol in zip(reversed(came_from), reversed(wrote), strict=True):
        symbols.append(symbol.gather(1, place))
        place = source.gather(1, place)
    classes = torch.stack(symbols[::-1], dim=2) if symbols else torch.zeros(*place.shape, 0, dtype=torch.long, device=device)
    return compact(classes * (scores > NEVER)[:, :, None]), scores


def _step(beam: _Beam, frame: Tensor, dead: Tensor, model: NGram | None, weight: float, bonus: float) -> tuple[_Beam, Tensor, Tensor]:
    """One step: the new beam, the place in the old one that each comes from, the symbol it has written or 0. ``frame`` is (B, K)."""
    width, k = beam.last.shape[1], frame.shape[1]
    total = torch.logaddexp(beam.blank, beam.symbol)
    again = frame.gather(1, beam.last)
    blank, symbol = total + frame[:, :1], beam.symbol + again
    longer = total[:, :, None] + frame[:, None, :]  # (B, W, K): the prefix and one more symbol
    longer.scatter_(2, beam.last[:, :, None], (beam.blank + again)[:, :, None])  # the same symbol again needs a blank between
    if model is not None:
        longer += weight * model.log_probs[beam.state]
    if bonus:
        longer += bonus
    # A prefix that is in the beam already takes the paths of its extended parent.
    line, child, parent = (beam.parent[:, :, None] == beam.hash[:, None, :]).nonzero(as_tuple=True)
    last = beam.last[line, child]
    symbol[line, child] = torch.logaddexp(symbol[line, child], longer[line, parent, last])
    longer[line, parent, last] = NEVER
    longer[:, :, 0] = torch.logaddexp(blank, symbol)  # class 0 is no symbol more: the prefix stays
    scores, chosen = longer.flatten(1).topk(width, dim=1)
    longer[:, :, 0] = symbol
    source, wrote = chosen // k, chosen % k
    stays, alive = wrote == 0, scores > NEVER
    before, parents, state = (value.gather(1, source) for value in (beam.hash, beam.parent, beam.state))
    if model is not None:
        state = torch.where(stays, state, model.next[state, wrote].long())
    new = _Beam(
        blank=torch.where(stays, blank.gather(1, source), NEVER),
        symbol=longer.flatten(1).gather(1, chosen),
        last=torch.where(stays, beam.last.gather(1, source), wrote),
        hash=torch.where(alive, torch.where(stays, before, before * _FACTOR + wrote), dead),
        parent=torch.where(alive, torch.where(stays, parents, before), dead - width),
        state=state,
    )
    return new, source, wrote


def align(log_probs: Tensor, lengths: Tensor, classes: Tensor) -> Tensor:
    """The step at which each symbol of a text is most likely along the best path of that text: int64 (B, L), -1 where there is none.

    Viterbi search over the symbols with blanks between them; the texts (B, L) must fit into the lines.
    """
    b, steps, _ = log_probs.shape
    longest, device = classes.shape[1], log_probs.device
    states = torch.zeros(b, 2 * longest + 1, dtype=torch.long, device=device)  # blank, symbol, blank, symbol ... blank
    states[:, 1::2] = classes
    jumps = torch.zeros_like(states, dtype=torch.bool)
    jumps[:, 3::2] = classes[:, 1:] != classes[:, :-1]
    emitted = log_probs.gather(2, states[:, None, :].expand(b, steps, -1))  # (B, S, 2L + 1)
    reach = torch.full_like(emitted[:, 0], NEVER)
    reach[:, :2] = emitted[:, 0, :2]
    moves = []
    for step in range(1, steps):
        one, two = reach.roll(1, 1), reach.roll(2, 1)
        one[:, :1] = NEVER
        two = two.masked_fill(~jumps, NEVER)
        best, move = torch.stack([reach, one, two]).max(dim=0)
        going = (step < lengths)[:, None]
        reach = torch.where(going, best + emitted[:, step], reach)
        moves.append(torch.where(going, move, 0))
    end = 2 * (classes > 0).sum(dim=1, keepdim=True)  # the blank after the last symbol
    before = (end - 1).clamp(min=0)
    place = torch.where(reach.gather(1, end) >= reach.gather(1, before), end, before)
    places = [place]
    for move in reversed(moves):
        place = place - move.gather(1, place)
        places.append(place)
    path = torch.cat(places[::-1], dim=1)  # (B, S): the state at each step
    inside = torch.arange(steps, device=device) < lengths[:, None]
    mine = (path[:, None, :] == 1 + 2 * torch.arange(longest, device=device)[:, None]) & inside[:, None, :]  # (B, L, S)
    at = log_probs.gather(2, classes[:, None, :].expand(b, steps, -1)).transpose(1, 2).masked_fill(~mine, NEVER).argmax(dim=2)
    return torch.where(classes > 0, at, -1)


def confidences(log_probs: Tensor, lengths: Tensor, classes: Tensor) -> Tensor:
    """The probability of each symbol of texts (B, L) at its step, 1 for the end, which CTC does not write, then 0: (B, L + 1)."""
    at = align(log_probs, lengths, classes)
    rows = torch.arange(len(classes), device=classes.device)[:, None]
    found = torch.where(classes > 0, log_probs[rows, at.clamp(min=0), classes].exp(), 0.0)
    return torch.nn.functional.pad(found, (0, 1)).scatter(1, (classes > 0).sum(dim=1, keepdim=True), 1.0)
