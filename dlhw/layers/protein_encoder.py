"""Proteins as vectors, from their amino acids or from embeddings of another model.

Legend: P proteins, K words, L amino acids of the longest protein, D width.
"""

from collections import Counter

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dlhw.errors import UserError
from dlhw.layers.masked import MaskedConv1d, pool
from dlhw.ranges import check_at_least, check_shares
from dlhw.specs import FASTA, SequenceSpec, unpack_vector

ENCODERS = ("kmer", "conv", "embeddings")
LETTERS = 26  # A to Z: the twenty amino acids, and what FASTA has for others and for unknown ones


def common_words(spec: SequenceSpec, length: int, common: float) -> list[str]:
    """Words of amino acids that stand in at least the share ``common`` of the proteins that are trained on, and not in all of them.

    Rarer ones tell families apart, from which nothing can be learnt for another family.

    Raises:
        UserError: there is none.
    """
    trained = [_words(text, length) for name, text in zip(spec.proteins, spec.amino_acids, strict=True) if name not in spec.unseen]
    counts = Counter(word for own in trained for word in own)
    kept = sorted(word for word, count in counts.items() if max(2, common * len(trained)) <= count < len(trained))
    if not kept:
        raise UserError(
            f"model.word={length}, model.common={common}: no word of amino acids is in so many proteins, but not all; shorter or rarer "
            "words, or more proteins, are right"
        )
    return kept


def _words(text: str, length: int) -> set[str]:
    return {text[i : i + length] for i in range(len(text) - length + 1)}


class KmerEncoder(nn.Module):
    """Which of the :func:`common_words` of amino acids a protein has; a linear layer. () -> (P, D)."""

    words: Tensor

    def __init__(self, spec: SequenceSpec, width: int, length: int, common: float, dropout: float) -> None:
        super().__init__()
        kept = common_words(spec, length, common)
        there = [[word in own for word in kept] for own in (_words(text, length) for text in spec.amino_acids)]
        self.register_buffer("words", torch.tensor(there, dtype=torch.float32), persistent=False)  # (P, K), of the spec
        self.dropout = nn.Dropout(dropout)
        self.mix = nn.Linear(len(kept), width)

    def forward(self) -> Tensor:
        return self.mix(self.dropout(self.words))


class ConvEncoder(nn.Module):
    """Filters over the amino acids, of each its strongest answer along the protein; a linear layer. () -> (P, D).

    Each filter starts as the detector of one of the :func:`common_words`: 1 where the word stands, 0 where a letter differs. From there
    it learns which letters matter. Filters that start at random learn the proteins that are trained on by heart.
    """

    letters: Tensor
    mask: Tensor

    def __init__(self, spec: SequenceSpec, width: int, length: int, common: float, dropout: float) -> None:
        super().__init__()
        codes = [_codes(text) for text in spec.amino_acids]
        padded = nn.utils.rnn.pad_sequence(codes, batch_first=True, padding_value=LETTERS)  # (P, L)
        bits = F.one_hot(padded, LETTERS + 1)[..., :LETTERS]  # (P, L, 26)
        self.register_buffer("letters", bits.mT.float(), persistent=False)  # (P, 26, L), of the spec
        self.register_buffer("mask", padded < LETTERS, persistent=False)  # (P, L)
        words = torch.stack([_codes(word) for word in common_words(spec, length, common)])  # (K, length)
        self.filters = MaskedConv1d(LETTERS, len(words), length)
        detectors = {"weight": F.one_hot(words, LETTERS).mT.unsqueeze(2), "bias": torch.full((len(words),), 1 - length)}
        self.filters.load_state_dict(detectors)
        self.dropout = nn.Dropout(dropout)
        self.mix = nn.Linear(len(words), width)

    def forward(self) -> Tensor:
        return self.mix(self.dropout(pool(F.relu(self.filters(self.letters, self.mask)), self.mask, "max")))


def _codes(text: str) -> Tensor:
    return torch.tensor([ord(letter) - ord("A") for letter in text])


class EmbeddingEncoder(nn.Module):
    """Vectors of another model, standardised over the proteins that are trained on; a linear layer. () -> (P, D)."""

    vectors: Tensor

    def __init__(self, spec: SequenceSpec, width: int, dropout: float) -> None:
        super().__init__()
        vectors = torch.tensor([unpack_vector(text) for text in spec.embeddings])
        trained = vectors[[name not in spec.unseen for name in spec.proteins]]
        spread = trained.std(dim=0, correction=0).clamp(min=1e-6)
        self.register_buffer("vectors", (vectors - trained.mean(dim=0)) / spread, persistent=False)
        self.dropout = nn.Dropout(dropout)
        self.mix = nn.Linear(vectors.shape[1], width)

    def forward(self) -> Tensor:
        return self.mix(self.dropout(self.vectors))


def protein_encoder(spec: SequenceSpec, width: int, encoder: str, word: int, common: float, dropout: float) -> nn.Module:
    """The encoder that a name asks for; it takes nothing and gives (P, ``width``), a vector for each protein of the spec.

    Raises:
        UserError: no such encoder, a knob out of range, or the data lacks what it reads.
    """
    if encoder not in ENCODERS:
        raise UserError(f"model.encoder={encoder} is not one of {', '.join(ENCODERS)}")
    check_at_least(1, "model", word=word)
    check_shares("model", common=common)
    if encoder == "embeddings" and not spec.embeddings:
        raise UserError("model.encoder=embeddings, and the data has none: task=rbp_multi task.data.embeddings=FILE is right")
    if encoder != "embeddings" and not spec.amino_acids:
        raise UserError(f"model.encoder={encoder} reads amino acids, and the data has none: {FASTA}")
    if encoder == "embeddings":
        return EmbeddingEncoder(spec, width, dropout)
    return (ConvEncoder if encoder == "conv" else KmerEncoder)(spec, width, word, common, dropout)
