"""How alike two proteins are, and which belong together."""

from collections.abc import Sequence
from functools import cache
from operator import eq

from Bio.Align import PairwiseAligner, substitution_matrices

STAND_INS = str.maketrans("UOJ", "CKL")  # selenocysteine, pyrrolysine, leucine or isoleucine: BLOSUM62 knows all other letters


@cache
def _aligner() -> PairwiseAligner:
    """Global alignment with BLOSUM62; what hangs over at the ends costs nothing."""
    aligner = PairwiseAligner(mode="global", open_gap_score=-11.0, extend_gap_score=-1.0)
    aligner.substitution_matrix = substitution_matrices.load("BLOSUM62")
    aligner.end_gap_score = 0.0
    return aligner


@cache
def identity(one: str, other: str) -> float:
    """The share of the shorter sequence's amino acids that are the same in the best alignment, 0 to 1 (CD-HIT's definition)."""
    one, other = one.translate(STAND_INS), other.translate(STAND_INS)
    if one == other:
        return 1.0
    equal, (place_one, place_other) = 0, (0, 0)
    for next_one, next_other in _aligner().align(one, other)[0].coordinates.T.tolist():  # where the alignment's stretches end
        if next_one - place_one == next_other - place_other:  # neither has a gap here
            equal += sum(map(eq, one[place_one:next_one], other[place_other:next_other]))
        place_one, place_other = next_one, next_other
    return equal / min(len(one), len(other))


def most_alike(one: str, others: Sequence[str]) -> int:
    """Which of the others has the largest identity with ``one``; the first where several have."""
    return max(range(len(others)), key=lambda number: identity(one, others[number]))


def clusters(sequences: Sequence[str], threshold: float, proteins: Sequence[str] = ()) -> list[int]:
    """The number of each sequence's cluster: sequences at or above the threshold are linked, and a cluster is all that hangs together.

    Those of the same protein are linked in any case, where ``proteins`` names the protein of each.
    """
    names = proteins or range(len(sequences))
    cluster = list(range(len(sequences)))
    for one in range(len(sequences)):
        for other in range(one):
            if cluster[one] == cluster[other]:
                continue
            if names[one] == names[other] or identity(sequences[other], sequences[one]) >= threshold:
                cluster = [cluster[other] if number == cluster[one] else number for number in cluster]
    numbers = {number: place for place, number in enumerate(dict.fromkeys(cluster))}
    return [numbers[number] for number in cluster]
