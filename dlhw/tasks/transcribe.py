"""Transcription: inputs of any kind become texts. Phonemes to spelling and pictures of lines share it; the network's head differs.

Legend: B batch, N samples of a split, T symbols of a text with its end, n hypotheses of each.
"""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import astuple, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dlhw.data.batches import Batch
from dlhw.data.vocab import Vocab, normalized
from dlhw.decoding import Decode
from dlhw.edit_distance import Edits, count_edits
from dlhw.errors import UserError
from dlhw.ranges import check_shares
from dlhw.specs import PAD
from dlhw.tasks.heads import check, head_of
from dlhw.tasks.heads.autoregressive import Autoregressive
from dlhw.tasks.supervised import SupervisedTask

log = logging.getLogger(__name__)


class Transcription(SupervisedTask):
    """Learns texts and measures character and word error rates.

    ``cer`` and ``wer`` are those of the first hypothesis; ``wer@k``, where there are several, that of the best of k. ``loss`` is in nats
    per symbol, the end of a text being one. A kind of data overrides :meth:`prepared` where its inputs need work before the network.

    Args:
        decode: fields of :class:`dlhw.decoding.Decode`.
        label_smoothing: share of the target that is spread over all symbols, 0 to below 1.
    """

    def __init__(
        self,
        net: nn.Module,
        spec: Any,
        *,
        decode: dict[str, Any] | None = None,
        label_smoothing: float = 0.0,
        **options: Any,
    ) -> None:
        super().__init__(net, spec, **options)
        check_shares("task.module", label_smoothing=label_smoothing)
        self.head, self.vocab = head_of(net), Vocab(spec.target)
        self.decode, self.label_smoothing = Decode(**(decode or {})), label_smoothing

    @property
    def notes(self) -> dict[str, Any]:
        return {"decoders": {"val": self.decode.validation, "test": self.decode.method}}

    def refuse_settings(self) -> None:
        check(self.head, self.decode)
        if self.label_smoothing and not isinstance(self.head, Autoregressive):
            raise UserError(
                f"task.module.label_smoothing={self.label_smoothing}: {self.head.kind} has no targets at its steps to smooth; 0 is right"
            )

    def setup(self, stage: str) -> None:
        if stage == "fit" and isinstance(self.head, Autoregressive):
            for split, texts in self.trainer.datamodule.splits.items():  # type: ignore[attr-defined]
                warn_of_cut_texts(texts.targets, self.decode.max_symbols, split)

    def prepared(self, inputs: Any, index: Tensor, *, train: bool) -> Any:
        """What the network takes, of a batch's inputs; ``train``: augmented, as a function of seed, epoch and ``index``."""
        return inputs

    def attach(self, data: Any, split: str = "test") -> None:
        """Take what decoding and the predictions of ``split`` want to know of a datamodule beyond its batches; most want nothing."""

    def _step(self, batch: Batch, split: str) -> tuple[Tensor, dict[str, Tensor]]:
        inputs, targets, index = batch
        targets = trimmed(targets)
        losses = self.head.losses(self.net, self.prepared(inputs, index, train=True), targets, self.label_smoothing)
        return losses.sum() / (targets != PAD).sum(), {}

    def outputs(self, batch: Batch) -> tuple[Tensor, ...]:
        method = self.decode.method if self.trainer.testing else self.decode.validation
        return self.transcribed(batch, self.evaluated, replace(self.decode, method=method))

    @torch.no_grad()
    def transcribed(self, batch: Batch, net: nn.Module, settings: Decode) -> tuple[Tensor, ...]:
        """Of each text of a batch: targets (B, T), ids (B, n, T'), scores (B, n), loss (B,), index (B,)."""
        inputs, targets, index = batch
        targets, inputs = trimmed(targets), self.prepared(inputs, index, train=False)
        hypotheses, losses = self.head.evaluate(net, inputs, targets, settings, index)
        return targets, hypotheses.ids, hypotheses.scores, losses, index

    def _take(self, split: str) -> tuple[Tensor, ...]:
        columns = joined(self._collected[split])
        self._collected[split] = []
        return columns

    @property
    def measured(self) -> tuple[str, ...]:
        several = self.decode.validation != "greedy" and self.decode.k > 1
        return ("loss", "cer", "wer", *([f"wer@{self.decode.k}"] if several else []))

    def metrics_of(self, collected: tuple[Tensor, ...], split: str) -> dict[str, Tensor]:
        counts = self.counts(collected)
        counts = self.trainer.strategy.reduce(counts, reduce_op="sum")  # over the devices, each with its part of the split
        found = rates(counts, n=collected[1].shape[1])
        if split == "test" and self.trainer.world_size == 1:  # the final test always is; a curve's on several devices has parts of it
            found |= self.rates_of_parts(collected)
        return {name: counts.new_tensor(value) for name, value in found.items()}

    def rates_of_parts(self, collected: tuple[Tensor, ...]) -> dict[str, float]:
        """Error rates of each of the :meth:`parts` of a split as ``cer:PART``, from its joined outputs."""
        found: dict[str, float] = {}
        for part, rows in self.parts(collected[-1]).items():
            of_part = rates(self.counts(tuple(column[rows] for column in collected)), n=collected[1].shape[1])
            found |= {f"{name}:{part}": of_part[name] for name in ("cer", "wer")}
        return found

    def parts(self, index: Tensor) -> dict[str, Tensor]:
        """Parts of the test split that are measured on their own: name -> which of the samples ``index`` (N,) are in it, bool (N,)."""
        return {}

    def counts(self, collected: tuple[Tensor, ...]) -> Tensor:
        """What :func:`rates` needs of the joined outputs of a split, or of a part of it; counts of parts add up: (7,).

        Under CTC a line may be too short for its text: its loss is infinite by right, and the text counts in the error rates alone. With
        any other head such a loss makes that of the split infinite.
        """
        targets, ids, scores, losses, _ = collected
        references = self.texts(targets)
        if empty := sum(not reference for reference in references):
            log.warning("%d references are empty; what is written in their place counts as edits", empty)
        edits = astuple(count_edits(references, self.candidates(ids, scores)))
        dtype = torch.float32 if losses.device.type == "mps" else torch.float64
        there = torch.ones_like(losses, dtype=torch.bool) if isinstance(self.head, Autoregressive) else ~losses.isinf()
        loss, symbols = float(losses[there].to(dtype).sum()), int((targets[there] != PAD).sum())
        return torch.tensor([*edits, loss, symbols], device=losses.device, dtype=dtype)

    def texts(self, ids: Tensor) -> list[str]:
        """The texts of ids (N, T), in the Unicode form of the data."""
        return [normalized(self.vocab.decode(row), self.spec.normalization) for row in ids.tolist()]

    def candidates(self, ids: Tensor, scores: Tensor) -> list[list[str]]:
        """The texts of ids (N, n, T) with scores (N, n): of each input at least one, without those that do not exist."""
        texts, n = self.texts(ids.flatten(0, 1)), ids.shape[1]
        found = scores.isfinite().tolist()
        return [[texts[row * n], *(texts[row * n + c] for c in range(1, n) if found[row][c])] for row in range(len(ids))]

    def keep_predictions(self, collected: tuple[Tensor, ...]) -> None:
        targets, ids, scores, _, index = collected
        hypotheses = np.array(self.texts(ids.flatten(0, 1))).reshape(ids.shape[:2])
        references = np.array(self.texts(targets))
        self.predictions = {"reference": references, "hypothesis": hypotheses, "score": scores.float(), "index": index}


def warn_of_cut_texts(targets: np.ndarray, max_symbols: int, split: str) -> None:
    """Tell of texts, ids (N, T), that are longer with their end than a decoder may write: none of them can come out right."""
    lengths = (targets != PAD).sum(axis=1)
    if cut := int((lengths > max_symbols).sum()):
        log.warning(
            "%s: %d of %d texts are longer than task.decode.max_symbols=%d, at which the decoder stops; the longest has %d symbols "
            "with its end",
            *(split, cut, len(lengths), max_symbols, lengths.max()),
        )


def trimmed(targets: Tensor) -> Tensor:
    """int (B, T) -> int64 (B, T'): without the columns that are padding in every row of the batch."""
    longest = int((targets != PAD).sum(dim=1).max())
    return targets[:, :longest].long()


def joined(collected: Sequence[tuple[Tensor, ...]]) -> tuple[Tensor, ...]:
    """The outputs of batches as those of one; texts are filled up with padding to the longest."""

    def filled(column: tuple[Tensor, ...]) -> Iterator[Tensor]:
        longest = max(part.shape[-1] for part in column) if column[0].ndim > 1 else 0
        for part in column:
            yield F.pad(part, (0, longest - part.shape[-1]), value=PAD) if part.ndim > 1 else part

    return tuple(torch.cat([*filled(column)]) for column in zip(*collected, strict=True))


def rates(counts: Tensor, n: int) -> dict[str, float]:
    """Metrics of :meth:`Transcription.counts`; ``n``: hypotheses of each text."""
    *parts, loss, symbols = counts.tolist()
    edits = Edits(*map(int, parts))
    values = {"loss": loss / symbols if symbols else float("inf"), "cer": edits.cer, "wer": edits.wer}
    return values | ({f"wer@{n}": edits.wer_at_k} if n > 1 else {})
