"""Pictures of text lines with their transcripts: a folder or archive with ``labels.tsv``, or with a ``.gt.txt`` beside each picture."""

import hashlib
import logging
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from dlhw.data.arrays import SPLITS, ArrayData
from dlhw.data.line_batches import LineBatches, LineTensors
from dlhw.data.line_layout import Line, find_lines, split_lines, way_to_split
from dlhw.data.line_pictures import LineSplit, read_lines
from dlhw.data.picture_files import open_files
from dlhw.data.vocab import Vocab
from dlhw.errors import UserError
from dlhw.ranges import check_at_least, check_split
from dlhw.specs import LineSpec

log = logging.getLogger(__name__)


class LineArrays(ArrayData):
    """Base of the sets of lines, which are cut into batches of like width. A subclass implements :meth:`read`.

    Args:
        height: pixels that every line is scaled to.
        border: white columns on each side of a line.
        pool: see :class:`dlhw.data.line_batches.LineBatches`.

    Raises:
        UserError: a knob out of range.
    """

    splits: dict[str, LineSplit]  # type: ignore[assignment]  # a split of lines has the fields of a Split that others look at

    def __init__(self, *, height: int, border: int = 8, pool: int = 8, **options: Any) -> None:
        super().__init__(**options)
        check_at_least(8, "task.data", height=height)
        check_at_least(0, "task.data", border=border)
        check_at_least(1, "task.data", pool=pool)
        self.height, self.border, self.pool = height, border, pool
        self._lines: dict[str, LineTensors] = {}

    def _batches(self, split: str, batch_size: int, **options: Any) -> LineBatches:  # type: ignore[override]
        rank, world = (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)
        device = self.trainer.strategy.root_device if self.trainer else torch.device("cpu")
        key = f"{split} on {device}"
        if key not in self._lines:
            self._lines[key] = LineTensors.of(self.splits[split], device)
        return LineBatches(self._lines[key], batch_size, pool=self.pool, rank=rank, world=world, **options)


class LineData(LineArrays):
    """Pictures of printed or written lines.

    Args:
        path: folder, .zip or .tar; a relative one is looked for in the working folder, then in ``data_root``.
        normalization: Unicode form of all transcripts: NFC, NFD, NFKC, NFKD or none.
        split: see :func:`dlhw.data.line_layout.way_to_split`.
        test_groups, val_share, test_share, split_seed: see :func:`dlhw.data.line_layout.split_lines`; the seed of the training does not
            change the cut.

    Raises:
        UserError: a knob out of range.
    """

    def __init__(
        self,
        *,
        path: str,
        normalization: str = "NFC",
        split: str = "auto",
        test_groups: Sequence[Any] | str | int = (),
        val_share: float = 0.1,
        test_share: float = 0.2,
        split_seed: int = 0,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        if split not in ("auto", "column", "line", "group"):
            raise UserError(f"task.data.split={split} is not one of auto, column, line, group")
        check_split(val_share=val_share, test_share=test_share)
        self.path, self.normalization, self.split = path, normalization, split
        groups = test_groups if isinstance(test_groups, Sequence) and not isinstance(test_groups, str) else [test_groups]
        self.test_groups = tuple(str(group) for group in groups)  # YAML takes the name of a book such as 1572 for a number
        self.shares, self.split_seed = {"val": val_share, "test": test_share}, split_seed

    def read(self) -> None:
        path = self.find(
            "task.data.path",
            self.path,
            "a folder, .zip or .tar of line pictures is right, and task=ocr_digits runs without any pictures of your own",
        )
        with open_files(path) as files:
            lines = find_lines(files, self.normalization)
            way = way_to_split(self.split, lines, str(path))
            found = split_lines(lines, way, self.shares, self.split_seed, self.test_groups, str(path))
            log.info("%s (task.data.split=%s)", ", ".join(f"{len(found[split])} lines {split}" for split in SPLITS), way)
            pictures, digest = read_lines(files, tuple(lines), self.height, self.border)
        columns = dict(zip((line.path for line in lines), pictures, strict=True))
        texts = {split: [line.text for line in found[split]] for split in SPLITS}
        vocab = Vocab.of(texts["train"])
        self.notes = {"unseen": report_unseen(vocab, texts)}
        self.splits = {}
        for split, members in found.items():
            names, groups = tuple(line.path for line in members), tuple(line.group for line in members)
            self.splits[split] = LineSplit.of([columns[name] for name in names], vocab.array(texts[split]), names, groups)
        longest = max(len(text) for members in texts.values() for text in members)
        self.spec = LineSpec(self.height, vocab.symbols, longest, self.normalization, self.border)
        self.checksums = {path.name: digest, "transcripts": transcripts_digest(found)}


def report_unseen(vocab: Vocab, texts: Mapping[str, Sequence[str]]) -> dict[str, dict[str, dict[str, int]]]:
    """Which letters of the other splits the training split lacks, and how often they occur, as each of them will count as an error.

    All are given for the notes of the result; the log tells the most common ones.
    """
    notes = {}
    for split in ("val", "test"):
        unseen = vocab.unseen(texts[split])
        notes[split] = {"letters": dict(unseen)}
        if unseen:
            shown = ", ".join(f"{letter} (U+{ord(letter):04X}) {count} times" for letter, count in unseen.most_common(20))
            log.warning("%s: %d letters are in no training line and cannot be read: %s", split, unseen.total(), shown)
    return notes


def transcripts_digest(found: Mapping[str, Sequence[Line]]) -> str:
    """SHA-256 over the split, path and text of every line."""
    rows = sorted(f"{split}\t{line.path}\t{line.text}" for split, lines in found.items() for line in lines)
    return hashlib.sha256("\n".join(rows).encode(errors="surrogateescape")).hexdigest()
