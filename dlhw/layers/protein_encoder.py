"""Proteins as vectors, from their amino acids or from embeddings of another model.

Legend: P proteins, K words, D width.
"""

from collections import Counter

import torch
from torch import Tensor, nn

from dlhw.errors import UserError
from dlhw.ranges import check_at_least, check_shares
from dlhw.specs import FASTA, SequenceSpec, unpack_vector

ENCODERS = ("kmer", "embeddings")


class KmerEncoder(nn.Module):
    """Which short words of amino acids a protein has; a linear layer. () -> (P, D).

    Words count that stand in at least the share ``common`` of the proteins that are trained on, and not in all of them: rarer ones tell
    families apart, from which nothing can be learnt for another family.
    """

    words: Tensor

    def __init__(self, spec: SequenceSpec, width: int, length: int, common: float, dropout: float) -> None:
        super().__init__()
        words = [{text[i : i + length] for i in range(len(text) - length + 1)} for text in spec.amino_acids]
        trained = [own for name, own in zip(spec.proteins, words, strict=True) if name not in spec.unseen]
        counts = Counter(word for own in trained for word in own)
        kept = sorted(word for word, count in counts.items() if max(2, common * len(trained)) <= count < len(trained))
        if not kept:
            raise UserError(
                f"model.word={length}, model.common={common}: no word of amino acids is in so many proteins, but not all; shorter or rarer "
                "words, or more proteins, are right"
            )
        there = torch.tensor([[word in own for word in kept] for own in words], dtype=torch.float32)
        self.register_buffer("words", there, persistent=False)  # (P, K), of the spec
        self.dropout = nn.Dropout(dropout)
        self.mix = nn.Linear(len(kept), width)

    def forward(self) -> Tensor:
        return self.mix(self.dropout(self.words))


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
    return EmbeddingEncoder(spec, width, dropout) if encoder == "embeddings" else KmerEncoder(spec, width, word, common, dropout)
