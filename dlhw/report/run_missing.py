"""Runs what a report still lacks: every experiment as one sweep of ``train.py``, which skips finished runs and resumes others."""

import hashlib
import json
import math
import re
import signal
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean

import yaml

from dlhw.atomic_file import write_text
from dlhw.config import CONF
from dlhw.errors import Stopped, UserError
from dlhw.report.commands import Command
from dlhw.report.plan import Experiment
from dlhw.run_folder import RESULT

TRAIN = str(CONF.parent / "train.py")
DONE = "after.json"  # in an experiment's folder: commands that were run after it, and the state of its runs then
ENDED = re.compile(r"(finished|skipped, already finished:|error:) ")


def run_all(experiments: Sequence[Experiment], output_root: Path, data_root: Path, quick: bool) -> list[str]:
    """Run experiments one after the other and print after every run how many there are and how long the rest may take.

    What is to be done after an experiment is done once, and again when its runs have changed. Returns the commands that have failed; they
    do not stop the others.

    Raises:
        KeyboardInterrupt, Stopped: a run, or what follows it, was stopped by Ctrl-C or SIGTERM, and so is the rest.
    """
    if quick:
        experiments = [short for experiment in experiments if (short := shortened(experiment, data_root))]
    counts = [runs_of(experiment.overrides) for experiment in experiments]
    total, done, failed = sum(counts), 0, []
    seconds: list[float] = []  # that each experiment's runs took, those so far where one of them was trained
    print(f"{total} runs in {len(experiments)} experiments", flush=True)
    for experiment, count in zip(experiments, counts, strict=True):
        arguments = ["-m", *experiment.overrides, f"output_root={output_root}", f"data_root={data_root}"]
        command = Command(TRAIN, arguments, listen=True)
        ended, trained, begin = 0, 0, time.monotonic()
        for line in command.lines():
            if not (match := ENDED.match(line)):
                continue
            if line.startswith("error:"):
                print(line, flush=True)
            ended += 1
            trained += match[1] == "finished"
            each = (time.monotonic() - begin) / max(trained, 1)
            known = [*seconds, *[each] * bool(trained)]
            left = each * (count - ended) + (fmean(known) if known else 0.0) * (total - done - count)
            print(f"run {done + ended} of {total}: {line.split()[0].rstrip(',')}, about {_minutes(left)} left", flush=True)
        status = command.status()
        _go_on_unless_stopped(status)
        if status:
            failed.append(" ".join(["train.py -m", *experiment.overrides]))
        if trained:
            seconds.append((time.monotonic() - begin) / trained)
        done += count
        failed += run_then(experiment, output_root / experiment_of(experiment.overrides), data_root)
    return failed


def run_then(experiment: Experiment, folder: Path, data_root: Path) -> list[str]:
    """Run the commands of an experiment that have not been run since its runs, which lie below ``folder``, ended.

    Returns those that have failed.
    """
    results = sorted(folder.glob(f"*/{RESULT}"), key=lambda path: (len(path.parent.name), path))
    if not results:
        return []
    state = hashlib.sha256(b"".join(path.read_bytes() for path in results)).hexdigest()
    noted = folder / DONE
    done: dict[str, str] = json.loads(noted.read_text()) if noted.exists() else {}
    failed = []
    for module, *arguments in experiment.then:
        given = [argument.format(folder=folder, run=results[0].parent, data_root=data_root) for argument in arguments]
        command = " ".join([module, *given])
        if done.get(command) == state:
            continue
        status = Command(module, given).status()
        _go_on_unless_stopped(status)
        if status:
            failed.append(command)
        else:
            done[command] = state
            write_text(noted, json.dumps(done, indent=2) + "\n")
    return failed


def _go_on_unless_stopped(status: int) -> None:
    if status == 128 + signal.SIGINT:
        raise KeyboardInterrupt
    if status == 128 + signal.SIGTERM:
        raise Stopped(signal.SIGTERM, "stopped by SIGTERM")


def shortened(experiment: Experiment, data_root: Path) -> Experiment | None:
    """The short form of an experiment, on embedded data where its own is missing; None where there is no such form."""
    if experiment.quick is None:
        return None
    overrides = [*experiment.overrides, *experiment.quick]
    if experiment.data and not (data_root / experiment.data).exists():
        what = " ".join(experiment.overrides)
        if not experiment.embedded:
            print(f"left out, because {data_root / experiment.data} is missing: {what}", flush=True)
            return None
        print(f"{data_root / experiment.data} is missing: {what} runs with {' '.join(experiment.embedded)}", flush=True)
        overrides = [*(part for part in overrides if not _pinned(part, experiment.embedded)), *experiment.embedded]
    return replace(experiment, overrides=overrides, then=experiment.then if experiment.quick_then is None else experiment.quick_then)


def _pinned(override: str, others: Sequence[str]) -> bool:
    return any(override.partition("=")[0] == other.partition("=")[0] for other in others)


def _minutes(seconds: float) -> str:
    return f"{seconds / 3600:.1f} h" if seconds > 5400 else f"{math.ceil(seconds / 60)} min"


def runs_of(sweep: Sequence[str]) -> int:
    """How many runs a sweep has: the product of the axes of its experiment's grid and of those given.

    Raises:
        UserError: no such experiment.
    """
    given = dict(override.split("=", 1) for override in sweep if "=" in override)
    return math.prod(len(_values(str(values))) for values in (grid_of(experiment_of(sweep)) | given).values())


def grid_of(name: str) -> dict[str, str]:
    """The axes of an experiment, with those of the experiments that it builds on."""
    path = CONF / "experiment" / f"{name}.yaml"
    if not path.exists():
        raise UserError(f"{path} is missing: the report names the experiment {name}")
    settings = yaml.safe_load(path.read_text())
    grid = settings.get("hydra", {}).get("sweeper", {}).get("params", {})
    for base in settings.get("defaults", []):
        if isinstance(base, str) and base != "_self_":
            grid = grid_of(base) | grid
    return grid


def experiment_of(sweep: Sequence[str]) -> str:
    """The experiment that overrides name, or the pair of task and model."""
    given = dict(override.split("=", 1) for override in sweep if "=" in override)
    return given.get("experiment", f"{given.get('task')}/{given.get('model')}")


def _values(text: str) -> list[str]:
    """The values of an axis: commas part them, but not those inside brackets."""
    return re.split(r",(?![^\[{]*[\]}])", text)
