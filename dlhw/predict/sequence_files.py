"""RNA that a user hands over: FASTA, a text file with a sequence a line, or one sequence; what is no RNA is named."""

import os
import string
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from dlhw.data.rna import encode
from dlhw.data.text_file import open_text
from dlhw.errors import UserError

UNREADABLE = (OSError, EOFError, ValueError)  # ValueError: no UTF-8, or no FASTA


def _is_letter(letter: str) -> bool:
    try:
        encode([letter], 1, "")
    except UserError:
        return False
    return True


TOLD = 20  # wrong sequences that are named, at most
LETTERS = frozenset(filter(_is_letter, string.ascii_letters))  # of RNA, as the networks read it


@dataclass(frozen=True)
class Record:
    """A sequence of the input and what it is called there."""

    name: str
    sequence: str


def read_records(source: str) -> list[Record]:
    """The sequences of a FASTA file, named by their headers up to the first blank, of a text file, named by their lines, or one itself.

    Raises:
        UserError: neither a file nor a sequence, unreadable, no sequence in it, a name twice.
    """
    if not os.path.exists(source):  # a Path that is too long for a file name would not answer
        if set(source) - LETTERS:
            raise UserError(
                f"input={source} is missing: a FASTA file, a text file with a sequence a line, or one sequence of A, C, G, U, N is right"
            )
        return [Record("sequence", source)]
    path = Path(source)
    try:
        with open_text(path) as file:
            lines = file.read().splitlines()
    except UNREADABLE as error:
        raise UserError(f"input={path} cannot be read as text ({error}): FASTA or a sequence a line is right") from None
    first = next((line for line in lines if line.strip()), "")
    records = list(_fasta(lines) if first.startswith(">") else _lines(lines, path))
    if not records:
        raise UserError(f"input={path} holds no sequence: FASTA or a sequence a line is right")
    names: set[str] = set()
    for record in records:
        if record.name in names:
            raise UserError(f"input={path} has two sequences called {record.name!r}: each needs a name of its own")
        names.add(record.name)
    return records


def _fasta(lines: list[str]) -> Iterator[Record]:
    from Bio.SeqIO.FastaIO import SimpleFastaParser

    for number, (title, sequence) in enumerate(SimpleFastaParser(line for line in lines if line.strip()), 1):
        yield Record(title.split()[0] if title.split() else f"record{number}", sequence)


def _lines(lines: list[str], path: Path) -> Iterator[Record]:
    if header := next((number for number, line in enumerate(lines, 1) if line.startswith(">")), None):
        raise UserError(f"input={path} looks like FASTA without its first header: line {header} is the first that begins with '>'")
    for number, line in enumerate(lines, 1):
        if line.strip():
            yield Record(f"line{number}", line.strip())


def readable(records: list[Record]) -> list[Record]:
    """The records that are RNA; what is wrong with the others goes to stderr, of many the first ones."""
    wrong = {record.name: what for record in records if (what := _wrong(record))}
    for name, what in [*wrong.items()][:TOLD]:
        print(f"error: {name} {what}; left out", file=sys.stderr)
    if len(wrong) > TOLD:
        print(f"error: {len(wrong) - TOLD} more of {len(records)} sequences cannot be read; left out", file=sys.stderr)
    return [record for record in records if record.name not in wrong]


def _wrong(record: Record) -> str:
    if strange := sorted(set(record.sequence) - LETTERS):
        return f"has letters that are no bases ({', '.join(map(repr, strange[:5]))}): A, C, G, U (or T) and N are right"
    return "" if record.sequence else "is empty"


def warn_of_short(records: list[Record], length: int) -> None:
    """Name sequences far shorter than probes; a run does not tell how short its shortest probe was, so half the length is the mark."""
    if short := [f"{record.name} ({len(record.sequence)})" for record in records if len(record.sequence) < length // 2]:
        more = f" and {len(short) - 5} more" * (len(short) > 5)
        print(
            f"warning: {', '.join(short[:5])}{more}: less than {length // 2} nucleotides, far shorter than the probes of the training "
            f"(up to {length}), so the prediction is a guess",
            file=sys.stderr,
        )
