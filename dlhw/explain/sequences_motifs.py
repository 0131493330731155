"""What was found in a network that reads RNA, as plain arrays, and read back from the files of ``python -m dlhw.explain``: no torch.

Legend: W length of a filter, n nucleotides of one sequence.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dlhw.data.rbp_scale import STANDARD_DEVIATIONS
from dlhw.data.rna import ALPHABET

Floats = NDArray[np.float64]
PSEUDOCOUNT = 1.0  # sites, shared by the four bases
FILTERS, MEME, POSITIONS, SUMMARY = "filters.csv", "filters.meme", "positions.csv", "summary.json"


@dataclass(frozen=True)
class Filter:
    """A filter of a network and the sites that it finds.

    ``counts`` (W, 4) is how often each base stands at each place of a site. ``effect`` is the root mean square change of the predictions,
    in the unit of these, where the filter always gives its mean response.
    """

    convolution: int
    number: int
    sites: int
    counts: Floats
    effect: float

    @property
    def probabilities(self) -> Floats:
        """(W, 4), rows sum to 1."""
        counts = self.counts + PSEUDOCOUNT / len(ALPHABET)
        return counts / counts.sum(axis=1, keepdims=True)

    @property
    def bits(self) -> Floats:
        """Information content of each place, 0 to 2 bits: (W,)."""
        p = self.probabilities
        return np.log2(len(ALPHABET)) + (p * np.log2(p)).sum(axis=1)

    @property
    def consensus(self) -> str:
        """The base that over half of the sites have at each place; ``n`` where there is none."""
        return "".join(ALPHABET[row.argmax()] if row.max() > 0.5 else "n" for row in self.probabilities)


@dataclass(frozen=True)
class ProbeView:
    """What the positions of a sequence do to its prediction: contributions (n,), changes (n, 4), attention (n,) or None."""

    sequence: str
    contributions: Floats
    changes: Floats
    attention: Floats | None


def meme(filters: Sequence[Filter]) -> str:
    """The filters in the text format of the MEME suite, whose Tomtom compares them with known motifs."""
    lines = ["MEME version 5", "", f"ALPHABET= {ALPHABET}", ""]
    for found in filters:
        p = found.probabilities
        lines += [f"MOTIF convolution_{found.convolution}_filter_{found.number} {found.consensus}"]
        lines += [f"letter-probability matrix: alength= {len(ALPHABET)} w= {len(p)} nsites= {found.sites}"]
        lines += [" ".join(f"{value:.6f}" for value in row) for row in p]
        lines += [""]
    return "\n".join(lines)


def read_about(folder: Path) -> tuple[str, str]:
    """The network that was looked into, and the unit of its predictions; an older folder names none, when all learnt the same one."""
    told = json.loads((folder / SUMMARY).read_text())
    return told["network"], told.get("unit", STANDARD_DEVIATIONS)


def read_filters(folder: Path) -> list[Filter]:
    """The filters that find something, as they were written, those with the largest effect first; none where there is no file."""
    if not (folder / MEME).exists():
        return []
    parts = re.split(r"^MOTIF convolution_(\d+)_filter_(\d+) .*$", (folder / MEME).read_text(), flags=re.MULTILINE)[1:]
    found = {}
    for convolution, number, text in zip(parts[::3], parts[1::3], parts[2::3], strict=True):
        head, *rows = text.strip().splitlines()
        sites = int(head.rpartition("nsites=")[2])
        counts = np.array([row.split() for row in rows], np.float64) * (sites + PSEUDOCOUNT) - PSEUDOCOUNT / len(ALPHABET)
        found[int(convolution), int(number)] = (sites, counts)
    table = pd.read_csv(folder / FILTERS)
    keys = zip(table["convolution"], table["filter"], table["effect"], strict=True)
    return [
        Filter(convolution, number, *found[convolution, number], effect)
        for convolution, number, effect in keys
        if (convolution, number) in found
    ]


def read_probes(folder: Path) -> list[ProbeView]:
    """The sequences that were looked at, in their order; none where there is no file."""
    if not (folder / POSITIONS).exists():
        return []
    return [
        ProbeView(
            "".join(rows["base"]),
            rows["integrated_gradient"].to_numpy(),
            rows[[f"change_to_{base}" for base in ALPHABET]].to_numpy(),
            rows["attention"].to_numpy() if "attention" in rows else None,
        )
        for _, rows in pd.read_csv(folder / POSITIONS).groupby("probe")
    ]
