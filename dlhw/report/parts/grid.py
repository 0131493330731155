"""A table of one metric over two settings of an experiment: how they were tuned."""

from collections.abc import Sequence

from dlhw.report.build import shown
from dlhw.report.document import Table
from dlhw.report.quantities import quantity
from dlhw.report.runs import Record, Where, kinds, select
from dlhw.results.statistics import INTERVAL, Estimate, mean_with_interval

Axis = tuple[str, str]  # dotted setting, what it is called


def grid(
    name: str, caption: str, records: Sequence[Record], where: Where, down: Axis, across: Axis, metric: str = "spearman"
) -> list[Table]:
    """Test metric of each pair of values that has runs, the mean over the seeds with its interval; no table where there is no run.

    ``where`` are the runs of the experiment; a note names the pair that validation would choose.
    """
    members = [record for record in records if record.has(where)]
    if not members:
        return []
    values = {axis: sorted({record.settings[axis] for record in members}) for axis, _ in (down, across)}
    chosen: tuple[float, str] = (-1.0, "")
    rows = []
    for y in values[down[0]]:
        cells = [str(y)]
        for x in values[across[0]]:
            runs = select(members, {down[0]: y, across[0]: x})
            cells.append(shown(_mean(runs, f"test/{metric}")) + f" ({len(runs)})" * bool(runs))
            if runs and (found := _mean(runs, f"val/{metric}")):
                chosen = max(chosen, (found.mean, f"{down[1]} {y}, {across[1]} {x} ({found.mean:.4f})"))
        rows.append(cells)
    kind = kinds(members)
    notes = [
        f"Test {metric.capitalize()}, mean over the seeds with its 95 % interval ({INTERVAL}) and the number of seeds. "
        f"Validation would choose {chosen[1]}."
    ]
    columns = [f"{down[1]} \\ {across[1]}", *(str(x) for x in values[across[0]])]
    return [Table(name, caption if kind == "real" else f"{caption} ({kind})", columns, rows, 1, notes)]


def _mean(runs: Sequence[Record], name: str) -> Estimate | None:
    return mean_with_interval([quantity(record, name) for record in runs]) if runs else None
