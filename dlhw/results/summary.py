"""The runs of :func:`dlhw.results.load_runs` over their seeds: one row per setting, and what of it a table shows."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

# Columns of load_runs beside the settings and the metrics; before them and after them.
HEAD = ("path", "task", "model", "experiment", "status", "seed")
TAIL = ("monitor", "epochs", "best_epoch", "params", "train_seconds", "samples_per_second", "device", "precision", "simulated", "message")
MEASURED = ("epochs", "params", "train_seconds", "samples_per_second")  # of TAIL: what is averaged over seeds beside the metrics
SPLITS = ("val", "test", "last")
HEADLINE = (
    "acc",
    "auc",
    "acc_tta",
    "auc_tta",
    "spearman",
    "pearson",
    "spearman_nearest_protein",
    "spearman_mean_protein",
    "cer",
    "wer",
    "wer@3",
    "loss",
)  # test metrics that a table shows, where they were measured


def summarize(frame: pd.DataFrame) -> pd.DataFrame:
    """One row per setting of the finished runs in ``frame``, from :func:`load_runs`: runs that differ in their seed only are one setting.

    Columns: experiment, task, model and the settings that differ (those that the model, the task or a ``_target_`` implies are left out);
    ``n``, the number of runs; ``simulated``, whether the data was made up; for each metric, and for params, train_seconds and so on,
    ``<name>``, the mean, ``<name> sd``, the sample standard deviation (NaN for one run), and ``<name> n``, the number of runs that have
    a value.
    """
    done = frame[frame["status"] == "finished"]
    keys = ["experiment", "task", "model", *telling(done)]
    measured = [name for name in frame.columns.tolist() if name.startswith(tuple(f"{split}/" for split in SPLITS)) or name in MEASURED]
    groups = done.groupby(keys, dropna=False, sort=False)
    numbers = groups[measured].agg(["mean", "std", "count"])
    numbers.columns = [name + ending for name in measured for ending in ("", " sd", " n")]
    table = pd.concat([groups.size().rename("n"), groups["simulated"].any(), numbers], axis=1).copy().reset_index()
    return table.sort_values(keys, key=lambda c: c if pd.api.types.is_numeric_dtype(c) else c.astype(str), ignore_index=True)


def telling(done: pd.DataFrame) -> list[str]:
    """The settings that tell the runs apart, without those that are the same wherever the model, the task or a ``_target_`` is the same."""
    settings = [
        key for key in done.columns.tolist() if key not in (*HEAD, *TAIL) and "/" not in key and done[key].nunique(dropna=False) > 1
    ]

    def implied(key: str) -> bool:
        parts = key.split(".")
        parents = [parts[0], *(".".join([*parts[:end], "_target_"]) for end in range(1, len(parts)))]
        parents = [parent for parent in parents if parent in ("task", "model", *settings) and parent != key]
        return any(done.groupby(parent, dropna=False)[key].nunique(dropna=False).max() == 1 for parent in parents)

    def follows_seed(key: str) -> bool:
        """Such as ``task.data.split_seed=${seed}`` of an experiment whose runs draw samples of their own."""
        kinds = {"same" if of[key].nunique(dropna=False) == 1 else of[key].eq(of["seed"]).all() for _, of in done.groupby("experiment")}
        return True in kinds and False not in kinds

    return [key for key in settings if not implied(key) and not follows_seed(key)]


def setting_keys(summary: pd.DataFrame) -> list[str]:
    """The columns of :func:`summarize` that say which setting a row is: those before ``n``."""
    return list(summary.columns[: list(summary.columns).index("n")])


def shown_settings(summary: pd.DataFrame) -> list[str]:
    """The setting's columns that differ between the rows; ``experiment`` where there is one row."""
    return [key for key in setting_keys(summary) if summary[key].nunique(dropna=False) > 1] or ["experiment"]


def setting_cells(summary: pd.DataFrame) -> pd.DataFrame:
    """The columns of :func:`shown_settings` as text; ``-`` where a setting is null or not there."""
    return summary[shown_settings(summary)].convert_dtypes().map(lambda value: "-" if pd.isna(value) else str(value))


def cells_with_data(summary: pd.DataFrame) -> pd.DataFrame:
    """:func:`setting_cells`, and where data was made up a column ``data``, which says of each row whether it is real or simulated."""
    cells = setting_cells(summary)
    return cells.assign(data=summary["simulated"].map({True: "simulated", False: "real"})) if summary["simulated"].any() else cells


def headline(summary: pd.DataFrame) -> list[str]:
    """The metrics that a table shows: those of ``HEADLINE`` on the test split, and the first of them on the validation split."""
    names = [name for name in HEADLINE if f"test/{name}" in summary]
    return [f"test/{name}" for name in names] + [f"val/{name}" for name in names[:1]]


def with_spread(row: Mapping[Any, Any], name: str, digits: int = 4) -> str:
    """``mean ± sd`` of a row of :func:`summarize`; of a single run the value alone, and ``-`` where nothing was measured."""
    mean, sd, n = row[name], row[f"{name} sd"], row[f"{name} n"]
    return "-" if n == 0 else f"{mean:.{digits}f}" if n == 1 else f"{mean:.{digits}f} ± {sd:.{digits}f}"
