"""What the texts that runs have stored tell of their errors: of which kind they are, how many stand together, in which texts and letters.

Only runs whose predictions hold what was to be written count; of committed ones it is not kept.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from rapidfuzz.distance import Levenshtein

from dlhw.edit_distance import cer, confusions
from dlhw.explain.views import letter
from dlhw.report.document import Table
from dlhw.report.plan import Plan, Row
from dlhw.report.runs import Record, select

LONG = 5  # edits that stand together, and are no slip over one letter any more
BETWEEN = 2  # right letters between two places with edits that still count as one: some letters are right by chance

Texts = tuple[list[str], list[str]]  # references and what was written


@dataclass(frozen=True)
class Errors:
    """Counts of edits over all texts of a system; ``long`` of them are in stretches of ``LONG`` or more."""

    substituted: int
    inserted: int
    left_out: int
    long: int
    characters: int

    @property
    def edits(self) -> int:
        return self.substituted + self.inserted + self.left_out

    def share(self, count: int) -> float:
        """Of the characters of the references."""
        return count / max(self.characters, 1)


def texts_of(records: Sequence[Record]) -> Texts:
    """References and first hypotheses of runs, one run after the other; empty where none has stored them."""
    references: list[str] = []
    written: list[str] = []
    for record in records:
        if "reference" in record.predictions:
            references += record.predictions["reference"].tolist()
            written += record.predictions["hypothesis"].reshape(len(record.predictions["reference"]), -1)[:, 0].tolist()
    return references, written


def errors(texts: Texts) -> Errors:
    """The edits of texts, along one alignment with the fewest a text."""
    counts: Counter[str] = Counter()
    long = 0
    for reference, written in zip(*texts, strict=True):
        counts.update(edit.tag for edit in Levenshtein.editops(reference, written))
        long += sum(size for size in stretches(reference, written) if size >= LONG)
    return Errors(counts["replace"], counts["insert"], counts["delete"], long, sum(map(len, texts[0])))


def stretches(reference: str, written: str) -> list[int]:
    """How many edits stand together, of each place where there are some, with at most ``BETWEEN`` right letters between two of them."""
    sizes: list[int] = []
    right = BETWEEN + 1  # letters since the last edit
    for op in Levenshtein.opcodes(reference, written):
        if op.tag == "equal":
            right = op.src_end - op.src_start
            continue
        size = max(op.src_end - op.src_start, op.dest_end - op.dest_start)
        if right <= BETWEEN and sizes:
            sizes[-1] += size
        else:
            sizes.append(size)
        right = 0
    return sizes


def cer_by_length(texts: Texts, bounds: Sequence[float]) -> list[float]:
    """The error rate of texts of at most the first bound, at most the second, and so on, and above the last; NaN where there are none."""
    place = np.searchsorted(bounds, [len(reference) for reference in texts[0]])
    parts = [[pair for pair, of in zip(zip(*texts, strict=True), place, strict=True) if of == part] for part in range(len(bounds) + 1)]
    return [cer([reference for reference, _ in part], [written for _, written in part]) for part in parts]


def thirds(texts: Texts) -> list[int]:
    """Two lengths that part texts into three about equal shares."""
    return [int(bound) for bound in np.quantile([len(reference) for reference in texts[0]], [1 / 3, 2 / 3])]


def errors_table(plan: Plan, rows: Sequence[Row], records: Sequence[Record], unit: str) -> list[Table]:
    """A line for each row with stored texts: kinds of edits, how many stand together, rates by length; no table where there are none."""
    stored = [(row, runs, texts) for row in rows if (texts := texts_of(runs := select(records, row.where)))[0]]
    if not stored:
        return []
    bounds = thirds(stored[0][2])
    lines = []
    for row, runs, texts in stored:
        found = errors(texts)
        counts = [found.edits, found.substituted, found.inserted, found.left_out]
        rates = [*map(found.share, counts), found.long / max(found.edits, 1), *cer_by_length(texts, bounds)]
        lines.append([row.id, row.label, str(len(runs)), *(f"{100 * rate:.1f}" if rate == rate else "-" for rate in rates)])
    columns = ["row", "system", "seeds", "CER", "substituted", "inserted", "left out", "edits together"]
    columns += [f"CER up to {bounds[0]}", f"to {bounds[1]}", "longer"]
    note = (
        f"In per cent of the letters to be written, over all seeds. Edits together: the share of the edits that stand {LONG} or more "
        f"together (at most {BETWEEN} right letters between two of them). The last columns are the error rates of {unit} by their number "
        "of letters."
    )
    return [Table(f"{plan.name}-errors", f"{plan.title}: what kind of errors they are.", columns, lines, 2, [note], wide=[1])]


def confusions_table(plan: Plan, rows: Sequence[Row], records: Sequence[Record], shown: int = 12) -> list[Table]:
    """The most frequent confusions of letters of each row with stored texts, times in a run; no table where there are none."""
    columns, parts = [], []
    for row in rows:
        runs = [record for record in select(records, row.where) if "reference" in record.predictions]
        if runs:
            columns += [f"{row.id}: true", "written", "times"]
            counts = sorted(confusions(*texts_of(runs)).items(), key=lambda item: (-item[1], item[0]))[:shown]
            parts.append([[letter(before), letter(after), f"{times / len(runs):.1f}"] for (before, after), times in counts])
    lines = [[cell for part in parts for cell in (part[line] if line < len(part) else ["-"] * 3)] for line in range(shown)]
    caption = f"{plan.title}: the most confused letters of the test split, how often in one run (mean over the seeds)."
    return [Table(f"{plan.name}-confusions", caption, columns, lines, len(columns))] if parts else []


def percent(share: float, digits: int = 1) -> str:
    """``12.3 %``."""
    return f"{100 * share:.{digits}f} %"
