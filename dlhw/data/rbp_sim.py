"""Simulated RNAcompete: probes and intensities made up from known motifs. No data is read, and none of it was measured."""

import hashlib
import logging
from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dlhw.correlation import spearman
from dlhw.data.rbp import ProbeData
from dlhw.data.rbp_table import Column, Probes
from dlhw.data.recognition_code import Protein, families
from dlhw.data.rna import ALPHABET, decode
from dlhw.data.simulate import affinity, motif, plant, random_probes
from dlhw.ranges import check, check_at_least

log = logging.getLogger(__name__)

SHORTEST = 30  # nucleotides; the longest probes are as long as task.data.length
CORE, CORE_CERTAINTY, FLANK_CERTAINTY = 6, 0.9, 0.5  # bases of a motif, and the probability of each and of the base on either side


class SimulatedProbes(ProbeData):
    """Random probes, sites of known motifs written into some, and what each protein binds, with noise.

    Args:
        probes: in set A, and as many in set B.
        planted: share of the probes that get a site.
        noise: standard deviation of what is added to the intensities, which have one of 1 before.
        world_seed: of proteins, probes and noise.

    Raises:
        UserError: a knob out of range.
    """

    def __init__(self, *, probes: int = 10000, planted: float = 0.5, noise: float = 0.3, world_seed: int = 0, **options: Any) -> None:
        super().__init__(**options)
        check_at_least(10, "task.data", probes=probes)
        check_at_least(SHORTEST, "task.data", length=self.length)
        check_at_least(0, "task.data", noise=noise, world_seed=world_seed)
        check("task.data", "a share from 0 to 1", lambda share: 0 <= share <= 1, planted=planted)
        self.count, self.planted, self.noise, self.world_seed = probes, planted, noise, world_seed

    @abstractmethod
    def world(self, random: np.random.Generator) -> Sequence[Protein]:
        """The proteins."""

    def probes(self) -> tuple[Probes, list[Column]]:
        self.proteins = self.world(np.random.default_rng([self.world_seed, 0]))
        motifs = [protein.motif for protein in self.proteins]
        random = np.random.default_rng([self.world_seed, 1])
        codes = random_probes(random, 2 * self.count, SHORTEST, self.length)
        plant(random, codes, motifs, self.planted)
        bound = affinity(codes, motifs)  # (N, P)
        bound = (bound - bound.mean(axis=0)) / bound.std(axis=0)
        measured = (bound + self.noise * random.standard_normal(bound.shape)).astype(np.float32)
        in_set_b = np.arange(len(codes)) >= self.count
        ceiling = spearman(bound[in_set_b], measured[in_set_b])
        self.notes = {
            "simulated": True,
            "motifs": {protein.name: "".join(ALPHABET[base] for base in protein.motif.argmax(axis=1)) for protein in self.proteins},
            "spearman of the simulated binding without noise": {
                protein.name: round(float(value), 4) for protein, value in zip(self.proteins, ceiling, strict=True)
            },
        }
        log.info("simulated: %d proteins and %d probes were made up, nothing of it was measured", len(motifs), len(codes))
        digest = hashlib.sha256(codes.tobytes() + measured.tobytes()).hexdigest()
        self.checksums = {}
        names = tuple(protein.name for protein in self.proteins)
        probes = Probes(Path("simulated probes"), in_set_b, tuple(decode(codes)), names, measured, range(1, len(codes) + 1), digest)
        return probes, self.chosen(probes.path, names, {})


class RbpSimData(SimulatedProbes):
    """Proteins with motifs of six bases and weak flanks. The first binds UGCAUG, as RBFOX1 does, the others something random.

    Args:
        proteins: how many.
    """

    def __init__(self, *, proteins: int = 4, **options: Any) -> None:
        super().__init__(**options)
        check("task.data", "1 to 99", lambda many: 1 <= many <= 99, proteins=proteins)
        self.many = proteins

    def world(self, random: np.random.Generator) -> list[Protein]:
        cores = ["UGCAUG"]
        while len(cores) < self.many:
            core = "".join(random.choice(list(ALPHABET), size=CORE))
            if core not in cores:
                cores.append(core)
        certainty = [FLANK_CERTAINTY, *[CORE_CERTAINTY] * CORE, FLANK_CERTAINTY]
        proteins = []
        for number, core in enumerate(cores, 1):
            left, right = random.choice(list(ALPHABET), size=2)
            proteins.append(Protein(f"SIM{number:02d}", "", motif(left + core + right, certainty)))
        return proteins


class RbpSimUnseenData(SimulatedProbes):
    """Proteins whose amino acids decide what they bind (:mod:`dlhw.data.recognition_code`), to predict those that were never seen.

    Args:
        families, members: how many families of proteins, and proteins of each.
    """

    def __init__(self, *, families: int = 20, members: int = 6, **options: Any) -> None:
        super().__init__(**options)
        check_at_least(1, "task.data", families=families, members=members)
        self.families, self.members = families, members

    def world(self, random: np.random.Generator) -> list[Protein]:
        return families(random, self.families, self.members)

    def about(self, columns: Sequence[Column]) -> dict[str, tuple[str, ...]]:
        amino_acids = {protein.name: protein.amino_acids for protein in self.proteins}
        return {"amino_acids": tuple(amino_acids[column.protein] for column in columns)}
