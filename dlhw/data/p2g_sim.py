"""Words of a made-up language with their spellings: needs no download, and no word is one of a real language."""

import hashlib
from itertools import islice
from typing import Any

import numpy as np

from dlhw.data.p2g import Pair, WordData
from dlhw.ranges import check, check_at_least

ONSETS = ("", "b", "p", "t", "d", "k", "ɡ", "f", "s", "ʃ", "t͡ʃ", "m", "n", "l", "w", "k w", "t ɹ", "ɡ ɹ", "f l", "s t")
NUCLEI = ("æ", "ɪ", "i", "ə", "ʊ", "o ʊ", "e ɪ", "ɛ")
CODAS = ("", "", "n", "k", "f", "s", "l d", "m", "ʃ")
LETTERS = {"ɡ": "g", "ʃ": "sh", "t͡ʃ": "ch", "ɹ": "r", "æ": "a", "ɪ": "i", "ə": "e", "ʊ": "oo", "o": "o", "e": "a", "ɛ": "e"}
FRONT = frozenset("iɪeɛ")  # k is written k before these vowels, and c elsewhere
MOST = 100_000  # words of a split; there are some millions of two syllables
RARE = 0.2  # share of the f that are written ph: what no network can know


class MadeUpWordsData(WordData):
    """Words of one to ``longest`` syllables, spelt by rules that look at the neighbours of a sound, one of them with dice.

    /k/ is k before front vowels, ck at the end, q before /w/ and else c; /i/ is y at the end and else ee; /eɪ/ is ay at the end and
    else ai; /oʊ/ is o; /ʃə/ after another sound is tio; /f/ is ph in one of five cases, by chance; all else always has the same letters.
    No word is in two splits.

    Args:
        train_words, eval_words: words of the training split, and of validation and test each.
        longest: syllables.
        world_seed: of the words.

    Raises:
        UserError: a knob out of range.
    """

    def __init__(self, *, train_words: int = 2000, eval_words: int = 300, longest: int = 4, world_seed: int = 0, **options: Any) -> None:
        super().__init__(**options)
        check("task.data", f"1 to {MOST:,}", lambda words: 1 <= words <= MOST, train_words=train_words, eval_words=eval_words)
        check_at_least(2, "task.data", longest=longest)
        check_at_least(0, "task.data", world_seed=world_seed)
        self.counts = {"train": train_words, "val": eval_words, "test": eval_words}
        self.longest, self.world_seed = longest, world_seed

    def pairs(self) -> dict[str, list[Pair]]:
        random = np.random.default_rng(self.world_seed)
        words: dict[str, Pair] = {}
        while len(words) < sum(self.counts.values()):
            phones = self._word(random)
            words.setdefault(" ".join(phones), (phones, spelt(phones, random)))
        self.checksums = {"p2g_sim": hashlib.sha256(repr([*words.values()]).encode()).hexdigest()}
        self.notes = {"simulated": True}
        made = iter(words.values())
        return {split: [*islice(made, count)] for split, count in self.counts.items()}

    def _word(self, random: np.random.Generator) -> list[str]:
        syllables = range(random.integers(1, self.longest + 1))
        return " ".join(str(random.choice(sounds)) for _ in syllables for sounds in (ONSETS, NUCLEI, CODAS)).split()


def spelt(phones: list[str], random: np.random.Generator) -> str:
    """The spelling of a word."""
    text = ""
    for place, phone in enumerate(phones):
        before = phones[place - 1] if place else ""
        after = phones[place + 1] if place + 1 < len(phones) else ""
        match phone:
            case "k":
                text += "ck" if not after else "q" if after == "w" else "k" if after in FRONT else "c"
            case "w" if before == "k":
                text += "u"
            case "i":
                text += "ee" if after else "y"
            case "ɪ" if before == "e":
                text += "i" if after else "y"
            case "ʊ" if before == "o":
                continue
            case "ʃ" if after == "ə" and before:
                text += "ti"
            case "ə" if before == "ʃ" and place > 1:
                text += "o"
            case "f":
                text += "ph" if random.random() < RARE else "f"
            case _:
                text += LETTERS.get(phone, phone)
    return text
