"""The finished runs that a report is made of, and which of them a row, a figure or a claim is about."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from dlhw.config import CONF
from dlhw.results import read_settings
from dlhw.results.intervals import intervals, read_intervals, stored_predictions
from dlhw.results.load import BESIDE
from dlhw.results.reference import EMBEDDED, confusion, read_predictions
from dlhw.results.statistics import Interval
from dlhw.run_files import is_simulated, read_metrics, read_result
from dlhw.run_folder import DECODED, METRICS, RESULT

APART = ("quick", "reference")  # folders below the outputs

Where = Mapping[str, Any]  # a result.json field (experiment, task, model) or a dotted setting: the value that it must have


@dataclass(frozen=True)
class Record:
    """A finished run: its folder and what it found; ``given`` stands in for the settings that the folder holds."""

    folder: Path
    result: dict[str, Any]
    given: dict[str, Any] | None = None

    @property
    def seed(self) -> int:
        return int(self.result["seed"])

    @property
    def data(self) -> str:
        """``real``, ``embedded`` (comes with the project) or ``simulated``."""
        return "simulated" if is_simulated(self.result) else "embedded" if self.result["task"] in EMBEDDED else "real"

    @property
    def stands_in(self) -> bool:
        """Whether it ran on other data than its experiment is about, as the quick report does where that is missing."""
        return own_task(str(self.result["experiment"])) != self.result["task"]

    @cached_property
    def settings(self) -> dict[str, Any]:
        """Its settings by their dotted keys; read when they are asked for, which takes a hundred times as long as the result."""
        return read_settings(self.folder) if self.given is None else self.given

    @cached_property
    def metrics(self) -> list[dict[str, float]]:
        """A row an epoch, as ``metrics.csv`` has them."""
        return read_metrics(self.folder / METRICS)

    @cached_property
    def predictions(self) -> dict[str, NDArray[Any]]:
        """What the run said of the test split; empty where it has stored nothing."""
        return read_predictions(self.folder)

    def interval(self, quantity: str) -> Interval | None:
        """The interval over the test samples of ``test/METRIC`` or ``decoded(NAME/METRIC)``; None of what it cannot be computed for."""
        if kept := read_intervals(self.folder):
            return kept.get(quantity)
        scored = re.fullmatch(r"test/([^/]+)|decoded\((.+)/([^/]+)\)", quantity)
        if not scored:
            return None
        metric = scored[1] or scored[3]
        return intervals(self.result, self.settings, stored_predictions(self.folder, scored[2] or ""), metric).get(metric)

    @cached_property
    def confusion(self) -> NDArray[np.integer] | None:
        """Counts (K, K), rows the true class; None where the test split has no classes that exclude each other."""
        return confusion(self.folder)

    def decoded(self, name: str) -> dict[str, float]:
        """The test metrics with another decoder, by the name of its file; empty where it was not scored."""
        path = self.folder / DECODED / f"{name}.json"
        return json.loads(path.read_text())["test"] if path.exists() else {}

    def ensemble(self, name: str) -> dict[str, float]:
        """The test metrics of the largest ensemble that the run is in, by the name of its decoder, and ``members``; empty where it is in
        none.
        """
        paths = sorted((self.folder.parent / DECODED).glob(f"ensemble-of-*-??????_{name}.json"))
        found = [json.loads(path.read_text()) for path in paths]
        mine = [one for one in found if self.folder.name in {Path(member).name for member in one["ensemble"]}]
        if not mine:
            return {}
        largest = max(mine, key=lambda one: len(one["ensemble"]))
        return {**largest["test"], "members": len(largest["ensemble"])}

    def curve(self, column: str) -> list[float]:
        """The values of a column over the epochs; empty where it was not measured."""
        return [row[column] for row in self.metrics if column in row]

    def has(self, where: Where) -> bool:
        """Whether all of ``where`` is true of it; of a list of values, one has to be."""
        for key, value in where.items():
            mine = str(self.result[key] if key in self.result else self.settings.get(key))
            if mine not in (map(str, value) if isinstance(value, list) else [str(value)]):
                return False
        return True


@cache
def own_task(experiment: str) -> str:
    """The task that an experiment is about, by its file; that of a pair stands in its name."""
    path = CONF / "experiment" / f"{experiment}.yaml"
    for entry in yaml.safe_load(path.read_text()).get("defaults", []) if path.exists() else []:
        if isinstance(entry, dict) and "override /task" in entry:
            return str(entry["override /task"])
        if isinstance(entry, str) and entry != "_self_":
            return own_task(entry)
    return experiment.partition("/")[0]


def load_records(root: Path) -> list[Record]:
    """Every finished run below a folder, sorted by path; none where there is no such folder.

    The short runs of quick reports, and those that the project keeps, are no runs of a full report: only by naming their folder are
    they read.
    """
    records = []
    for path in sorted(root.rglob(RESULT)):
        if path.relative_to(root).parts[0] in APART:
            continue
        result = read_result(path.parent)
        if result and result["status"] == "finished":
            records.append(Record(path.parent, result))
    return records


def select(records: Sequence[Record], where: Where) -> list[Record]:
    """The runs that ``where`` is true of, by seed: that which changes the fewest of its experiment's settings, and those that are set up
    as it is (:func:`left_aside` are the others).
    """
    chosen: dict[int, Record] = {}
    found = _plainest_first(records, where)
    for record in found:
        if alike(record, found[0]):
            chosen.setdefault(record.seed, record)
    return [chosen[seed] for seed in sorted(chosen)]


def left_aside(records: Sequence[Record], where: Where) -> list[Record]:
    """The runs that ``where`` is true of too, but whose other settings are not those of the runs in :func:`select`."""
    found = _plainest_first(records, where)
    return [record for record in found if not alike(record, found[0])]


def _plainest_first(records: Sequence[Record], where: Where) -> list[Record]:
    return sorted((record for record in records if record.has(where)), key=lambda record: len(record.result.get("overrides", ())))


def alike(one: Record, other: Record) -> bool:
    """Whether two runs differ in nothing but the seed and what no result depends on; a setting that only one of them knows came later."""
    both = (one.settings.keys() & other.settings.keys()) - BESIDE
    return one is other or all(one.settings[key] == other.settings[key] for key in both)


def kinds(records: Sequence[Record]) -> str:
    """The kinds of data that runs are on, such as ``real``; a dash where there is no run."""
    return ", ".join(dict.fromkeys(record.data for record in records)) or "-"
