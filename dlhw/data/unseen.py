"""Proteins that a network never sees: which ones are held out, and what that hides in each split.

Legend: N probes, P proteins.
"""

import logging
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from dlhw.data.rbp_table import Column
from dlhw.errors import UserError, listed
from dlhw.protein_identity import clusters, most_alike
from dlhw.ranges import check
from dlhw.specs import FASTA

log = logging.getLogger(__name__)

UNITS = ("protein", "cluster")


def hold_out(
    columns: Sequence[Column], amino_acids: Sequence[str], unseen: float | Sequence[str], by: str, threshold: float, seed: int
) -> dict[str, str]:
    """What is held out: the name of a column -> ``val`` or ``test``. All experiments of a protein share its fate.

    The proteins or experiments that ``unseen`` names, or a share of that size drawn at random, are for the test; as many others, drawn at
    random, validate.

    Args:
        amino_acids: of each column; may be empty where ``by`` is ``protein``.
        by: what is held out and counted: single proteins, or clusters of proteins alike from ``threshold`` (identity, 0 to 1) on,
            of which none is torn apart.

    Raises:
        UserError: an unknown name, a share or threshold out of range, clusters without sequences, no protein left to learn from.
    """
    if by not in UNITS:
        raise UserError(f"task.data.unseen_by={by} is not one of {', '.join(UNITS)}")
    if by == "cluster" and not amino_acids:
        raise UserError(f"task.data.unseen_by=cluster needs the proteins' amino acids: {FASTA}")
    check("task.data", "a share of equal amino acids above 0, up to 1", lambda share: 0 < share <= 1, identity=threshold)
    proteins = [column.protein for column in columns]
    numbers = {protein: number for number, protein in enumerate(dict.fromkeys(proteins))}
    group = clusters(amino_acids, threshold, proteins) if by == "cluster" else [numbers[protein] for protein in proteins]
    order = np.random.default_rng(seed).permutation(max(group) + 1).tolist()
    if unseen == []:
        raise UserError("task.data.unseen=[] names no protein: names, a share, or null to hold none out")
    if isinstance(unseen, int | float):
        check("task.data", "a share between 0 and 0.5, or names of proteins", lambda share: 0 < share < 0.5, unseen=unseen)
        test = order[: max(1, round(unseen * len(order)))]
    else:
        called = {name: own for column, own in zip(columns, group, strict=True) for name in (column.experiment, column.protein)}
        if unknown := [name for name in unseen if name not in called]:
            raise UserError(f"task.data.unseen: {', '.join(unknown)} is not among the proteins: {listed([*numbers])}")
        test = list(dict.fromkeys(called[name] for name in unseen))
    val = [number for number in order if number not in test][: len(test)]
    if len(test) + len(val) >= len(order) or not val:
        raise UserError(
            f"task.data.unseen={unseen} leaves nothing to learn from: of {len(order)} {by}s {len(test)} would test and as many validate"
        )
    held = {column.name: "test" if own in test else "val" for column, own in zip(columns, group, strict=True) if own in (*test, *val)}
    for split in ("val", "test"):
        log.info("unseen, for %s: %s", split, ", ".join(name for name, of in held.items() if of == split))
    return held


def shown(names: Sequence[str], held: Mapping[str, str], split: str) -> NDArray[np.bool_]:
    """Whose values a split knows, (P,): training those of what is not held out, another split those of what is held out for it."""
    return np.array([not held or held.get(name, "train") == split for name in names])


def measured_answers(
    values: NDArray[np.float32], names: Sequence[str], amino_acids: Sequence[str], held: dict[str, str]
) -> dict[str, NDArray[np.float32]]:
    """What was measured of the proteins that are trained on, as predictions for those that are held out, on the same probes: (N, P) each.

    ``nearest_protein`` takes the protein with the largest identity of amino acids, where these are known, ``mean_protein`` the mean of all;
    columns of trained proteins, and what was not measured, are NaN.
    """
    trained = [number for number, name in enumerate(names) if name not in held]
    unseen = [number for number, name in enumerate(names) if name in held]
    known = values[:, trained]
    measured = ~np.isnan(known)
    mean, nearest = np.full_like(values, np.nan), np.full_like(values, np.nan)
    total, count = np.where(measured, known, 0.0).sum(axis=1), measured.sum(axis=1)
    mean[:, unseen] = np.divide(total, count, out=np.full_like(total, np.nan), where=count > 0)[:, None]
    answers = {"mean_protein": mean}
    if amino_acids:
        of_trained = [amino_acids[number] for number in trained]
        nearest[:, unseen] = known[:, [most_alike(amino_acids[number], of_trained) for number in unseen]]
        answers = {"nearest_protein": nearest, **answers}
    return answers
