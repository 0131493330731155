"""Several CTC networks reading one line together: the text that all of them find likely, not the most likely frames.

Networks place their letters at slightly different steps, so means over steps blur them. Here whole texts are compared: the score of a
text is the mean over the networks of log p(text | picture), which sums over all places (plus the language model's, where there is one).

Legend: S steps, K classes.
"""

from collections.abc import Sequence

import torch
from rapidfuzz.distance import Levenshtein
from torch import Tensor
from torch.nn import functional as F

from dlhw.decoding.ngram import NGram

Text = tuple[int, ...]


def vote(
    log_probs: Sequence[Tensor], texts: Sequence[Text], model: NGram | None = None, weight: float = 0.0, bonus: float = 0.0
) -> tuple[Text, float]:
    """The best text that can be made of ``texts`` by exchanging parts in which they differ, and its score.

    Begins with the best of them; as long as that helps, one part is taken over from another of them.

    Args:
        log_probs: (S, K) of each network, for one line; S may differ.
        texts: classes, at least one text: what the networks read.
        model, weight, bonus: see :func:`dlhw.decoding.ctc.prefix_beam`.
    """

    def scores(of: Sequence[Text]) -> list[float]:
        total = torch.stack([_log_likelihoods(network, of) for network in log_probs]).mean(dim=0)
        extra = [bonus * len(text) + (weight * model.log_p(text) if model is not None else 0.0) for text in of]
        return (total + torch.tensor(extra, dtype=total.dtype, device=total.device)).tolist()

    tried = [*dict.fromkeys(texts)]
    score, best = max(zip(scores(tried), tried, strict=True))
    known = set(tried)
    while new := [*dict.fromkeys(mixed for other in tried for mixed in exchanges(best, other) if mixed not in known)]:
        known |= {*new}
        better, text = max(zip(scores(new), new, strict=True))
        if better <= score:
            break
        score, best = better, text
    return best, score


def exchanges(text: Text, other: Text) -> list[Text]:
    """``text`` with one of the parts in which it differs from ``other`` taken over from there, one result for each part."""
    parts = [op for op in Levenshtein.opcodes(text, other) if op.tag != "equal"]
    return [text[: op.src_start] + other[op.dest_start : op.dest_end] + text[op.src_end :] for op in parts]


def _log_likelihoods(log_probs: Tensor, texts: Sequence[Text]) -> Tensor:
    """log p(text | picture) of each text under one network: (texts,)."""
    n, steps = len(texts), len(log_probs)
    device = log_probs.device
    flat = torch.tensor([symbol for text in texts for symbol in text], dtype=torch.long, device=device)
    sizes = torch.tensor([len(text) for text in texts], device=device)
    repeated = log_probs[:, None].expand(-1, n, -1).contiguous()
    return -F.ctc_loss(repeated, flat, torch.full((n,), steps, device=device), sizes, blank=0, reduction="none")


def mean_of(logits: Sequence[Tensor]) -> Tensor:
    """The logarithm of the mean of probabilities, of logits (..., V) of each network: (..., V)."""
    return torch.stack([one.float().log_softmax(dim=-1) for one in logits]).logsumexp(dim=0) - torch.tensor(float(len(logits))).log()
