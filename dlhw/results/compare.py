"""Settings side by side: part by part of the test split (proteins), and their paired differences. See ``python -m dlhw.results``.

A part is what a run has measured on its own: ``spearman:RBP04`` is the part RBP04 of the metric ``spearman``. Runs of one experiment that
have one protein each, and are else alike, are the parts of one setting. Groups of text lines (``cer:BOOK``) are no parts: a rate counts all
lines together, so it is compared over seeds, and :mod:`dlhw.results.by_group` shows the groups.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from shutil import get_terminal_size

import numpy as np
import pandas as pd

from dlhw.atomic_file import replacing
from dlhw.config import direction
from dlhw.errors import UserError
from dlhw.results.names import Name, setting_names
from dlhw.results.statistics import INTERVAL, Estimate, mean_with_interval
from dlhw.results.summary import setting_keys, summarize
from dlhw.run_files import read_metrics
from dlhw.run_folder import METRICS

Values = dict[str, float]  # by the name of a part, or by the seed
PROTEIN = "task.data.protein"
EACH = "each alone"
POOLED = ("cer", "wer")  # rates of all lines together, no means over parts


@dataclass(frozen=True)
class Difference:
    """One setting minus another: the mean over what both have, its interval, and in how many of these the first is better.

    ``estimate`` is None where the two share nothing.
    """

    first: str
    second: str
    estimate: Estimate | None
    better: int
    unit: str  # parts or seeds


def by_setting(runs: pd.DataFrame) -> dict[Name, pd.DataFrame]:
    """The finished runs of each setting, from :func:`dlhw.results.load_runs`, by its name."""
    runs = _gathered(runs)
    summary = summarize(runs)
    keys = setting_keys(summary)
    done = runs[runs["status"] == "finished"]
    members = done.merge(summary[keys].reset_index(names="setting"), on=keys)
    return {name: members[members["setting"] == number] for number, name in enumerate(setting_names(summary))}


def _gathered(runs: pd.DataFrame) -> pd.DataFrame:
    """The runs, where those of an experiment that have one protein each, and not all the same, no longer differ in it."""
    parts = [name for name in runs.columns.tolist() if name.startswith("test/") and ":" in name]
    if PROTEIN not in runs or not parts:
        return runs
    measured = runs[parts].notna().T.groupby(lambda name: name.partition(":")[2]).any().T  # (runs, parts)
    alone = runs[PROTEIN].where(measured.sum(axis=1) == 1)
    several = alone.groupby(runs["experiment"]).transform("nunique") > 1
    return runs.assign(**{PROTEIN: runs[PROTEIN].mask(alone.notna() & several, EACH)})


def part_values(runs: pd.DataFrame, metric: str, without: Sequence[str] = ()) -> Values:
    """The metric on each part of the test split, the mean over the runs of one setting; empty where no run has measured parts."""
    if metric in POOLED:
        return {}
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
        UserError: the metric has no parts, no run has measured any, or ``without`` names one that there is not.
    """
    if metric in POOLED:
        raise UserError(f"{metric} is compared over seeds alone; python -m dlhw.results groups FOLDER tells it of each group of lines")
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
    """Each setting minus the one that it is compared with: part by part where a setting has several parts, else seed by seed.

    Args:
        against: the setting to compare with, a part of its name that no other has; None takes the best of those that have
            all parts, or, where there are none, the best on the parts that all have.

    Raises:
        UserError: fewer than two settings have values, or ``against`` is not one of them.
    """
    unit = "parts" if _have_parts(settings, metric) else "seeds"
    values = {name: part_values(runs, metric, without) if unit == "parts" else seed_values(runs, metric) for name, runs in settings.items()}
    values = {name: of_setting for name, of_setting in values.items() if of_setting}
    if len(values) < 2:
        names = {str(name) for of_setting in settings.values() for name in of_setting}
        there = ", ".join(sorted(name.removeprefix("test/") for name in names if name.startswith("test/") and ":" not in name))
        few = f"test/{metric} was measured in {len(values)} settings; two or more are right"
        raise UserError(f"there is nothing to compare: {few}, and of metrics one of {there}")
    sign = -1 if direction(metric) == "min" else 1
    if against is None:
        everything = set.union(*map(set, values.values()))
        whole = {name: own for name, own in values.items() if own.keys() == everything} or values
        shared = set.intersection(*map(set, whole.values()))  # by these: a setting that left out a hard part is no better for it
        level = {name: np.nanmean([value for key, value in own.items() if key in shared or not shared]) for name, own in whole.items()}
        reference = max(level, key=lambda name: sign * float(level[name]))
    else:
        meant = [name for name in values if name == against] or [name for name in values if against in name]
        if len(meant) != 1:
            raise UserError(f"--against={against} is {len(meant)} of the settings: a part of one name is right. {'; '.join(values)}")
        [reference] = meant
    found = []
    for name in values:
        pairs = [(value, values[reference][key]) for key, value in values[name].items() if key in values[reference]]
        gains = [a - b for a, b in pairs if np.isfinite(a) and np.isfinite(b)]
        if name != reference:
            estimate = mean_with_interval(gains, unit) if gains else None
            found.append(Difference(name, reference, estimate, sum(sign * gain > 0 for gain in gains), unit))
    return found


def _have_parts(settings: Mapping[str, pd.DataFrame], metric: str) -> bool:
    """Whether a setting has measured several parts; of a single one the seeds say more."""
    return any(len(part_values(runs, metric)) > 1 for runs in settings.values())


def told(difference: Difference) -> str:
    """A difference on one line."""
    e = difference.estimate
    if e is None:
        return f"{difference.first} and {difference.second} share none of their {difference.unit}, so they cannot be compared"
    interval = "" if e.low is None else f" [{e.low:+.4f}, {e.high:+.4f}]"
    return f"{difference.first} minus {difference.second}: {e.mean:+.4f}{interval}, better in {difference.better} of {e.n} {e.over}"


def compare(runs: pd.DataFrame, metric: str | None, without: Sequence[str], against: str | None, csv: Path | None) -> None:
    """Print a metric part by part for each setting, where runs have measured parts, and the paired differences of the settings.

    ``runs`` are those of :func:`dlhw.results.load_runs`; see :func:`parts_table` and :func:`differences` for the rest.
    """
    done = runs[runs["status"] == "finished"]
    if done.empty:
        raise UserError("none of these runs is finished, so there is nothing to compare")
    metric = metric or str(done["monitor"].iloc[0])
    named = by_setting(done)
    settings = {name.short: members for name, members in named.items()}
    by_parts = _have_parts(settings, metric) or bool(without or csv)
    if by_parts:
        shown = parts_table(settings, metric, without)
        width = get_terminal_size((140, 0)).columns  # beyond it the table goes on below
        table = shown.to_string(float_format="{:.4f}".format, line_width=width)
        if csv:
            with replacing(csv) as temporary:
                shown.to_csv(temporary, index_label="part")
        print(f"test {metric}, mean over the runs of a setting\n{table}\n")
        if csv:
            print(f"written: {csv}")
    if len(settings) > 1 or not by_parts:
        for difference in differences(settings, metric, without, against):
            print(told(difference))
        print(f"in brackets: 95 % interval of the mean difference ({INTERVAL})")
    if left_out := [f"{name.short}: {name.more}" for name in named if name.more]:
        print("\n".join(["\nwhat else differs, '-' where a setting is null or not there", *left_out]))


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
