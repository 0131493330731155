"""What a chapter is made from: the experiments that it needs, the rows of its table, its curves and drawings, its discussion.

A chapter is one small file in :mod:`dlhw.report.chapters` that holds a :class:`Plan`; its claims stand in ``conf/report/claims.yaml``.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from dlhw.report.document import Figure, Table
from dlhw.report.runs import Record, Where


@dataclass(frozen=True)
class Experiment:
    """A sweep: the overrides of ``train.py``, and those that make it short for the quick report (None: the quick report goes without).

    ``then`` are commands of this package to be run after it: the module and its arguments, in which ``{folder}`` is where its runs are,
    ``{run}`` the one of them that differs least from the experiment's defaults, ``{data_root}`` the folder of data sets. The quick report
    runs ``quick_then`` in their place, where that is not None.
    ``data`` is the file or folder below ``data_root`` that it needs. Where that is missing, the quick report adds the overrides
    ``embedded``, which put data that comes with the project in its place; without such it leaves the experiment out.
    """

    overrides: Sequence[str]
    quick: Sequence[str] | None = ()
    then: Sequence[Sequence[str]] = ()
    data: str = ""
    embedded: Sequence[str] = ()
    quick_then: Sequence[Sequence[str]] | None = None


@dataclass(frozen=True)
class Metric:
    """A column: what is read off the runs (:func:`dlhw.report.quantities.quantity`), what it is called, digits after the point, and
    whether an interval is shown beside the mean, which says nothing of times on machines that do other things as well.
    """

    quantity: str
    label: str
    digits: int = 4
    interval: bool = True


@dataclass(frozen=True)
class Row:
    """A system: its row in the reports, its name, its runs, and by quantity what the reports state (one figure or several groups').

    ``comparable`` is false where our data is not the report's. ``metrics`` are shown in the place of the plan's.
    """

    id: str
    label: str
    where: Where
    reported: Mapping[str, Sequence[float]] = field(default_factory=dict)
    comparable: bool = True
    metrics: Sequence[Metric] = ()


@dataclass(frozen=True)
class Curves:
    """Curves over the epochs, a panel for each column of ``metrics.csv``, a line for each row named."""

    name: str
    caption: str
    columns: Sequence[tuple[str, str]]  # column, axis label with its unit
    rows: Sequence[str]
    floors: dict[str, float] = field(default_factory=dict)  # text: level; on the first panel


Discussion = Callable[[Sequence[Record]], list[str]]
Drawings = Callable[[Sequence[Record]], list[Figure]]
Tables = Callable[[Sequence[Record]], list[Table]]


@dataclass(frozen=True)
class Plan:
    """A chapter before its runs."""

    name: str
    title: str
    asked: Sequence[str]
    experiments: Sequence[Experiment]
    rows: Sequence[Row]
    metrics: Sequence[Metric]  # of the table beside what is reported, a line each
    more: Sequence[Metric] = ()  # of a second table
    curves: Sequence[Curves] = ()
    tables: Tables = lambda records: []  # further ones of the results
    drawings: Drawings = lambda records: []
    discussion: Discussion = lambda records: []
