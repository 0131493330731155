"""Proteins that a network never sees: which ones are held out, and what that hides in each split.

Legend: N probes, P proteins.
"""

import logging
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from dlhw.errors import UserError
from dlhw.protein_identity import clusters

log = logging.getLogger(__name__)

UNITS = ("protein", "cluster")


def hold_out(
    names: Sequence[str], amino_acids: Sequence[str], unseen: float | Sequence[str], by: str, threshold: float, seed: int
) -> dict[str, str]:
    """The proteins that are held out: name -> ``val`` or ``test``.

    Those that ``unseen`` names, or a share of that size drawn at random, are for the test; as many others, drawn at random, validate.

    Args:
        amino_acids: of each protein; may be empty where ``by`` is ``protein``.
        by: what is held out and counted: single proteins, or clusters of proteins alike from ``threshold`` (identity, 0 to 1) on,
            of which none is torn apart.

    Raises:
        UserError: an unknown name, a share or threshold out of range, clusters without sequences, no protein left to learn from.
    """
    if by not in UNITS:
        raise UserError(f"task.data.unseen_by={by} is not one of {', '.join(UNITS)}")
    if by == "cluster" and not amino_acids:
        raise UserError("task.data.unseen_by=cluster needs the proteins' amino acids: task.data.fasta=FILE")
    if not 0 < threshold <= 1:
        raise UserError(f"task.data.identity={threshold} is out of range: a share of equal amino acids above 0, up to 1")
    group = dict(zip(names, clusters(amino_acids, threshold) if by == "cluster" else range(len(names)), strict=True))
    order = np.random.default_rng(seed).permutation(max(group.values()) + 1).tolist()
    if isinstance(unseen, int | float):
        if not 0 < unseen < 0.5:
            raise UserError(f"task.data.unseen={unseen} is out of range: a share between 0 and 0.5, or names of proteins")
        test = order[: max(1, round(unseen * len(order)))]
    else:
        if unknown := [name for name in unseen if name not in group]:
            raise UserError(f"task.data.unseen: {', '.join(unknown)} is not among the proteins: {', '.join(names)}")
        test = list(dict.fromkeys(group[name] for name in unseen))
    val = [number for number in order if number not in test][: len(test)]
    if len(test) + len(val) >= len(order) or not val:
        raise UserError(
            f"task.data.unseen={unseen} leaves nothing to learn from: of {len(order)} {by}s {len(test)} would test and as many validate"
        )
    held = {name: "test" if group[name] in test else "val" for name in names if group[name] in (*test, *val)}
    for split in ("val", "test"):
        log.info("unseen, for %s: %s", split, ", ".join(name for name, of in held.items() if of == split))
    return held


def hide(values: NDArray[np.float32], names: Sequence[str], held: dict[str, str], split: str) -> NDArray[np.float32]:
    """What a split may know, (N, P): training what is not held out, another split what is held out for it; all else is NaN."""
    if not held:
        return values
    shown = np.array([held.get(name, "train") == split for name in names])
    return np.where(shown, values, np.float32(np.nan))
