"""The head of networks that write by CTC: a symbol or the blank at every step, equal neighbours merged, blanks dropped.

Graves et al., Connectionist Temporal Classification, ICML 2006. Blank is class 0, the symbol of id i is class i - 3.

Legend: B batch, S steps, K classes, T symbols of a text with its end.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dlhw.decoding import Decode, Hypotheses
from dlhw.decoding.ctc import best_path, confidences, prefix_beam
from dlhw.decoding.vote import vote
from dlhw.errors import UserError
from dlhw.specs import EOS, FIRST, PAD

SHIFT = FIRST - 1  # id of a symbol minus its class


class CTC:
    """Losses and decoding of networks that give logits (B, S, K) with lengths (B,)."""

    language: Any = None  # a dlhw.decoding.ngram.NGram over classes, where the beam shall weigh its hypotheses with one

    def check(self, settings: Decode) -> None:
        """Refuse nucleus sampling, which is for networks that write one symbol after the other."""
        for name in ("method", "validation"):
            if getattr(settings, name) == "nucleus":
                raise UserError(f"task.decode.{name}=nucleus is for attention decoders; a network with CTC takes greedy or beam")

    def losses(self, net: nn.Module, inputs: Any, targets: Tensor, smoothing: float = 0.0) -> Tensor:
        """-log p(text | picture) in nats: (B,).

        Symbols that the vocabulary lacks cannot be written: the loss is that of the text without them. Where a line has fewer steps than
        its text needs, it is infinite; an evaluation, which such lines would spoil, counts 0 for them (the log has named them).
        """
        if smoothing:
            raise UserError(f"task.module.label_smoothing={smoothing}: CTC has no targets at its steps to smooth; 0 is right")
        logits, lengths = net(inputs)
        losses = text_losses(logits.float().log_softmax(dim=2), lengths, targets)
        return losses if net.training else losses.masked_fill(losses.isinf(), 0)

    @torch.no_grad()
    def decode(self, net: nn.Module, inputs: Any, settings: Decode, index: Tensor | None = None) -> Hypotheses:
        """Texts of the network's own probabilities; several networks vote where the method is beam (see :mod:`dlhw.decoding.vote`)."""
        logits, lengths = net(inputs)
        mean = logits.float().log_softmax(dim=2)
        if settings.method != "beam" or not (members := getattr(net, "members", None)):
            return self.decoded(mean, lengths, settings)
        own = [member(inputs)[0].float().log_softmax(dim=2) for member in members]
        return self.voted([*own, mean], lengths, settings)

    def voted(self, log_probs: Sequence[Tensor], lengths: Tensor, settings: Decode) -> Hypotheses:
        """One text a line from the log-probabilities (B, S, K) of several networks and, as the last, their mean's."""
        found = [self.decoded(one, lengths, settings).ids for one in log_probs]
        rows, scores = [], []
        for line, length in enumerate(lengths.tolist()):
            texts = [tuple(i - SHIFT for i in ids if i >= FIRST) for of_net in found for ids in of_net[line].tolist()]
            of_line = [one[line, :length] for one in log_probs[:-1]]
            text, score = vote(of_line, texts, self.language, settings.lm_weight, settings.symbol_bonus)
            rows.append(torch.tensor(text, dtype=torch.long, device=lengths.device))
            scores.append(score)
        classes = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)
        return Hypotheses(
            with_end(classes)[:, None], torch.tensor(scores, device=lengths.device)[:, None], confidences(log_probs[-1], lengths, classes)
        )

    def decoded(self, log_probs: Tensor, lengths: Tensor, settings: Decode) -> Hypotheses:
        """Texts of log-probabilities (B, S, K), greedy or by beam search."""
        if settings.method == "greedy":
            classes = best_path(log_probs, lengths)[:, None]
            scores = -text_losses(log_probs, lengths, with_end(classes[:, 0]))[:, None]
        else:
            classes, scores = prefix_beam(
                log_probs, lengths, settings.width, settings.k, self.language, settings.lm_weight, settings.symbol_bonus
            )
        return Hypotheses(with_end(classes), scores, confidences(log_probs, lengths, classes[:, 0]))


def with_end(classes: Tensor) -> Tensor:
    """Classes (..., L), 0 where there is none -> ids (..., L + 1): symbols, the end, padding."""
    ids = F.pad(torch.where(classes > 0, classes + SHIFT, PAD), (0, 1))
    return ids.scatter(-1, (classes > 0).sum(dim=-1, keepdim=True), EOS)


def text_losses(log_probs: Tensor, lengths: Tensor, targets: Tensor) -> Tensor:
    """-log p(text) of ids (B, T) under log-probabilities (B, S, K) with lengths (B,): (B,), in nats."""
    known = targets >= FIRST
    return F.ctc_loss(
        log_probs.transpose(0, 1), (targets[known] - SHIFT).long(), lengths.long(), known.sum(dim=1), blank=0, reduction="none"
    )


def steps_needed(targets: Tensor) -> Tensor:
    """How many steps CTC needs at least to write ids (N, T): one a symbol, and a blank between two that are equal: int64 (N,)."""
    known = targets >= FIRST
    twins = (targets[:, 1:] == targets[:, :-1]) & known[:, 1:]
    return known.sum(dim=1) + twins.sum(dim=1)
