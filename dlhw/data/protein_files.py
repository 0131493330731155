"""What is known of proteins beside their binding: amino acids from FASTA, vectors of any protein language model from .npz or .csv."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from Bio.SeqIO.FastaIO import SimpleFastaParser
from numpy.typing import NDArray

from dlhw.data.npz import UNREADABLE
from dlhw.data.rbp_table import Column
from dlhw.data.text_file import open_text
from dlhw.errors import UserError, listed
from dlhw.specs import pack_vector

VECTORS = (".npz", ".csv")  # endings of files that hold vectors; others hold amino acids
COMMENT = ";#"  # how lines of a FASTA file begin that are not part of it
NUCLEOTIDES = frozenset("ACGUTN")  # but for U, each is the letter of an amino acid as well
LONGEST_OF_NUCLEOTIDES = 10  # letters; no longer protein is made of those amino acids alone


def read_all(path: Path) -> dict[str, str]:
    """What a file tells of each protein in it, by the names that it has there: amino acids, or packed vectors.

    Raises:
        UserError: as :func:`read_fasta` and :func:`read_embeddings`, or nothing in it.
    """
    if path.suffix in VECTORS:
        names, read = [*_vectors(path)], read_embeddings
    else:
        names, read = [identifier for identifier, _ in _records(path)], read_fasta
    if not names:
        raise UserError(f"{path} holds no protein: FASTA, or vectors as {' or '.join(VECTORS)}, are right")
    columns = [Column(name, name, name) for name in dict.fromkeys(names)]
    return dict(zip(dict.fromkeys(names), read(path, columns), strict=True))


def read_fasta(path: Path, columns: Sequence[Column]) -> tuple[str, ...]:
    """The amino acids of the protein of each column, in capitals.

    A record is called by its identifier, or a part of it between ``|``: the name of an experiment, or of a protein for all experiments
    that have no record of their own.

    Raises:
        UserError: no FASTA, a protein without a record or with several that differ, an empty one, a character that is no letter, a sequence
            of nucleotides.
    """
    found: dict[str, str] = {}
    for identifier, letters in _records(path):
        for name in {identifier, *identifier.split("|")}:
            if found.setdefault(name, letters) != letters:
                found[name] = "?"  # told only where it is asked for
    chosen = _of_each(path, found, columns, "record")
    for name, letters in chosen.items():
        if letters == "?":
            raise UserError(f"{path} has several records of {name} that differ: one is right")
        if not letters.isascii() or not letters.isalpha():
            raise UserError(f"{path}: the sequence of {name} is empty or has characters that are no letters: amino acids are right")
        if len(letters) > LONGEST_OF_NUCLEOTIDES and set(letters) <= NUCLEOTIDES:
            raise UserError(f"{path}: the sequence of {name} is RNA or DNA (nothing but A, C, G, U, T, N): amino acids are right")
    return tuple(chosen.values())


def read_embeddings(path: Path, columns: Sequence[Column]) -> tuple[str, ...]:
    """The vector of the protein of each column, packed by :func:`dlhw.specs.pack_vector`.

    An .npz holds one array per name; a .csv a row per name, which stands in the first column, and numbers in the others. The names are
    those of :func:`read_fasta`.

    Raises:
        UserError: unreadable, a protein without a vector, vectors of different lengths or with values that are no finite numbers.
    """
    chosen = _of_each(path, _vectors(path), columns, "vector")
    width = next(iter(chosen.values())).shape
    for name, vector in chosen.items():
        if vector.ndim != 1 or vector.shape != width or not np.isfinite(vector).all():
            shape = "a single number" if not vector.shape else "x".join(map(str, vector.shape))
            raise UserError(f"{path}: what stands there of {name} ({shape}) is no vector of finite numbers as long as the others")
    return tuple(pack_vector(vector.tolist()) for vector in chosen.values())


def _records(path: Path) -> list[tuple[str, str]]:
    """Identifier and letters of each record of a FASTA file."""
    try:
        with open_text(path) as file:
            lines = [line for line in file if line.strip() and line[0] not in COMMENT]
    except (OSError, EOFError, ValueError) as error:
        raise UserError(f"{path} cannot be read as FASTA ({error}): records of amino acids are right") from None
    if lines and not lines[0].startswith(">"):
        raise UserError(f"{path} is no FASTA: it begins with {lines[0].strip()[:20]!r}, and a header is right there, such as >NAME")
    return [(title.partition(" ")[0], letters.upper().rstrip("*")) for title, letters in SimpleFastaParser(iter(lines))]


def _vectors(path: Path) -> dict[str, NDArray[np.float32]]:
    try:
        if path.suffix == ".npz":
            with np.load(path) as file:
                return {name: np.asarray(file[name], np.float32) for name in file.files}
        frame = pd.read_csv(path, index_col=0)
        if any(re.match(r"-?\d*\.\d", label) for label in frame.columns.astype(str)):
            raise ValueError("its first line holds values, and names of columns are right there")
        frame.index = frame.index.astype(str)
        if len(twice := frame.index[frame.index.duplicated()]):
            raise ValueError(f"{twice[0]} stands in it more than once")
        return dict(zip(frame.index, frame.to_numpy(np.float32), strict=True))
    except UNREADABLE as error:
        raise UserError(f"{path} cannot be read as vectors of proteins ({error}): .npz or .csv is right") from None


def _of_each(path: Path, found: Mapping[str, Any], columns: Sequence[Column], what: str) -> dict[str, Any]:
    chosen = {column.name: found.get(column.experiment, found.get(column.protein)) for column in columns}
    if missing := [name for name, value in chosen.items() if value is None]:
        there = f"; it has {listed([*found], 5)}" if found else ""
        raise UserError(f"{path} has no {what} of {listed(missing, 5)}: one named by protein or experiment is right for each{there}")
    return chosen
