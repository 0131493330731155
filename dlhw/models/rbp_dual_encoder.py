"""One network for any protein: it reads the RNA and the protein, also proteins that no label was seen of.

Legend: B batch, L padded length, C channels, H queries of a protein, P proteins.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dlhw.layers.masked import BatchNorm, MaskedConv1d, pool
from dlhw.layers.protein_encoder import protein_encoder
from dlhw.ranges import check_at_least, check_shares, check_within
from dlhw.specs import SequenceSpec, wants


class RbpDualEncoder(nn.Module):
    """An RNA encoder and a protein encoder meet at every position (R8).

    The RNA encoder gives a vector for each position, the protein encoder ``queries`` vectors for each protein. Their products score how
    well the protein fits there; the scores are pooled over the positions (maximum, and the logarithm of the sum of exponentials), and a
    head that all proteins share makes a number of them. What a probe does to all proteins alike comes from a head on the RNA alone.

    Args:
        channels, kernel: of the RNA encoder, which is a convolution; ``kernel`` nucleotides.
        depth: further convolutions of 3 after it, with batch normalisation and ReLU, added to what they read.
        encoder: how proteins are read: kmer (words of amino acids), conv (filters that start as such words),
            embeddings (vectors of a file).
        word: amino acids of a word, or of a filter.
        common: share of the proteins that a word must be in.
        most_words: how many words count, at most; of more, those that split the proteins most evenly.
        protein_dropout: share of what is known of a protein that is dropped.
        queries: vectors of a protein, each scored on its own.
        hidden: width of the shared head's layer.
        dropout: share of values dropped before the last layers.

    Shapes: bases (B, 4, L), mask (B, L) -> (B, P). ``reads`` is what of a protein it answers by, as :class:`dlhw.specs.SequenceSpec` calls
    it: ``amino_acids``, ``embeddings`` or nothing.
    """

    def __init__(
        self,
        spec: SequenceSpec,
        *,
        channels: int = 64,
        kernel: int = 9,
        depth: int = 0,
        encoder: str = "kmer",
        word: int = 3,
        common: float = 0.1,
        most_words: int = 256,
        protein_dropout: float = 0.1,
        queries: int = 8,
        hidden: int = 32,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        wants(spec, SequenceSpec, "rbp_dual_encoder")
        check_at_least(1, "model", channels=channels, queries=queries, hidden=hidden)
        check_at_least(0, "model", depth=depth)
        check_within(spec.length, kernel=kernel)
        check_shares("model", protein_dropout=protein_dropout, dropout=dropout)
        self.queries, self.reads = queries, "embeddings" if encoder == "embeddings" else "amino_acids"
        self.first = MaskedConv1d(4, channels, kernel, bias=False)
        self.scale = BatchNorm(channels)
        self.convs = nn.ModuleList(MaskedConv1d(channels, channels, 3, bias=False) for _ in range(depth))
        self.norms = nn.ModuleList(BatchNorm(channels) for _ in range(depth))
        self.proteins = protein_encoder(
            spec, queries * channels, encoder, word=word, common=common, most=most_words, dropout=protein_dropout
        )
        self.level = nn.LayerNorm(channels)
        self.alike = nn.Linear(2 * channels, 1)
        self.head = nn.Sequential(nn.Linear(2 * queries, hidden), nn.ReLU(), nn.Dropout(dropout), nn.Linear(hidden, 1))

    @property
    def motifs(self) -> MaskedConv1d:
        """The convolution that reads the bases, by the name that the other networks for RNA call it; checkpoints know it as ``first``."""
        return self.first

    def forward(self, bases: Tensor, mask: Tensor) -> Tensor:
        x = self.scale(self.first(bases, mask))  # (B, C, L)
        for conv, norm in zip(self.convs, self.norms, strict=True):
            x = x + F.relu(norm(conv(x, mask)))
        asked = self.level(self.proteins().unflatten(1, (self.queries, -1)))  # (P, H, C)
        scores = torch.einsum("phc,bcl->bphl", asked, x) / math.sqrt(x.shape[1])
        scores = scores.masked_fill(~mask[:, None, None], torch.finfo(scores.dtype).min)
        found = torch.cat([scores.amax(dim=3), scores.logsumexp(dim=3)], dim=2)  # (B, P, 2 H)
        return self.head(found).squeeze(2) + self.alike(pool(F.relu(x), mask, "max_mean"))
