"""Numbers that are read off a run: a metric of its result, or a function of a curve, such as ``spikes(test/acc)``."""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from statistics import fmean

from dlhw.errors import UserError
from dlhw.report.runs import Record, Where, select

SPIKE = 0.05  # a fall by so much or more from one epoch to the next is a spike

Curve = Sequence[float]


def spikes(curve: Curve, fall: float = SPIKE) -> float:
    """How often a curve falls by ``fall`` or more from one epoch to the next."""
    return float(sum(before - after >= fall for before, after in pairwise(curve)))


def passes(curve: Curve, threshold: float) -> float:
    """The first epoch, from 1, at which a curve reaches ``threshold``; infinite where it never does."""
    return next((float(epoch) for epoch, value in enumerate(curve, 1) if value >= threshold), math.inf)


FUNCTIONS: dict[str, Callable[..., float]] = {
    "min": min,
    "max": max,
    "last": lambda curve: curve[-1],
    "spikes": spikes,
    "passes": passes,
}

SCORED = ("decoded", "ensemble")  # what :mod:`dlhw.decode` has scored


def metrics(record: Record, name: str) -> tuple[Mapping[str, float | None], str]:
    """The metrics that a name is about, and which of them: ``test/acc`` is ``acc`` of those of the test split; see :func:`quantity`."""
    if scored := re.fullmatch(rf"({'|'.join(SCORED)})\((.+)/([^/]+)\)", name):
        return (record.decoded if scored[1] == "decoded" else record.ensemble)(scored[2]), scored[3]
    split, _, metric = name.partition("/")
    return record.result.get(split, {}) if metric else {}, metric


def quantity(record: Record, name: str) -> float:
    """A number of a run, by its name; NaN where the run has not measured it.

    ``test/acc`` (also ``val/``, ``train/``, ``last/``); a field of result.json such as ``params``; ``layer(NAME)``, the parameters of one
    layer; ``gap(loss)``, validation less training at the last epoch; ``decoded(NAME/metric)`` of what :mod:`dlhw.decode` has left,
    ``ensemble(NAME/metric)`` of the ensemble that the run is in; ``function(column, number)`` over a column of ``metrics.csv``.

    Raises:
        UserError: no such function or field.
    """
    if gap := re.fullmatch(r"gap\((\w+)\)", name):
        ends = [record.curve(f"{split}/{gap[1]}")[-1:] for split in ("val", "train")]
        return ends[0][0] - ends[1][0] if all(ends) else math.nan
    if name.startswith("layer("):
        layers = {layer["name"]: layer["params"] for layer in record.result.get("layers", [])}
        return float(layers.get(name[len("layer(") : -1], math.nan))
    called = re.fullmatch(r"(\w+)\(([^,()]+)(?:,\s*([-\d.e]+))?\)", name)
    if called and called[1] not in SCORED:
        function, column, number = called.groups()
        if function not in FUNCTIONS:
            raise UserError(f"{name}: no function {function}; there are {', '.join(FUNCTIONS)}")
        curve = record.curve(column)
        return float(FUNCTIONS[function](curve, *([float(number)] if number else []))) if curve else math.nan
    measured, metric = metrics(record, name)
    if metric:
        value = measured.get(metric)
        return math.nan if value is None else float(value)
    if not isinstance(record.result.get(name), int | float):
        raise UserError(f"{name} is no number of a result.json; metrics are test/NAME, val/NAME, train/NAME or last/NAME")
    return float(record.result[name])


def mean(records: Sequence[Record], where: Where, name: str) -> float:
    """The mean of a number over the seeds of the runs that ``where`` is true of; NaN where none has measured it."""
    values = [value for record in select(records, where) if not math.isnan(value := quantity(record, name))]
    return fmean(values) if values else math.nan
