"""The made-up language: its rules, and that its words are the same each time and each in one split."""

import numpy as np
import pytest

from dlhw.data.p2g_sim import RARE, MadeUpWordsData, spelt
from dlhw.errors import UserError


def read(**options: int) -> MadeUpWordsData:
    data = MadeUpWordsData(batch_size=2, eval_batch_size=2, **options)
    data.setup()
    return data


@pytest.mark.parametrize(
    ("phones", "spelling"),
    [
        ("k ɪ k", "kick"),
        ("k æ s k ʊ n", "cascoon"),
        ("k w i n i", "queeny"),
        ("n e ɪ ʃ ə n", "naition"),
        ("ʃ ə m e ɪ", "shemay"),
        ("ɡ ɹ o ʊ l d", "grold"),
        ("t͡ʃ ɛ l d", "cheld"),
    ],
)
def test_rules(phones: str, spelling: str) -> None:
    assert spelt(phones.split(), np.random.default_rng(0)) == spelling


def test_one_sound_is_written_in_two_ways() -> None:
    random = np.random.default_rng(0)
    spellings = [spelt(["f", "æ"], random) for _ in range(2000)]
    assert set(spellings) == {"fa", "pha"}
    assert spellings.count("pha") / 2000 == pytest.approx(RARE, abs=0.03)


def test_no_word_is_in_two_splits_and_a_seed_makes_the_same_words() -> None:
    first, again, other = read(train_words=300, eval_words=50), read(train_words=300, eval_words=50), read(world_seed=1)
    words = [tuple(row[row > 0]) for split in first.splits.values() for row in split.inputs]
    assert len(words) == 400 == len(set(words))
    assert first.checksums == again.checksums != other.checksums
    for split in first.splits:
        np.testing.assert_array_equal(first.splits[split].targets, again.splits[split].targets)
    assert first.notes["simulated"] is True


def test_knobs_out_of_range() -> None:
    with pytest.raises(UserError, match=r"task\.data\.train_words=0 is out of range"):
        read(train_words=0)
    with pytest.raises(UserError, match=r"task\.data\.longest=1 is out of range: at least 2"):
        read(longest=1)
