"""Tables of RNAcompete: which probe bound how strongly in which experiment, and which protein an experiment was made with."""

import difflib
import gzip
import hashlib
import zipfile
import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dlhw.errors import UserError, listed

PROBE_SET, SEQUENCE = "Probe_Set", "RNA_Seq"
PROTEIN, EXPERIMENT = "Protein_name", "Motif_ID"
NO_EXPERIMENT = (PROBE_SET, SEQUENCE, "Probe_ID")  # the last is in the table that RNAcompete's authors give out
SETS = ("SetA", "SetB")
UNREADABLE = (OSError, EOFError, ValueError, KeyError, zlib.error, gzip.BadGzipFile, zipfile.BadZipFile)  # of pandas and what it reads with


@dataclass(frozen=True)
class Probes:
    """A table of probes, a row each: whether it is in set B, its sequence, its intensity in each experiment (NaN: not measured)."""

    path: Path
    in_set_b: NDArray[np.bool_]  # (N,)
    sequences: tuple[str, ...]
    experiments: tuple[str, ...]
    intensities: NDArray[np.float32]  # (N, experiments)
    rows: Sequence[int]  # (N,), of the file, for messages
    sha256: str


@dataclass(frozen=True)
class Column:
    """A column of a table that is learnt: its experiment, the protein that this was made with, and the name that it goes by."""

    experiment: str
    protein: str
    name: str


def read_experiments(path: Path) -> tuple[str, ...]:
    """The experiments of a table, from its first line alone.

    Raises:
        UserError: unreadable, a column missing or twice.
    """
    header = _header(path)
    _check_header(path, header)
    return tuple(name for name in header if name not in NO_EXPERIMENT)


def read_probes(path: Path, experiments: Sequence[str]) -> Probes:
    """The probes of a tab-separated table, which may be gzipped: ``Probe_Set`` (SetA or SetB), ``RNA_Seq`` and some of its experiments.

    Empty lines are passed over, as are blanks around names, sets and sequences.

    Raises:
        UserError: unreadable, an unknown probe set, an intensity of these experiments that is no number; names column and row.
    """
    status = path.stat()
    frame, sha256 = _read_table(path.resolve(), status.st_mtime_ns, status.st_size)
    rows = frame.index.to_numpy() + 2
    unknown = ~frame[PROBE_SET].isin(SETS).to_numpy()
    if unknown.any():
        first = int(unknown.argmax())
        raise UserError(f"{path}, row {rows[first]}: {PROBE_SET} is {frame[PROBE_SET].iloc[first]!r}; {' or '.join(SETS)} is right")
    for name in experiments:
        numbers = pd.to_numeric(frame[name], errors="coerce")
        wrong = ((numbers.isna() & frame[name].notna()) | np.isinf(numbers)).to_numpy()
        if wrong.any():
            first = int(wrong.argmax())
            raise UserError(
                f"{path}, row {rows[first]}: {name} is '{frame[name].iloc[first]}'; "
                "a number, or nothing where it was not measured, is right"
            )
    in_set_b = (frame[PROBE_SET] == SETS[1]).to_numpy()
    sequences = tuple(frame[SEQUENCE].fillna(""))
    return Probes(path, in_set_b, sequences, tuple(experiments), frame[[*experiments]].to_numpy(np.float32), rows.tolist(), sha256)


@lru_cache(maxsize=2)
def _read_table(path: Path, mtime_ns: int, size: int) -> tuple[pd.DataFrame, str]:
    """A table, its rows numbered from 0 with the empty ones that it lacks, and its SHA-256: once for all proteins of a sweep.

    ``mtime_ns`` and ``size`` are here for the cache: another file under the same name is read anew.
    """
    try:
        kinds = {PROBE_SET: str, SEQUENCE: str}
        frame = pd.read_csv(path, sep="\t", header=0, names=_header(path), dtype=kinds, skip_blank_lines=False)
        if not isinstance(frame.index, pd.RangeIndex):  # pandas takes what stands before the named columns for names of rows
            raise ValueError("its rows have more fields than the first line has names")
    except UNREADABLE as error:
        raise _unreadable(path, error) from None
    frame = frame.dropna(how="all")
    if frame.empty:
        raise UserError(f"{path} has no rows: one for each probe is right")
    frame[[PROBE_SET, SEQUENCE]] = frame[[PROBE_SET, SEQUENCE]].apply(lambda column: column.str.strip())
    return frame, hashlib.sha256(path.read_bytes()).hexdigest()


def _header(path: Path) -> list[str]:
    """The names of a table's columns, without blanks around them."""
    try:
        return pd.read_csv(path, sep="\t", header=None, nrows=1, dtype=str, keep_default_na=False).iloc[0].str.strip().tolist()
    except UNREADABLE as error:
        raise _unreadable(path, error) from None


def _unreadable(path: Path, error: Exception) -> UserError:
    return UserError(f"{path} cannot be read as a table ({' '.join(str(error).split())}): tab-separated text is right")


def _check_header(path: Path, header: list[str]) -> None:
    if missing := [name for name in (PROBE_SET, SEQUENCE) if name not in header]:
        begin = ", ".join(header[:4])
        raise UserError(f"{path} lacks the column {' and '.join(missing)}; it begins with {begin}: tab-separated text is right")
    if twice := [name for name, count in Counter(header).items() if count > 1]:
        raise UserError(f"{path} has the column {', '.join(twice)} more than once: one for each experiment is right")
    if not {*header} - {*NO_EXPERIMENT}:
        raise UserError(f"{path} has no experiment: one column of intensities beside {PROBE_SET} and {SEQUENCE} at least is right")


def read_metadata(path: Path) -> dict[str, str]:
    """The protein of each experiment, from the columns ``Motif_ID`` and ``Protein_name`` of an .xlsx, .csv or tab-separated file.

    Raises:
        UserError: unreadable, a column missing, an experiment twice.
    """
    try:
        if path.suffix.lower() in (".xlsx", ".xls"):
            frame = pd.read_excel(path, dtype=str)
        else:
            with open(path, encoding="utf-8-sig") as file:
                header = file.readline()
            frame = pd.read_csv(path, sep=max(",\t;", key=header.count), dtype=str)
    except UNREADABLE as error:
        raise UserError(f"{path} cannot be read as a table ({' '.join(str(error).split())}): .xlsx or .csv is right") from None
    frame = frame.rename(columns=lambda name: str(name).strip()).apply(lambda column: column.str.strip())
    if missing := [name for name in (PROTEIN, EXPERIMENT) if name not in frame]:
        raise UserError(f"{path} lacks the column {' and '.join(missing)}; it has {', '.join(map(str, frame.columns))}")
    frame = frame.dropna(subset=[PROTEIN, EXPERIMENT])
    twice = frame[EXPERIMENT][frame[EXPERIMENT].duplicated()]
    if len(twice):
        raise UserError(f"{path} names the experiment {', '.join(twice.unique())} more than once: one row each is right")
    return {str(experiment): str(protein) for experiment, protein in zip(frame[EXPERIMENT], frame[PROTEIN], strict=True)}


def select(
    path: Path, experiments: Sequence[str], proteins: Mapping[str, str], wanted: Sequence[str], left_out: Sequence[str]
) -> list[Column]:
    """The columns that ``wanted`` names, by experiment or by protein (``all`` is every one), without those of ``left_out``.

    An experiment goes by its protein where no other one of that protein is chosen, else by its own name.

    Args:
        path: of the table, for messages.
        experiments: of the table.
        proteins: experiment -> protein; an experiment without one is a protein of its own.

    Raises:
        UserError: no such protein or experiment, or a protein with several experiments.
    """
    of = {experiment: proteins.get(experiment, experiment) for experiment in experiments}
    known = sorted({*of, *of.values()})
    _check_known(path, "exclude", left_out, known)
    _check_known(path, "protein", [name for name in wanted if name != "all"], known)
    of = {experiment: protein for experiment, protein in of.items() if not {experiment, protein} & {*left_out}}
    chosen: list[str] = []
    for name in wanted:
        found = [experiment for experiment, protein in of.items() if name in ("all", experiment, protein)]
        if name != "all" and name not in of and len(found) > 1:
            raise UserError(f"task.data.protein={name} has several experiments: name one of {', '.join(found)}")
        chosen += found
    chosen = list(dict.fromkeys(chosen))
    if not chosen:
        raise UserError("task.data.protein and task.data.exclude leave no protein to learn")
    times = Counter(of[experiment] for experiment in chosen)
    return [Column(experiment, of[experiment], of[experiment] if times[of[experiment]] == 1 else experiment) for experiment in chosen]


def _check_known(path: Path, knob: str, names: Sequence[str], known: Sequence[str]) -> None:
    folded = {name.casefold(): name for name in known}
    for name in names:
        if name not in known:
            own = name.casefold()
            near = [own] if own in folded else difflib.get_close_matches(own, folded, n=3)
            meant = f"did you mean {' or '.join(folded[one] for one in near)}? " if near else ""
            raise UserError(f"task.data.{knob}: {name} is not in {path}: {meant}There are {listed(known)}")
