"""Made-up proteins whose binding motif can be read off their amino acids.

A domain has a site for each base of the motif: six amino acids that are the same in all proteins, and in their middle one that decides
the base (as in the repeats of PUF proteins: Wang et al., Cell 2002). Between the sites, and around the domain, amino acids are free.
Proteins come in families: the members have a founder, from which free amino acids and sites have changed at random. A changed site is
few of a protein's letters and another motif, so how alike two proteins are says little about how alike they bind.
"""

from dataclasses import dataclass

import numpy as np

from dlhw.data.rna import ALPHABET
from dlhw.data.simulate import Motif, motif

AMINO_ACIDS = "ACDEFGHIKLMNPQRSTVWY"
CODE = {"A": "N", "C": "R", "G": "E", "U": "Q"}  # base: the amino acid that asks for it
SITES = (("KWV", "FGM"), ("PYI", "LTC"), ("GFL", "WAP"), ("TIM", "YVG"), ("ACF", "IWL"), ("VGP", "MFY"))  # around each decisive one
CERTAINTY = 0.8  # probability of the base that a site asks for


@dataclass(frozen=True)
class Protein:
    """A made-up protein: its name, its amino acids, and the motif that it binds."""

    name: str
    amino_acids: str
    motif: Motif


def families(random: np.random.Generator, count: int, members: int, linker: int = 4, tail: int = 20) -> list[Protein]:
    """``count`` families of ``members`` proteins each.

    Args:
        linker: amino acids between two sites.
        tail: amino acids before and after the domain.
    """
    lengths = [tail, *[linker] * (len(SITES) - 1), tail]  # of the free stretches
    proteins: list[Protein] = []
    for _ in range(count):
        bases = random.integers(len(ALPHABET), size=len(SITES))
        free = [random.choice(list(AMINO_ACIDS), size=length) for length in lengths]
        for _ in range(members):
            own = np.where(random.random(len(SITES)) < 0.35, random.integers(len(ALPHABET), size=len(SITES)), bases)
            asked = [ALPHABET[base] for base in own]
            stretches = ["".join(np.where(random.random(len(s)) < 0.2, random.choice(list(AMINO_ACIDS), size=len(s)), s)) for s in free]
            sites = [left + CODE[base] + right for base, (left, right) in zip(asked, SITES, strict=True)]
            text = "".join(part for pair in zip(stretches, [*sites, ""], strict=True) for part in pair)
            proteins.append(Protein(f"SIM{len(proteins) + 1:03d}", text, motif("".join(asked), [CERTAINTY] * len(SITES))))
    return proteins
