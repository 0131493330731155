"""Tables of RNAcompete in small, in the course's layout, with one motif that raises an intensity."""

from pathlib import Path

import numpy as np
import pandas as pd

from dlhw.data.rbp import RbpData
from dlhw.data.rna import decode

MOTIF = "UGCAUG"


def random_rna(draw: np.random.Generator, count: int, lengths: tuple[int, int] = (30, 41)) -> list[str]:
    """Sequences of ``lengths`` from the first to the second."""
    return ["".join(draw.choice(list("ACGU"), draw.integers(lengths[0], lengths[1] + 1))) for _ in range(count)]


def table(probes: int = 400, experiments: int = 1, seed: int = 0) -> pd.DataFrame:
    """Half set A, half set B; every third probe holds :data:`MOTIF`, which adds 3 to the intensity in EXP1, and less in the others."""
    draw = np.random.default_rng(seed)
    sequences = random_rna(draw, probes)
    for row in range(0, probes, 3):
        at = draw.integers(0, len(sequences[row]) - len(MOTIF) + 1)
        sequences[row] = sequences[row][:at] + MOTIF + sequences[row][at + len(MOTIF) :]
    bound = np.array([MOTIF in sequence for sequence in sequences])
    frame = pd.DataFrame({"Probe_Set": np.where(np.arange(probes) % 2, "SetB", "SetA"), "RNA_Seq": sequences})
    for number in range(1, experiments + 1):
        frame[f"EXP{number}"] = np.round(3.0 / number * bound + 0.3 * draw.normal(size=probes), 4)
    return frame


def write_table(path: Path, frame: pd.DataFrame) -> str:
    frame.to_csv(path, sep="\t", index=False)
    return str(path)


def read(path: Path | str, metadata: Path | str | None = None, protein: str | list[str] = "all", **knobs: object) -> RbpData:
    """The data of a table."""
    data = RbpData(
        table=str(path),
        metadata=None if metadata is None else str(metadata),
        protein=protein,
        batch_size=16,
        eval_batch_size=64,
        **knobs,  # type: ignore[arg-type]
    )
    data.setup()
    return data


def sequences(data: RbpData, split: str) -> list[str]:
    """The sequences of a split, in its order."""
    return decode(data.splits[split].inputs)
