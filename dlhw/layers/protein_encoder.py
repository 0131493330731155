"""Proteins as vectors, from their amino acids or from embeddings of another model.

Legend: P proteins, K words that count, W words that there are, D width.
"""

from collections import Counter
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dlhw.errors import UserError
from dlhw.ranges import check_at_least, check_shares
from dlhw.specs import FASTA, SequenceSpec, unpack_vector

ENCODERS = ("kmer", "conv", "embeddings")
LETTERS = 26  # A to Z: the twenty amino acids, and what FASTA has for others and for unknown ones


def common_words(spec: SequenceSpec, length: int, common: float, most: int) -> list[str]:
    """Words of amino acids that stand in at least the share ``common`` of the proteins that are trained on, and not in all of them.

    Rarer ones tell families apart, from which nothing can be learnt for another family. Of more than ``most``, those stay that split the
    proteins most evenly.

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
    return sorted(sorted(kept, key=lambda word: abs(counts[word] - len(trained) / 2))[:most])


def _words(text: str, length: int) -> set[str]:
    return {text[i : i + length] for i in range(max(1, len(text) - length + 1))}


class KmerEncoder(nn.Module):
    """Which of the :func:`common_words` of amino acids a protein has; a linear layer. () -> (P, D)."""

    words: Tensor

    def __init__(self, spec: SequenceSpec, kept: Sequence[str], width: int, dropout: float) -> None:
        super().__init__()
        there = [[word in own for word in kept] for own in (_words(text, len(kept[0])) for text in spec.amino_acids)]
        self.register_buffer("words", torch.tensor(there, dtype=torch.float32), persistent=False)  # (P, K), of the spec
        self.dropout = nn.Dropout(dropout)
        self.mix = nn.Linear(len(kept), width)

    def forward(self) -> Tensor:
        return self.mix(self.dropout(self.words))


class ConvEncoder(nn.Module):
    """Filters over the amino acids, of each its strongest answer along the protein; a linear layer. () -> (P, D).

    Each filter starts as the detector of one of the :func:`common_words`: 1 where the word stands, 0 where a letter differs. From there
    it learns which letters matter. Filters that start at random learn the proteins that are trained on by heart.

    A filter answers the same wherever a word stands, so each is asked of every word that there is once: that is the convolution.
    """

    words: Tensor
    places: Tensor  # among the words that there are

    def __init__(self, spec: SequenceSpec, kept: Sequence[str], width: int, dropout: float) -> None:
        super().__init__()
        own = [sorted(_words(text, len(kept[0]))) for text in spec.amino_acids]
        there = sorted({word for words in own for word in words})
        number = {word: place for place, word in enumerate(there)}
        self.register_buffer("words", one_hot(there, len(kept[0])), persistent=False)  # (W, letters of a word), of the spec
        places = torch.tensor([number[word] for words in own for word in words])  # of the words of each protein, one after the other
        self.register_buffer("places", places, persistent=False)
        self.counts = [len(words) for words in own]
        self.filters = nn.Linear(self.words.shape[1], len(kept))
        self.filters.load_state_dict({"weight": one_hot(kept, len(kept[0])), "bias": torch.full((len(kept),), 1.0 - len(kept[0]))})
        self.dropout = nn.Dropout(dropout)
        self.mix = nn.Linear(len(kept), width)

    def forward(self) -> Tensor:
        answers = F.relu(self.filters(self.words))[self.places].split(self.counts)
        return self.mix(self.dropout(torch.stack([of_protein.amax(dim=0) for of_protein in answers])))


def one_hot(words: Sequence[str], length: int) -> Tensor:
    """Words of capital letters, shorter ones with nothing at their end, as rows of zeros and ones: (W, ``length`` * 26)."""
    bits = torch.zeros(len(words), length, LETTERS)
    for row, word in enumerate(words):
        for place, letter in enumerate(word):
            bits[row, place, ord(letter) - ord("A")] = 1
    return bits.flatten(1)


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


def protein_encoder(spec: SequenceSpec, width: int, encoder: str, *, word: int, common: float, most: int, dropout: float) -> nn.Module:
    """The encoder that a name asks for; it takes nothing and gives (P, ``width``), a vector for each protein of the spec.

    Raises:
        UserError: no such encoder, a knob out of range, or the data lacks what it reads.
    """
    if encoder not in ENCODERS:
        raise UserError(f"model.encoder={encoder} is not one of {', '.join(ENCODERS)}")
    check_at_least(1, "model", word=word, most_words=most)
    check_shares("model", common=common)
    if encoder == "embeddings" and not spec.embeddings:
        raise UserError("model.encoder=embeddings, and the data has none: task=rbp_multi task.data.embeddings=FILE is right")
    if encoder != "embeddings" and not spec.amino_acids:
        raise UserError(f"model.encoder={encoder} reads amino acids, and the data has none: {FASTA}")
    if encoder == "embeddings":
        return EmbeddingEncoder(spec, width, dropout)
    kept = common_words(spec, word, common, most)
    return (ConvEncoder if encoder == "conv" else KmerEncoder)(spec, kept, width, dropout)
