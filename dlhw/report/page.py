"""One HTML page over the runs of a folder: table, curves, how it was made. python -m dlhw.report.page outputs/digits/softmax

The same runs give the same bytes; nothing is loaded from anywhere.
"""

import argparse
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from dlhw import command
from dlhw.atomic_file import write_text
from dlhw.config import direction
from dlhw.errors import UserError
from dlhw.report.curves import legend, most, plot, svg
from dlhw.results import load_runs, read_settings
from dlhw.results.summary import cells_with_data, headline, setting_keys, shown_settings, summarize, with_spread
from dlhw.run_files import read_metrics, read_result
from dlhw.run_folder import METRICS, short_names
from dlhw.theory import double_softmax_floor

# Metrics as people name them, and their units.
LABELS = {
    "acc": ("accuracy", "share right"),
    "auc": ("AUC", "0 to 1"),
    "acc_tta": ("accuracy, augmented", "share right"),  # test-time augmentation
    "auc_tta": ("AUC, augmented", "0 to 1"),
    "spearman": ("Spearman correlation", "-1 to 1"),
    "pearson": ("Pearson correlation", "-1 to 1"),
    "cer": ("character error rate", "edits per character"),
    "wer": ("word error rate", "edits per word"),
    "loss": ("loss", "nats"),
}
SPLITS = {"train": "training", "val": "validation", "test": "test"}
COMMON = ("trainer.max_epochs", "task.data.batch_size", "optim.optimizer._target_", "optim.lr", "optim.schedule")  # told if all runs agree


@dataclass(frozen=True)
class Section:
    """What the page shows of one experiment."""

    name: str
    runs: int
    columns: list[tuple[str, str]]  # header, and the whole name where it is shortened
    rows: list[list[str]]
    text_columns: int  # of the columns, the first ones, which hold settings
    legend: Markup
    figures: list[Markup]
    undrawn: int  # settings without a curve of their own
    made: list[tuple[str, str]]


def section(name: str, runs: pd.DataFrame) -> Section:
    """Table and curves of one experiment's finished runs, from :func:`dlhw.results.load_runs`."""
    summary = summarize(runs)
    cells, shown = cells_with_data(summary), shown_settings(summary)
    short = short_names(set(shown)) | {"data": "data"}
    metrics = [metric for metric in headline(summary) if metric != "test/loss"]
    columns = [(short[key], key) for key in cells.columns] + [("runs", "")] + [(_label(metric)[0], "") for metric in metrics]
    columns += [("parameters", ""), ("training (s)", "")]
    rows = []
    for setting, row in zip(cells.to_numpy().tolist(), summary.to_dict("records"), strict=True):
        numbers = [with_spread(row, metric) for metric in metrics]
        rows.append([*setting, str(row["n"]), *numbers, f"{row['params']:,.0f}", with_spread(row, "train_seconds", digits=1)])
    names = [
        ", ".join(value if key == "data" else f"{short[str(key)]} {value}" for key, value in row.items())
        for row in cells.to_dict("records")
    ]
    members = runs.merge(summary[setting_keys(summary)].reset_index(names="setting"), on=setting_keys(summary))
    drawn = _best(members)[: most()]
    folders = {names[number]: [Path(path) for path in members.loc[members["setting"] == number, "path"]] for number in sorted(drawn)}
    figures = _figures(name.replace("/", "-"), folders, metric=runs["monitor"].iloc[0])
    key = Markup(svg(legend(list(folders)), f"{name.replace('/', '-')}-legend", "the lines of the curves: " + "; ".join(folders)))
    return Section(name, len(runs), columns, rows, len(cells.columns), key, figures, len(summary) - len(drawn), _made(runs))


def _best(members: pd.DataFrame) -> list[int]:
    """Numbers of the settings, the best on the validation split first."""
    monitor = members["monitor"].iloc[0]
    means = members.groupby("setting")[f"val/{monitor}"].mean()
    return means.sort_values(ascending=direction(monitor) == "min", kind="stable").index.tolist()


def _label(metric: str) -> tuple[str, str]:
    split, _, name = metric.partition("/")
    words, unit = LABELS.get(name, (name.replace("_", " "), ""))
    return f"{SPLITS[split]} {words}", unit


def _figures(experiment: str, folders: dict[str, list[Path]], metric: str) -> list[Markup]:
    metrics = {folder: pd.DataFrame(read_metrics(folder / METRICS)) for members in folders.values() for folder in members}
    figures = []
    for column in dict.fromkeys(("train/loss", f"val/{metric}", f"test/{metric}")):
        curves = {
            name: [metrics[folder][column].dropna().tolist() for folder in members if column in metrics[folder]]
            for name, members in folders.items()
        }
        if any(curves.values()):
            words, unit = _label(column)
            floors = _floors(folder for members in folders.values() for folder in members) if column == "train/loss" else {}
            figure = plot(curves, f"{words} ({unit})" if unit else words, floors)
            figures.append(Markup(svg(figure, f"{experiment}-{column.replace('/', '-')}", f"{words} over the epochs")))
    return figures


def _floors(folders: Iterable[Path]) -> dict[str, float]:
    """The least loss of the runs whose network ends in a softmax of its own, with its formula."""
    classes = set()
    for folder in folders:
        spec = (read_result(folder) or {}).get("spec", {})
        if read_settings(folder).get("model.softmax") == "output" and "classes" in spec:
            classes.add(len(spec["classes"]))
    return {f"double softmax ≥ log(1 + {c - 1}/e) = {double_softmax_floor(c):.3f}": double_softmax_floor(c) for c in sorted(classes)}


def _made(runs: pd.DataFrame) -> list[tuple[str, str]]:
    """What the runs were made of and on; several values where they differ."""
    results = [read_result(Path(path)) or {} for path in runs["path"]]
    settings = [read_settings(Path(path)) for path in runs["path"]]
    agreed = [key for key in COMMON if key in settings[0] and all(other.get(key) == settings[0][key] for other in settings)]
    facts = {
        "task": [result["task"] for result in results],
        "model": [result["model"] for result in results],
        **{key: [str(settings[0][key])] for key in agreed},
        "seed": [str(seed) for seed in sorted(set(runs["seed"]))],
        "data": [f"{name}, SHA-256 {digest}" for result in results for name, digest in result.get("data", {}).items()],
        "device": [str(result.get("device")) for result in results],
        "precision": [str(result.get("precision")) for result in results],
        "versions": [", ".join(f"{name} {number}" for name, number in result.get("versions", {}).items()) for result in results],
        "commit": [_commit(result.get("git")) for result in results],
    }
    return [(name, "; ".join(dict.fromkeys(values))) for name, values in facts.items()]


def _commit(git: Any) -> str:
    return "unknown" if not git else f"{git[:-1]} with changes" if git.endswith("+") else str(git)


def page(folder: Path) -> str:
    """The page over the runs below ``folder``, as HTML.

    Raises:
        UserError: no finished run there.
    """
    runs = load_runs(folder)
    finished = runs[runs["status"] == "finished"]
    if finished.empty:
        raise UserError(f"no run below {folder} is finished, so there is nothing to show")
    sections = [section(str(name), part) for name, part in finished.groupby("experiment")]
    templates = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return templates.get_template("page.html.j2").render(
        title=sections[0].name if len(sections) == 1 else folder.resolve().name,
        sections=sections,
        unfinished=[_named(run, folder) for run in runs[runs["status"] != "finished"].to_dict("records")],
    )


def _named(run: dict[Any, Any], folder: Path) -> str:
    name = Path(run["path"]).relative_to(folder).as_posix()
    return f"{name} (failed)" if run["status"] == "failed" else name


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m dlhw.report.page", description="One HTML page over the runs of a folder.")
    parser.add_argument("folder", type=Path, metavar="FOLDER")
    parser.add_argument("--output", type=Path, help="where to write it (default: report.html in the folder)")
    options = parser.parse_args(arguments)
    output = options.output or options.folder / "report.html"
    write_text(output, page(options.folder))
    print(output)
    return 0


if __name__ == "__main__":
    command.run(main)
