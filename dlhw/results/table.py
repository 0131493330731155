"""The table of many runs: mean and spread over their seeds, printed and written as CSV."""

import math
from collections.abc import Sequence
from pathlib import Path

from dlhw.atomic_file import replacing
from dlhw.errors import UserError
from dlhw.results.compare import first_passing
from dlhw.results.load import load_runs
from dlhw.results.summary import cells_with_data, headline, summarize, with_spread


def table(folders: Sequence[str], metrics: Sequence[str] | None, csv: Path | None, passes: str | None = None) -> None:
    """Print the runs below ``folders``, and write a table with all metrics as CSV, by default to table.csv in the first folder.

    An experiment has a table of its own; the pairs of a task and a model that were run without one are in one table of their task.

    ``passes``, such as ``val/spearman=0.6``, adds the number of epochs until a metric first reached a value.
    """
    runs = load_runs(*folders)
    unfinished = runs[runs["status"] != "finished"]["path"]
    if len(unfinished) == len(runs):
        raise UserError(f"no run below {', '.join(folders)} is finished; unfinished: {', '.join(unfinished)}")
    passing = []
    if passes:
        metric, _, value = passes.partition("=")
        if not metric.startswith("val/") or not _is_number(value):
            raise UserError(f"--passes={passes}: a metric of the validation split and a value are right, such as val/spearman=0.6")
        passing = [f"val/epochs to {metric.removeprefix('val/')}={value}"]
        runs[passing[0]] = first_passing(runs, metric, float(value))
    summary = summarize(runs)
    measured = [name.removesuffix(" n") for name in summary.columns.tolist() if name.endswith(" n")]
    asked = [name if "/" in name else f"test/{name}" for name in metrics or ()]
    if unknown := [name for name in asked if name not in measured]:
        raise UserError(
            f"--metrics: {', '.join(unknown)} was not measured; there are {', '.join(name for name in measured if '/' in name)}"
        )
    csv = csv or Path(folders[0]) / "table.csv"
    with replacing(csv) as temporary:
        summary.to_csv(temporary, index=False)
    done = runs[runs["status"] == "finished"]
    topics = done["experiment"].where(done["experiment"] != done["task"] + "/" + done["model"], done["task"])
    for topic, of_topic in done.groupby(topics):
        of_others = [name for name in measured if "/" in name and of_topic[name].isna().all() and done[name].notna().any()]
        rows = summarize(of_topic.drop(columns={*of_others} - {*asked, *passing}))
        cells = cells_with_data(rows)
        for name in [*(asked or headline(rows)), *passing]:
            cells[name] = [f"{with_spread(row, name)} ({row[f'{name} n']})" for row in rows.to_dict("records")]
        print(f"{topic}:\n" * (topics.nunique() > 1) + cells.to_string(index=False) + "\n")
    print("mean ± sample standard deviation (number of runs); test and val at the best epoch")
    for run in runs[runs["status"] != "finished"].to_dict("records"):
        print(f"failed: {run['path']}: {run['message']}" if run["status"] == "failed" else f"unfinished: {run['path']}")
    print(f"written: {csv}")


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False
