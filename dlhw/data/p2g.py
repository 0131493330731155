"""Phoneme to grapheme: pronunciations and spellings in tab-separated files, ``k æ t<TAB>cat`` a line."""

import hashlib
import logging
from abc import abstractmethod
from pathlib import Path
from typing import Any

from dlhw.data.arrays import ArrayData, Split
from dlhw.data.vocab import NORMALIZATIONS, Vocab, normalized
from dlhw.errors import UserError
from dlhw.specs import TextSpec

log = logging.getLogger(__name__)

FILES = {"train": "train.tsv", "val": "valid.tsv", "test": "test.tsv"}
Pair = tuple[list[str], str]  # the phones and the spelling of a word


class WordData(ArrayData):
    """Words in IPA with their spellings. A subclass implements :meth:`pairs`.

    The vocabularies of phones and letters are those of the training split; what the other splits have beyond them is counted and told.
    """

    normalization = "NFC"

    @abstractmethod
    def pairs(self) -> dict[str, list[Pair]]:
        """The words of each split; sets ``checksums``.

        Raises:
            UserError: the data is missing or wrong; names file and line.
        """

    def read(self) -> None:
        pairs = self.pairs()
        phones, letters = (Vocab.of(pair[side] for pair in pairs["train"]) for side in (0, 1))
        self.splits = {
            split: Split(phones.array([source for source, _ in of_split], end=False), letters.array([target for _, target in of_split]))
            for split, of_split in pairs.items()
        }
        source, target = (max(len(pair[side]) for of_split in pairs.values() for pair in of_split) for side in (0, 1))
        self.spec = TextSpec(phones.symbols, letters.symbols, source, target, self.normalization)
        self.notes = {**self.notes, "unseen": {split: self._unseen(split, pairs[split], phones, letters) for split in ("val", "test")}}

    @staticmethod
    def _unseen(split: str, pairs: list[Pair], phones: Vocab, letters: Vocab) -> dict[str, dict[str, int]]:
        """How often which symbols occur that the training split lacks; also logged."""
        found = {"phones": dict(phones.unseen(p for p, _ in pairs)), "letters": dict(letters.unseen(s for _, s in pairs))}
        told = {"phones": "all of them are one unknown phone to the network", "letters": "they cannot be written, so each is an error"}
        for kind, counts in found.items():
            if counts:
                listed = ", ".join(f"{symbol} ({count})" for symbol, count in counts.items())
                log.info("%s has %s that the training split lacks: %s; %s", split, kind, listed, told[kind])
        return found


class P2GData(WordData):
    """Words in files, as the course's split of WikiPron has them (Lee et al., 2020, https://aclanthology.org/2020.lrec-1.521).

    Args:
        path: folder with ``train.tsv``, ``valid.tsv`` and ``test.tsv``; a relative one is looked for here, then in ``data_root``.
        normalization: Unicode form of phones and spellings.
    """

    def __init__(self, *, path: str = "p2g", normalization: str = "NFC", **options: Any) -> None:
        super().__init__(**options)
        if normalization not in NORMALIZATIONS:
            raise UserError(f"task.data.normalization={normalization} is not one of {', '.join(NORMALIZATIONS)}")
        self.path, self.normalization = path, normalization

    def pairs(self) -> dict[str, list[Pair]]:
        right = f"a folder with {', '.join(FILES.values())}, phones TAB spelling in every line, is right"
        folder = self.find("task.data.path", self.path, right)
        pairs = {split: read_pairs(folder / name, self.normalization) for split, name in FILES.items()}
        self.checksums = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in FILES.values()}
        return pairs


def read_pairs(path: Path, normalization: str = "NFC") -> list[Pair]:
    """Phones and spelling of each line of a file: phones separated by blanks, a tab, the spelling.

    Raises:
        UserError: the file is missing, empty or no UTF-8, or a line has other columns or an empty one; names the line.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UserError(
            f"{path} cannot be read ({error.strerror or error}); a file with a word a line, phones TAB spelling, is right"
        ) from None
    pairs = []
    lines = data.removeprefix(b"\xef\xbb\xbf").split(b"\n")
    for number, line in enumerate(lines[: -1 if not lines[-1].strip() else None], 1):
        try:
            columns = normalized(line.decode("utf-8").rstrip("\r"), normalization).split("\t")
        except UnicodeDecodeError as error:
            raise UserError(f"{path}, line {number} is not UTF-8 (byte {error.start + 1}); save the file as UTF-8") from None
        if len(columns) != 2:
            raise UserError(
                f"{path}, line {number} has {len(columns)} columns; two are right: phones separated by blanks, a tab, the spelling"
            )
        source, target = columns[0].split(), columns[1].strip()
        if not source or not target:
            raise UserError(f"{path}, line {number} has no {'spelling' if source else 'phones'}; both must be there")
        pairs.append((source, target))
    if not pairs:
        raise UserError(f"{path} holds no words; a word a line, phones TAB spelling, is right")
    return pairs
