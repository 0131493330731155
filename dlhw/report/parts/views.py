"""Where networks look as they write, from what ``python -m dlhw.explain`` has written for runs."""

from collections.abc import Callable, Sequence

from matplotlib.figure import Figure as Drawing

from dlhw.explain.views import View, read_views
from dlhw.report.document import Figure
from dlhw.report.plan import Row
from dlhw.report.runs import Record, select
from dlhw.run_folder import EXPLAINED


def view_figure(
    name: str, row: Row, records: Sequence[Record], folder: str, draw: Callable[[Sequence[View]], Drawing], what: str
) -> list[Figure]:
    """The views below ``explain/`` of the first of a row's runs that has some; none where no run has."""
    for record in select(records, row.where):
        if views := read_views(record.folder / EXPLAINED / folder):
            return [Figure(name, f"{row.id}, {row.label} (seed {record.seed}): {what}", draw(views))]
    return []
