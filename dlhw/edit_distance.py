"""Error rates of transcriptions, by edit distance: substitutions, insertions and deletions, each counted as one.

A rate is the sum of edits over all texts divided by the length of all references, so long texts weigh more than short ones. An empty
reference has no length, but what was written in its place counts as edits; where all references are empty, the rate is NaN.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from rapidfuzz.distance import Levenshtein


@dataclass(frozen=True)
class Edits:
    """Counts over a set of texts; counts of parts of the set add up."""

    characters: int  # edits of the best hypotheses, in characters
    words: int  # the same in words: what stands between white space
    words_at_k: int  # in words again, of the hypothesis with the fewest among the first k of each text
    reference_characters: int
    reference_words: int

    @property
    def cer(self) -> float:
        """Character error rate."""
        return _rate(self.characters, self.reference_characters)

    @property
    def wer(self) -> float:
        """Word error rate; where each text is one word, the share of words that are not exactly right."""
        return _rate(self.words, self.reference_words)

    @property
    def wer_at_k(self) -> float:
        """Word error rate with, for each text, the best of its k hypotheses: of single words the share that none of k gets right."""
        return _rate(self.words_at_k, self.reference_words)


def _rate(edits: float, length: float) -> float:
    return edits / length if length else float("nan")


def count_edits(references: Sequence[str], hypotheses: Sequence[Sequence[str]]) -> Edits:
    """Compare each reference with its hypotheses, at least one each, the best first."""
    characters = words = words_at_k = 0
    for reference, candidates in zip(references, hypotheses, strict=True):
        characters += Levenshtein.distance(reference, candidates[0])
        split = reference.split()
        of_words = [Levenshtein.distance(split, candidate.split()) for candidate in candidates]
        words += of_words[0]
        words_at_k += min(of_words)
    return Edits(characters, words, words_at_k, sum(map(len, references)), sum(len(reference.split()) for reference in references))


def cer(references: Sequence[str], hypotheses: Sequence[str]) -> float:
    """Character error rate: all edits over all characters of the references."""
    return count_edits(references, [[hypothesis] for hypothesis in hypotheses]).cer


def wer(references: Sequence[str], hypotheses: Sequence[str]) -> float:
    """Word error rate: all edits in words over all words of the references."""
    return count_edits(references, [[hypothesis] for hypothesis in hypotheses]).wer


def confusions(references: Sequence[str], hypotheses: Sequence[str]) -> Counter[tuple[str, str]]:
    """How often each letter of a reference became which other one, along one alignment with the fewest edits a text.

    A letter that was left out became ``""``, one that was put in was ``""`` before. Their sum is the number of edits.
    """
    counts: Counter[tuple[str, str]] = Counter()
    for reference, hypothesis in zip(references, hypotheses, strict=True):
        for edit in Levenshtein.editops(reference, hypothesis):
            before = "" if edit.tag == "insert" else reference[edit.src_pos]
            after = "" if edit.tag == "delete" else hypothesis[edit.dest_pos]
            counts[before, after] += 1
    return counts
