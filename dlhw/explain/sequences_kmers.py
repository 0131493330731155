"""Which k-mers make a network predict strong binding, and which ones stand in probes that were measured to bind strongly.

Legend: N probes, L padded length in nucleotides, M backgrounds, K = 4^k k-mers in the order AA..A, AA..C, ..., UU..U.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr, trim_mean

from dlhw.data.rna import ALPHABET, PADDING

Codes = NDArray[np.uint8]
Floats = NDArray[np.float64]
PLACES = (0.25, 0.5, 0.75)  # where in a background a k-mer is written: shares of the places that it has room for
TRIM = 0.1  # share of the probes left out at either end before the mean is taken
FEWEST = 5  # probes that a k-mer must stand in to have a score
CHUNK = 200_000  # sequences predicted at once


def all_kmers(k: int) -> Codes:
    """(K, k)."""
    return np.array(list(product(range(len(ALPHABET)), repeat=k)), dtype=np.uint8)


def names(kmers: Codes) -> list[str]:
    """(K, k) -> K strings."""
    return ["".join(ALPHABET[code] for code in kmer) for kmer in kmers]


def importance(predict: Callable[[Codes], Floats], backgrounds: Codes, kmers: Codes) -> Floats:
    """The mean change of the prediction where a k-mer is written into backgrounds: its global importance (Koo et al., PLOS Computational
    Biology 2021), in the unit of the prediction; the mean over :data:`PLACES` and all backgrounds.

    Args:
        predict: codes (N, L) -> (N,).
        backgrounds: (M, L), each with k nucleotides at least.
        kmers: (K, k).
    """
    k, (m, length) = kmers.shape[1], backgrounds.shape
    room = (backgrounds != PADDING).sum(axis=1) - k  # (M,)
    base = predict(backgrounds).mean()
    total = np.zeros(len(kmers))
    step = max(CHUNK // m, 1)
    for share in PLACES:
        columns = np.round(share * room).astype(int)[:, None] + np.arange(k)  # (M, k)
        for begin in range(0, len(kmers), step):
            some = kmers[begin : begin + step]
            written = np.repeat(backgrounds[None], len(some), axis=0)  # (some, M, L)
            written[:, np.arange(m)[:, None], columns] = some[:, None]
            total[begin : begin + step] += predict(written.reshape(-1, length)).reshape(len(some), m).mean(axis=1) - base
    return total / len(PLACES)


def enrichment(codes: Codes, intensities: Floats, k: int) -> tuple[Floats, NDArray[np.int64]]:
    """How strongly the probes with each k-mer were bound, in standard deviations from the mean of all k-mers (after Ray et al., 2013).

    Of each k-mer the trimmed mean of the intensities of the probes that hold it is taken; no network is asked. Returns the z-scores (K,),
    NaN for k-mers of fewer than :data:`FEWEST` probes and where all k-mers are alike, and the numbers of probes (K,).
    """
    windows = np.lib.stride_tricks.sliding_window_view(codes, k, axis=1)  # (N, places, k)
    whole = (windows < len(ALPHABET)).all(axis=2)
    number = np.zeros(windows.shape[:2], np.int64)  # of the k-mer at each place
    for place in range(k):
        number = len(ALPHABET) * number + windows[:, :, place]
    number = np.sort(np.where(whole, number, -1), axis=1)
    once = (number >= 0) & np.diff(number, axis=1, prepend=-1).astype(bool)  # a k-mer that a probe holds twice counts once
    row, kmer = np.nonzero(once)[0], number[once]
    count = len(ALPHABET) ** k
    probes = np.bincount(kmer, minlength=count)
    by_kmer = intensities[row[np.argsort(kmer, kind="stable")]]
    groups = np.split(by_kmer, np.cumsum(probes)[:-1])
    means = np.array([trim_mean(group, TRIM) if len(group) >= FEWEST else np.nan for group in groups])
    scored = means[~np.isnan(means)]
    if not len(scored) or scored.std() == 0:  # as where every probe holds every k-mer
        return np.full(count, np.nan), probes
    return (means - scored.mean()) / scored.std(), probes


@dataclass(frozen=True)
class Agreement:
    """How far the k-mers of the network and those of the measured probes are the same."""

    network: str  # its most important k-mer
    measured: str  # the one with the highest z-score
    shared: int  # of the ten best of each
    spearman: float  # over all k-mers with a z-score


def agreement(kmers: list[str], important: Floats, z: Floats) -> Agreement:
    """Compare both scores of the k-mers: (K,), (K,)."""
    there = np.flatnonzero(~np.isnan(z))
    by_network, by_measurement = (there[np.argsort(-values[there], kind="stable")] for values in (important, z))
    shared = len({*by_network[:10]} & {*by_measurement[:10]})
    rank = float(spearmanr(important[there], z[there]).statistic)
    return Agreement(kmers[by_network[0]], kmers[by_measurement[0]], shared, rank)
