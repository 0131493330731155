"""Where networks look as they write, from what ``python -m dlhw.explain`` has written for runs."""

from collections.abc import Callable, Sequence

from matplotlib.figure import Figure as Drawing

from dlhw.explain.views import View, read_views
from dlhw.report.build import named
from dlhw.report.document import Figure
from dlhw.report.plan import Row
from dlhw.report.runs import Record, select
from dlhw.run_folder import EXPLAINED

FOR_REPORT = "report"  # folder below explain/, so that a user's own look at a run changes no report


def view_figure(
    name: str, row: Row, records: Sequence[Record], folder: str, draw: Callable[[Sequence[View]], Drawing], what: str
) -> list[Figure]:
    """The views in a folder of what was explained for the report, of the first of a row's runs that has some; none where no run has.

    ``what`` is the end of the caption, with ``{}`` for how many there are.
    """
    for record in select(records, row.where):
        if views := read_views(record.folder / EXPLAINED / FOR_REPORT / folder):
            return [Figure(name, f"{row.id}, {named(row, [record])} (seed {record.seed}): {what.format(len(views))}", draw(views))]
    return []
