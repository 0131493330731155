"""What is known of proteins beside their binding: amino acids from FASTA, vectors of any protein language model from .npz or .csv."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from Bio import SeqIO

from dlhw.data.rbp_table import Column
from dlhw.errors import UserError
from dlhw.specs import pack_vector


def read_fasta(path: Path, columns: Sequence[Column]) -> tuple[str, ...]:
    """The amino acids of the protein of each column, in capitals.

    A record is called by its identifier, or a part of it between ``|``: the name of an experiment, or of a protein for all experiments
    that have no record of their own.

    Raises:
        UserError: no FASTA, a protein without a record or with several that differ, an empty one, a character that is no letter.
    """
    found: dict[str, str] = {}
    try:
        with open(path, encoding="utf-8") as file:
            for record in SeqIO.parse(file, "fasta-pearson"):
                letters = str(record.seq).upper().rstrip("*")
                for name in {record.id, *record.id.split("|")}:
                    if found.setdefault(name, letters) != letters:
                        found[name] = "?"  # told only where it is asked for
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read as FASTA ({error}): records of amino acids are right") from None
    chosen = _of_each(path, found, columns, "record")
    for name, letters in chosen.items():
        if letters == "?":
            raise UserError(f"{path} has several records of {name} that differ: one is right")
        if not letters.isascii() or not letters.isalpha():
            raise UserError(f"{path}: the sequence of {name} is empty or has characters that are no letters: amino acids are right")
    return tuple(chosen.values())


def read_embeddings(path: Path, columns: Sequence[Column]) -> tuple[str, ...]:
    """The vector of the protein of each column, packed by :func:`dlhw.specs.pack_vector`.

    An .npz holds one array per name; a .csv a row per name, which stands in the first column, and numbers in the others. The names are
    those of :func:`read_fasta`.

    Raises:
        UserError: unreadable, a protein without a vector, vectors of different lengths or with values that are no finite numbers.
    """
    try:
        if path.suffix == ".npz":
            with np.load(path) as file:
                found = {name: np.asarray(file[name], np.float32) for name in file.files}
        else:
            frame = pd.read_csv(path, index_col=0)
            frame.index = frame.index.astype(str)
            if len(twice := frame.index[frame.index.duplicated()]):
                raise ValueError(f"{twice[0]} stands in it more than once")
            found = dict(zip(frame.index, frame.to_numpy(np.float32), strict=True))
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read as vectors of proteins ({error}): .npz or .csv is right") from None
    chosen = _of_each(path, found, columns, "vector")
    width = next(iter(chosen.values())).shape
    for name, vector in chosen.items():
        if vector.ndim != 1 or vector.shape != width or not np.isfinite(vector).all():
            raise UserError(f"{path}: the vector of {name} is not like that of the others: {width[0] if width else 0} finite numbers each")
    return tuple(pack_vector(vector.tolist()) for vector in chosen.values())


def _of_each(path: Path, found: Mapping[str, Any], columns: Sequence[Column], what: str) -> dict[str, Any]:
    chosen = {column.name: found.get(column.experiment, found.get(column.protein)) for column in columns}
    if missing := [name for name, value in chosen.items() if value is None]:
        raise UserError(f"{path} has no {what} of {', '.join(missing)}: one named by protein or experiment is right for each")
    return chosen
