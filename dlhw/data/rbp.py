"""Binding of RNA-binding proteins to short RNA probes, measured by RNAcompete (Ray et al., Nature 2013)."""

import hashlib
import logging
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dlhw.data.arrays import ArrayData, Split
from dlhw.data.protein_files import read_embeddings, read_fasta
from dlhw.data.rbp_replicates import as_texts, measured_again
from dlhw.data.rbp_scale import fit_scale, without
from dlhw.data.rbp_table import Column, Probes, read_experiments, read_metadata, read_probes, select
from dlhw.data.rna import encode
from dlhw.data.unseen import hold_out, measured_answers, shown
from dlhw.errors import UserError, listed
from dlhw.ranges import check, check_at_least, check_split
from dlhw.specs import SequenceSpec

log = logging.getLogger(__name__)

STATISTICS = ("train", "per_split")
NOTHING_UNSEEN = {"unseen": None, "unseen_by": "protein", "identity": 0.5}


class ProbeData(ArrayData):
    """Probes of set A train and validate, those of set B test; one column of targets per protein, NaN where nothing was measured.

    A probe of set A whose sequence stands in set B as well is left out, and equal sequences are either all training or all validation.
    A subclass says where the probes come from, and what is known of the proteins.

    Proteins can be held out: the training split then lacks their values, and the other splits have no others. See
    :func:`dlhw.data.unseen.hold_out` for ``unseen``, ``unseen_by`` and ``identity``.

    Args:
        protein: names of proteins or experiments, one or a list, or ``all``.
        exclude: proteins or experiments to leave out.
        length: nucleotides that sequences are padded to.
        clip_percentile: intensities above this percentile are cut to it.
        log: learn logarithms of the intensities.
        normal_scores: learn their normal scores: a squared error is then one of ranks, which is what Spearman's correlation judges.
        statistics: what percentile, mean and standard deviation are fitted on: ``train``; ``per_split`` fits them on each split alone,
            as the course does.
        val_share, split_seed: share of the sequences of set A that validate, and the seed of that cut and of the draws of unseen proteins
            and of fewer probes.
        train_probes, val_probes, test_probes: train, validate, and test, on so many probes only, drawn at random; None takes all.
        unseen: names of proteins or experiments, or a share of the proteins, to hold out for the test, and as many to validate, with all
            experiments of each; None holds out none.
        unseen_by: what is held out: ``protein`` or ``cluster``.
        identity: share of equal amino acids from which on two proteins are one cluster.

    Raises:
        UserError: a knob out of range.
    """

    answers: Mapping[str, NDArray[np.float32]] = {}  # for the test split, (N, P) each: what was measured elsewhere, NaN where nothing was

    def __init__(
        self,
        *,
        protein: str | Sequence[str] = "all",
        exclude: str | Sequence[str] = (),
        length: int = 41,
        clip_percentile: float = 99.95,
        log: bool = False,
        normal_scores: bool = False,
        statistics: str = "train",
        val_share: float = 0.2,
        split_seed: int = 0,
        train_probes: int | None = None,
        val_probes: int | None = None,
        test_probes: int | None = None,
        unseen: float | str | Sequence[str] | None = None,
        unseen_by: str = "protein",
        identity: float = 0.5,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        check_at_least(1, "task.data", length=length)
        check("task.data", "above 0, up to 100", lambda value: 0 < value <= 100, clip_percentile=clip_percentile)
        check_split(val_share=val_share)
        probes = {"train_probes": train_probes, "val_probes": val_probes, "test_probes": test_probes}
        check("task.data", "at least 1, or null", lambda most: most is None or most >= 1, **probes)
        check_at_least(0, "task.data", split_seed=split_seed)
        if log and normal_scores:
            raise UserError("task.data.log=true changes nothing where task.data.normal_scores=true: ranks stay; leave one of them out")
        if statistics not in STATISTICS:
            raise UserError(f"task.data.statistics={statistics} is not one of {', '.join(STATISTICS)}")
        self.most = {name.removesuffix("_probes"): most for name, most in probes.items()}
        self.wanted, self.exclude = _names(protein), _names(exclude)
        self.length, self.statistics = length, statistics
        self.scale: dict[str, Any] = {"clip_percentile": clip_percentile, "log": log, "normal_scores": normal_scores}
        self.val_share, self.split_seed = val_share, split_seed
        if unseen is None and {"unseen": unseen, "unseen_by": unseen_by, "identity": identity} != NOTHING_UNSEEN:
            raise UserError(f"task.data.unseen_by={unseen_by} and identity={identity} change nothing without unseen: a share, or names")
        self.unseen = unseen if unseen is None or isinstance(unseen, int | float) else _names(unseen)
        self.unseen_by, self.identity = unseen_by, identity

    @abstractmethod
    def probes(self) -> tuple[Probes, list[Column]]:
        """The probes, and what :meth:`chosen` says of their experiments."""

    def chosen(self, path: Path, experiments: Sequence[str], proteins: Mapping[str, str]) -> list[Column]:
        """The columns that ``protein`` and ``exclude`` leave of a table: see :func:`dlhw.data.rbp_table.select`."""
        return select(path, experiments, proteins, self.wanted, self.exclude)

    def about(self, columns: Sequence[Column]) -> dict[str, tuple[str, ...]]:
        """What else the spec should tell of the columns' proteins: ``amino_acids``, ``embeddings``."""
        return {}

    def read(self) -> None:
        probes, columns = self.probes()
        names = tuple(column.name for column in columns)
        values = probes.intensities[:, [probes.experiments.index(column.experiment) for column in columns]]
        for name, column in zip(names, values.T, strict=True):
            if np.isnan(column).all():
                raise UserError(f"{probes.path}: {name} has no intensity at all: {without(name, names)} is right")
        about = self.about(columns)
        held: dict[str, str] = {}
        if self.unseen is not None:
            amino_acids = about.get("amino_acids", ())
            held = hold_out(columns, amino_acids, self.unseen, self.unseen_by, self.identity, self.split_seed)
        codes = encode(probes.sequences, self.length, str(probes.path), probes.rows)
        rows = split_rows(codes, probes.in_set_b, self.val_share, self.split_seed)
        measured = np.asarray(~np.isnan(values).all(axis=1))
        rows = {split: part[measured[part]] for split, part in rows.items()}
        for split, most in self.most.items():
            if most is not None and most > len(rows[split]):
                raise UserError(
                    f"task.data.{split}_probes={most}: {probes.path} has {len(rows[split])} for that, "
                    f"at task.data.val_share={self.val_share}: so many at most, or null for all"
                )
        rows["test"] = draw(rows["test"], self.most["test"], self.split_seed)  # a table may be sorted; the others are in random order
        rows = {split: part[: self.most[split]] for split, part in rows.items()}
        if empty := [split for split, part in rows.items() if not len(part)]:
            raise UserError(
                f"{probes.path} has no measured probe for {', '.join(empty)}: probes of SetB (test) are right, and enough of SetA with "
                f"other sequences, of which task.data.val_share={self.val_share} validates and the rest trains"
            )
        self.splits = {}
        for split, part in rows.items():
            fitted_on = split if self.statistics == "per_split" else "train"
            fitted = fit_scale(values[rows[fitted_on]], names, fitted_on, **self.scale)
            scaled = fitted.apply(values[part])
            known = shown(names, held, split)
            if lacking := [name for name, empty in zip(names, known & np.isnan(scaled).all(axis=0), strict=True) if empty]:
                log.warning("%s: no probe was measured for %s: mean correlations are over the other proteins", split, ", ".join(lacking))
            self.splits[split] = Split(codes[part], np.where(known, scaled, np.float32(np.nan)))
            if split == "test":
                again = measured_again(codes[part], scaled)
                self.answers = again if not held else again | measured_answers(scaled, names, about.get("amino_acids", ()), held)
        self.spec = SequenceSpec(self.length, names, unseen=tuple(held), **about)
        self.checksums = {**self.checksums, probes.path.name: probes.sha256}


class RbpData(ProbeData):
    """Tables of RNAcompete, of one protein or many.

    Args:
        table: tab-separated, ``Probe_Set``, ``RNA_Seq`` and one column per experiment.
        metadata: ``Motif_ID`` and ``Protein_name``, .xlsx or .csv; None where the columns of the table are called by their proteins.
        fasta: amino acids of the proteins; None where no network asks for them.
        embeddings: vectors of the proteins, .npz or .csv; None likewise.
    """

    def __init__(
        self, *, table: str, metadata: str | None, fasta: str | None = None, embeddings: str | None = None, **options: Any
    ) -> None:
        super().__init__(**options)
        self.table, self.metadata, self.fasta, self.embeddings = table, metadata, fasta, embeddings
        self.checksums = {}

    def probes(self) -> tuple[Probes, list[Column]]:
        right = "a tab-separated table with Probe_Set, RNA_Seq and one column per experiment is right, and task=rbp_sim runs without any"
        table = self.find("task.data.table", self.table, right)
        experiments = read_experiments(table)  # before all of it is read: a wrong name is told at once
        right = f"an .xlsx or .csv with Motif_ID and Protein_name is right, or null where the columns of {table.name} are the proteins"
        metadata = self.find("task.data.metadata", self.metadata, right) if self.metadata else None
        proteins = read_metadata(metadata) if metadata else {}
        if proteins and not proteins.keys() & {*experiments}:
            raise UserError(
                f"task.data.metadata={self.metadata} names no experiment of {table}, which are {listed(experiments)}: "
                "that table's own metadata is right, or null where its columns are called by their proteins"
            )
        columns = self.chosen(table, experiments, proteins)
        renamed = {column.name: column.experiment for column in columns if column.name != column.experiment}
        if metadata and renamed:  # what it says of the proteins that are learnt is part of the data
            self.notes = {"experiments": renamed}
            self.checksums[metadata.name] = hashlib.sha256(repr(sorted(renamed.items())).encode()).hexdigest()
        return read_probes(table, [column.experiment for column in columns]), columns

    def about(self, columns: Sequence[Column]) -> dict[str, tuple[str, ...]]:
        found = {}
        for key, file, read in (("amino_acids", self.fasta, read_fasta), ("embeddings", self.embeddings, read_embeddings)):
            if file:
                knob = "fasta" if key == "amino_acids" else key
                path = self.find(f"task.data.{knob}", file, "a file with a record for each protein is right, or null")
                found[key] = read(path, columns)
                self.checksums[path.name] = hashlib.sha256(path.read_bytes()).hexdigest()
        return found


def _names(given: object) -> tuple[str, ...]:
    """One name or a list of them; a number, as YAML reads some names, is the name that it is written as."""
    return tuple(map(str, given)) if isinstance(given, Sequence) and not isinstance(given, str) else (str(given),)


def draw(rows: NDArray[np.intp], most: int | None, seed: int) -> NDArray[np.intp]:
    """So many of the rows (N,) at random, in their order; None takes all. Fewer of them are among more."""
    return rows[np.sort(np.random.default_rng(seed).permutation(len(rows))[:most])]


def split_rows(codes: NDArray[np.uint8], in_set_b: NDArray[np.bool_], val_share: float, seed: int) -> dict[str, NDArray[np.intp]]:
    """Rows of each split: set B tests; set A, in random order, validates (``val_share`` of its distinct sequences) and trains.

    ``codes`` are (N, L); equal sequences never stand in two splits.
    """
    test = np.flatnonzero(in_set_b)
    text = as_texts(codes)
    own = np.flatnonzero(~in_set_b & ~np.isin(text, text[test]))
    if dropped := int((~in_set_b).sum()) - len(own):
        log.info("%d probes of set A are left out: their sequences stand in set B, which tests", dropped)
    distinct, number = np.unique(text[own], return_inverse=True)
    place = np.random.default_rng(seed).permutation(len(distinct))[number]  # of each row's sequence in the random order
    order = np.argsort(place, kind="stable")
    validates = place[order] < round(val_share * len(distinct))
    return {"train": own[order[~validates]], "val": own[order[validates]], "test": test}
