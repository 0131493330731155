"""Systems side by side, protein by protein, and what they look for."""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean

from dlhw.report.build import NOT_RUN
from dlhw.report.claims import by_part
from dlhw.report.document import Table
from dlhw.report.runs import Record, Where, kinds, select
from dlhw.run_folder import EXPLAINED

METRIC, AGAIN = "test/spearman", "test/spearman_second_measurement"


def by_protein(name: str, caption: str, records: Sequence[Record], systems: Mapping[str, Where], without: Sequence[str]) -> list[Table]:
    """Test Spearman of each system on each protein, the mean over its seeds, and the means over the proteins, also with those of
    ``without`` left out; the highest of a line is marked. Where test probes were measured twice, the last column is the correlation of
    the two measurements. No table where no system has been run.
    """
    found = {system: by_part(METRIC, records, where) for system, where in systems.items()}
    proteins = sorted({protein for values in found.values() for protein in values})
    if not proteins:
        return []
    rows = [[protein, *_marked([values.get(protein, math.nan) for values in found.values()])] for protein in proteins]
    of_means = [proteins, [name for name in proteins if name not in without]]
    for label, chosen in zip(("mean", f"mean without {', '.join(without)}"), of_means, strict=True):
        means = [fmean(values[name] for name in chosen) if {*chosen} <= values.keys() else math.nan for values in found.values()]
        rows.append([f"{label} ({len(chosen)})", *_marked(means)])
    seeds = [f"{system} {_seeds([record for record in records if record.has(where)])}" for system, where in systems.items()]
    kind = kinds([record for where in systems.values() for record in records if record.has(where)])
    notes = [f"Seeds: {', '.join(seeds)}. + is the highest of a line; a mean is given where all its proteins were measured."]
    columns = ["protein", *systems]
    if again := {name: value for where in systems.values() for name, value in by_part(AGAIN, records, where).items()}:
        columns.append("second measurement")
        for row, chosen in zip(rows, [*([protein] for protein in proteins), *of_means], strict=True):
            row.append(f"{fmean(again[name] for name in chosen):.4f}" if {*chosen} <= again.keys() else "-")
        notes.append("Second measurement: how well one measurement foretells another, over the test probes that were measured twice.")
    return [Table(name, caption if kind == "real" else f"{caption} ({kind})", columns, rows, 1, notes)]


def _seeds(records: Sequence[Record]) -> str:
    """How many seeds each protein was learnt with: ``3``, or ``1 to 3``."""
    of: dict[str, set[int]] = {}
    for record in records:
        for protein in record.result["spec"]["proteins"]:
            of.setdefault(protein, set()).add(record.seed)
    numbers = sorted({len(seeds) for seeds in of.values()}) or [0]
    return " to ".join(map(str, dict.fromkeys((numbers[0], numbers[-1]))))


def _marked(values: Sequence[float]) -> list[str]:
    known = [value for value in values if not math.isnan(value)]
    best = max(known) if len(known) > 1 else math.inf
    return [NOT_RUN if math.isnan(value) else f"{value:.4f}{' +' * (value >= best)}" for value in values]


def explanations(records: Sequence[Record], where: Where) -> list[tuple[Record, Path]]:
    """The folders that ``python -m dlhw.explain`` has written for runs, of each protein."""
    paths = [(record, path) for record in select(records, where) for path in sorted((record.folder / EXPLAINED).rglob("summary.json"))]
    return [(record, path.parent) for record, path in paths]


def kmers(name: str, caption: str, records: Sequence[Record], wheres: Sequence[Where]) -> list[Table]:
    """The most important k-mer to each network that was looked into, beside that of the measured intensities."""
    rows = []
    for where in wheres:
        for _, folder in explanations(records, where):
            told = json.loads((folder / "summary.json").read_text())
            agreed = told["kmers"]
            rows.append([told["network"], agreed["network"], agreed["measured"], str(agreed["shared"]), f"{agreed['spearman']:.3f}"])
    if not rows:
        return []
    columns = ["network", "most important to it", "highest z-score", "of the ten best the same", "Spearman over all"]
    notes = [
        "Important: how much a k-mer written into test probes raises the prediction. The z-score is that of the measured intensities of "
        "the test probes that hold a k-mer; no network is asked for it."
    ]
    return [Table(name, caption, columns, rows, 3, notes)]
