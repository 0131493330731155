"""The head of networks that write by CTC: a symbol or the blank at every step, equal neighbours merged, blanks dropped.

Graves et al., Connectionist Temporal Classification, ICML 2006. Blank is class 0, the symbol of id i is class i - 3.

Legend: B batch, S steps, K classes, T symbols of a text with its end.
"""

from collections.abc import Sequence
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from dlhw.decoding import Decode, Hypotheses
from dlhw.decoding.ctc import best_path, compact, confidences, prefix_beam
from dlhw.decoding.ngram import NGram
from dlhw.decoding.vote import mean_of, vote
from dlhw.errors import UserError
from dlhw.specs import EOS, FIRST, PAD

SHIFT = FIRST - 1  # id of a symbol minus its class

Outputs = tuple[Tensor, Tensor]  # of one network: log-probabilities (B, S, K) and lengths (B,)


class CTC:
    """Losses and decoding of networks that give logits (B, S, K) with lengths (B,).

    Several networks at once (:class:`dlhw.models.ensemble.Ensemble`) vote, see :mod:`dlhw.decoding.vote`: each offers its texts, and
    those of their mean where all have the same steps; one text comes out. Their loss is the mean of theirs.
    """

    kind = "a network with CTC"
    methods: Sequence[str] = ("greedy", "beam")

    def __init__(self) -> None:
        self.texts: NDArray[Any] | None = None  # of the training, ids (N, T): what the language model is counted from
        self._models: dict[tuple[int, torch.device], NGram] = {}

    def used(self, settings: Decode) -> frozenset[str]:
        """See :class:`dlhw.tasks.heads.Head`."""
        if settings.method != "beam":
            return frozenset()
        return frozenset({"width", "k", "lm_weight", "symbol_bonus", *(["lm_order"] if settings.lm_weight else [])})

    def learn(self, texts: NDArray[Any]) -> None:
        """Take the training texts, ids (N, T); they are counted once a beam asks for a language model."""
        self.texts, self._models = texts, {}

    def language(self, settings: Decode, symbols: int, device: torch.device) -> NGram | None:
        """The model over ``symbols`` classes that ``settings`` asks for.

        Raises:
            UserError: the training texts are not known.
        """
        if settings.method != "beam" or not settings.lm_weight:
            return None
        if self.texts is None:
            raise UserError(
                f"task.decode.lm_weight={settings.lm_weight} needs the texts of the training, which this run has not kept with it: "
                "train it again with this version, or take lm_weight=0"
            )
        key = settings.lm_order, device
        if key not in self._models:
            texts = [[symbol - SHIFT for symbol in row if symbol >= FIRST] for row in self.texts.tolist()]
            self._models[key] = NGram(texts, symbols, settings.lm_order, device)
        return self._models[key]

    def losses(self, net: nn.Module, inputs: Any, targets: Tensor, smoothing: float = 0.0) -> Tensor:
        """-log p(text | picture) in nats: (B,).

        Symbols that the vocabulary lacks cannot be written: the loss is that of the text without them. Where a line has fewer steps than
        its text needs, it is infinite.
        """
        if smoothing:
            raise UserError(f"task.module.label_smoothing={smoothing}: CTC has no targets at its steps to smooth; 0 is right")
        return torch.stack([text_losses(*outputs, targets) for outputs in outputs_of(net, inputs)]).mean(dim=0)

    @torch.no_grad()
    def decode(self, net: nn.Module, inputs: Any, settings: Decode, index: Tensor | None = None) -> Hypotheses:
        """Texts of a network, or the vote of several."""
        return self.read(outputs_of(net, inputs), settings)

    @torch.no_grad()
    def evaluate(
        self, net: nn.Module, inputs: Any, targets: Tensor, settings: Decode, index: Tensor | None = None
    ) -> tuple[Hypotheses, Tensor]:
        """See :class:`dlhw.tasks.heads.Head`."""
        outputs = outputs_of(net, inputs)
        return self.read(outputs, settings), torch.stack([text_losses(*one, targets) for one in outputs]).mean(dim=0)

    def read(self, outputs: Sequence[Outputs], settings: Decode) -> Hypotheses:
        """Texts of the outputs of one network, or of several that vote."""
        return self.decoded(*outputs[0], settings) if len(outputs) == 1 else self.voted(outputs, settings)

    def voted(self, outputs: Sequence[Outputs], settings: Decode) -> Hypotheses:
        """One text a line on which several networks agree."""
        readers, (log_probs, lengths) = [*outputs], outputs[0]
        if all(one.shape == log_probs.shape and torch.equal(steps, lengths) for one, steps in outputs):
            readers.append((mean_of([one for one, _ in outputs]), lengths))
        model = self.language(settings, log_probs.shape[2], log_probs.device)
        weight, bonus = (settings.lm_weight, settings.symbol_bonus) if settings.method == "beam" else (0.0, 0.0)
        offered = [self.decoded(*reader, settings).ids for reader in readers]
        rows, scores = [], []
        for line in range(len(lengths)):
            texts = [tuple(i - SHIFT for i in ids if i >= FIRST) for of_reader in offered for ids in of_reader[line].tolist()]
            text, score = vote([one[line, : steps[line]] for one, steps in outputs], texts, model, weight, bonus)
            rows.append(torch.tensor(text, dtype=torch.long, device=lengths.device))
            scores.append(score)
        classes = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)
        confidence = torch.stack([confidences(*one, classes) for one in outputs]).mean(dim=0)
        return Hypotheses(with_end(classes)[:, None], torch.tensor(scores, device=lengths.device)[:, None], confidence)

    def decoded(self, log_probs: Tensor, lengths: Tensor, settings: Decode) -> Hypotheses:
        """Texts of log-probabilities (B, S, K), greedy or by beam search."""
        if settings.method == "greedy":
            classes = best_path(log_probs, lengths)[:, None]
            scores = -text_losses(log_probs, lengths, with_end(classes[:, 0]))[:, None]
        else:
            model = self.language(settings, log_probs.shape[2], log_probs.device)
            classes, scores = prefix_beam(log_probs, lengths, settings.width, settings.k, model, settings.lm_weight, settings.symbol_bonus)
        return Hypotheses(with_end(classes), scores, confidences(log_probs, lengths, classes[:, 0]))


def outputs_of(net: nn.Module, inputs: Any) -> list[Outputs]:
    """What a network says of a batch, or each member of an ensemble: log-probabilities in float32 and lengths."""
    answers = [one(inputs) for one in getattr(net, "members", [net])]
    return [(logits.float().log_softmax(dim=2), lengths) for logits, lengths in answers]


def with_end(classes: Tensor) -> Tensor:
    """Classes (..., L), 0 where there is none -> ids (..., L + 1): symbols, the end, padding."""
    ids = F.pad(torch.where(classes > 0, classes + SHIFT, PAD), (0, 1))
    return ids.scatter(-1, (classes > 0).sum(dim=-1, keepdim=True), EOS)


def text_losses(log_probs: Tensor, lengths: Tensor, targets: Tensor) -> Tensor:
    """-log p(text) of ids (B, T) under log-probabilities (B, S, K) with lengths (B,): (B,), in nats."""
    device = log_probs.device
    if device.type == "cuda" and torch.are_deterministic_algorithms_enabled():  # its gradients on long lines are not, on a GPU
        log_probs, lengths, targets = log_probs.cpu(), lengths.cpu(), targets.cpu()
    known = targets >= FIRST
    losses = F.ctc_loss(
        log_probs.transpose(0, 1), (targets[known] - SHIFT).long(), lengths.long(), known.sum(dim=1), blank=0, reduction="none"
    )
    return losses.to(device)


def steps_needed(targets: Tensor) -> Tensor:
    """How many steps CTC needs at least to write what it can of ids (N, T): one a symbol, and a blank between two that are equal and
    stand together once those are left out that the vocabulary lacks: int64 (N,)."""
    written = compact((targets - SHIFT).clamp(min=0))
    twins = (written[:, 1:] == written[:, :-1]) & (written[:, 1:] > 0)
    return (written > 0).sum(dim=1) + twins.sum(dim=1)
