"""Probes and binding intensities made up from known motifs, so that what a network finds can be compared with what is there.

Legend: N probes, L padded length, W positions of a motif, P proteins. A motif is (W, 4): the logarithm of each base's probability over 1/4.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from dlhw.data.rna import ALPHABET, PADDING

Motif = NDArray[np.float64]
ONSET = 8.0  # how far, in score, below its best site a protein begins to bind


def motif(consensus: str, certainty: Sequence[float]) -> Motif:
    """The motif whose base at each place is that of ``consensus`` with a probability of ``certainty``, else one of the others alike."""
    probability = np.repeat((1 - np.array(certainty))[:, None] / 3, len(ALPHABET), axis=1)
    probability[np.arange(len(consensus)), [ALPHABET.index(base) for base in consensus]] = certainty
    return np.log(probability * len(ALPHABET))


def random_probes(random: np.random.Generator, n: int, shortest: int, longest: int) -> NDArray[np.uint8]:
    """Random sequences as codes, (N, longest), of random lengths, filled up with ``PADDING``."""
    codes = random.integers(len(ALPHABET), size=(n, longest), dtype=np.uint8)
    lengths = random.integers(shortest, longest + 1, size=n)
    codes[np.arange(longest) >= lengths[:, None]] = PADDING
    return codes


def plant(random: np.random.Generator, codes: NDArray[np.uint8], motifs: Sequence[Motif], share: float) -> None:
    """Write a site, drawn from a motif drawn at random, at a random place into about ``share`` of the probes."""
    lengths = (codes != PADDING).sum(axis=1)
    chosen = np.where(random.random(len(codes)) < share, random.integers(len(motifs), size=len(codes)), -1)
    for number, weights in enumerate(motifs):
        rows = np.flatnonzero(chosen == number)
        start = (random.random(len(rows)) * (lengths[rows] - len(weights) + 1)).astype(int)
        for place, logarithms in enumerate(weights):
            codes[rows, start + place] = random.choice(len(ALPHABET), size=len(rows), p=np.exp(logarithms) / len(ALPHABET))


def affinity(codes: NDArray[np.uint8], motifs: Sequence[Motif], chunk: int = 2000) -> NDArray[np.float32]:
    """How strongly each probe is bound by each protein, (N, P): log(1 + sum over its places of exp(score - onset)).

    The score of a place is that of the motif; places that reach beyond the end of a probe count nothing. The motifs are of one length.
    """
    weights = np.stack(motifs)  # (P, W, 4)
    beyond = np.full((*weights.shape[:2], 1), -1e4)
    unknown = np.zeros_like(beyond)
    table = np.concatenate([weights, unknown, beyond], axis=2).reshape(len(weights), -1).astype(np.float32)  # (P, W * 6)
    onset = weights.max(axis=2).sum(axis=1) - ONSET
    bases = np.eye(PADDING + 1, dtype=np.float32)
    parts = []
    for rows in np.split(codes, range(chunk, len(codes), chunk)):
        windows = np.lib.stride_tricks.sliding_window_view(rows, weights.shape[1], axis=1)  # (N, places, W)
        scores = bases[windows].reshape(*windows.shape[:2], -1) @ table.T  # (N, places, P)
        parts.append(np.log1p(np.exp(scores - onset.astype(np.float32)).sum(axis=1)))
    return np.concatenate(parts)
