"""Settings side by side: part by part of the test split (proteins, books), and their paired differences. See ``python -m dlhw.results``.

A part is what a run has measured on its own: ``spearman:RBP04`` is the part RBP04 of the metric ``spearman``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from dlhw.config import direction
from dlhw.errors import UserError
from dlhw.report.statistics import Estimate, mean_over_seeds
from dlhw.run_files import read_metrics
from dlhw.run_folder import METRICS, short_names
from dlhw.summary import setting_cells, setting_keys, shown_settings, summarize

Values = dict[str, float]  # by the name of a part, or by the seed


@dataclass(frozen=True)
class Difference:
    """One setting minus another: the mean over what both have, its interval, and in how many of these the first is better."""

    first: str
    second: str
    estimate: Estimate
    better: int


def by_setting(runs: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """The finished runs of each setting, from :func:`dlhw.results.load_runs`, by a name made of what tells the settings apart."""
    summary = summarize(runs)
    cells, keys = setting_cells(summary), setting_keys(summary)
    short = short_names(set(shown_settings(summary)))
    done = runs[runs["status"] == "finished"]
    members = done.merge(summary[keys].reset_index(names="setting"), on=keys)
    names = [
        " ".join(str(value) if key in ("task", "model", "experiment") else f"{short[str(key)]}={value}" for key, value in row.items())
        for row in cells.to_dict("records")
    ]
    return {name: members[members["setting"] == number] for number, name in enumerate(names)}


def part_values(runs: pd.DataFrame, metric: str, without: Sequence[str] = ()) -> Values:
    """The metric on each part of the test split, the mean over the runs of one setting; empty where no run has measured parts."""
    start = f"test/{metric}:"
    parts = {name.removeprefix(start): runs[name] for name in runs.columns.tolist() if name.startswith(start)}
    return {part: float(column.mean()) for part, column in parts.items() if column.notna().any() and part not in without}


def seed_values(runs: pd.DataFrame, metric: str) -> Values:
    """The metric on the whole test split, by the seed of a run."""
    column = f"test/{metric}"
    return {str(seed): float(value) for seed, value in zip(runs["seed"], runs[column], strict=True)} if column in runs else {}


def parts_table(settings: Mapping[str, pd.DataFrame], metric: str, without: Sequence[str] = ()) -> pd.DataFrame:
    """A row for each part and a column for each setting, the means over the runs; the last row is the mean over the parts.

    Raises:
        UserError: no run has measured parts, or ``without`` names one that there is not.
    """
    table = pd.DataFrame({name: part_values(runs, metric) for name, runs in settings.items()})
    if table.empty:
        raise UserError(f"no run has measured {metric} on parts of the test split, such as test/{metric}:NAME")
    if unknown := [part for part in without if part not in table.index]:
        raise UserError(f"--without: {', '.join(unknown)} is no part; there are {', '.join(table.index)}")
    table = table.drop(index=list(without))
    mean = table.mean(skipna=False)  # a setting that lacks a part has no mean to compare
    table.loc[f"mean of {len(table)}"] = mean
    return table


def differences(
    settings: Mapping[str, pd.DataFrame], metric: str, without: Sequence[str] = (), against: str | None = None
) -> list[Difference]:
    """Each setting minus the one that it is compared with: part by part where there are parts, else seed by seed.

    Args:
        against: the setting to compare with, a part of its name that no other has; None takes the best.

    Raises:
        UserError: fewer than two settings have values, or ``against`` is not one of them.
    """
    values = {name: part_values(runs, metric, without) or seed_values(runs, metric) for name, runs in settings.items()}
    values = {name: of_setting for name, of_setting in values.items() if of_setting}
    if len(values) < 2:
        raise UserError(f"there is nothing to compare: test/{metric} was measured in {len(values)} settings; two or more are right")
    sign = -1 if direction(metric) == "min" else 1
    if against is None:
        reference = max(values, key=lambda name: sign * float(np.nanmean(list(values[name].values()))))
    else:
        meant = [name for name in values if name == against] or [name for name in values if against in name]
        if len(meant) != 1:
            raise UserError(f"--against={against} is {len(meant)} of the settings: a part of one name is right. {'; '.join(values)}")
        [reference] = meant
    found = []
    for name in values:
        pairs = [(value, values[reference][key]) for key, value in values[name].items() if key in values[reference]]
        gains = [a - b for a, b in pairs if np.isfinite(a) and np.isfinite(b)]
        if name != reference and gains:
            found.append(Difference(name, reference, mean_over_seeds(gains), sum(sign * gain > 0 for gain in gains)))
    return found


def told(difference: Difference, unit: str) -> str:
    """A difference on one line."""
    e = difference.estimate
    interval = "" if e.low is None else f" [{e.low:+.4f}, {e.high:+.4f}]"
    return f"{difference.first} minus {difference.second}: {e.mean:+.4f}{interval}, better in {difference.better} of {e.n} {unit}"


def first_passing(runs: pd.DataFrame, metric: str, threshold: float) -> list[float]:
    """The first epoch, from 1 on, in which each run reaches a threshold of a metric of its ``metrics.csv``; NaN where none does.

    Raises:
        UserError: no run has recorded the metric.
    """
    sign = -1 if direction(metric.partition("/")[2]) == "min" else 1
    epochs, recorded = [], False
    for path in runs["path"]:
        rows = [row.get(metric, np.nan) for row in read_metrics(Path(path) / METRICS)]
        recorded |= bool(np.isfinite(rows).any())
        epochs.append(next((float(epoch) for epoch, value in enumerate(rows, 1) if sign * value >= sign * threshold), np.nan))
    if not recorded:
        raise UserError(f"--passes: no run has recorded {metric} over the epochs; such as val/spearman=0.6 or val/loss=0.4 is right")
    return epochs
