"""Runs what a report still lacks: every experiment as one sweep of ``train.py``, which skips finished runs and resumes others."""

import math
import re
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import yaml

from dlhw.config import CONF
from dlhw.errors import UserError
from dlhw.report.plan import Experiment

TRAIN = CONF.parent / "train.py"
ENDED = re.compile(r"(finished|skipped, already finished:|error:) ")


def run_all(experiments: Sequence[Experiment], output_root: Path, quick: bool) -> list[str]:
    """Run experiments one after the other and print after every run how many there are and how long the rest may take.

    Returns the commands that have failed; they do not stop the others.
    """
    experiments = [experiment for experiment in experiments if not (quick and experiment.quick is None)]
    sweeps = [[*experiment.overrides, *((experiment.quick or ()) if quick else ())] for experiment in experiments]
    counts = [runs_of(sweep) for sweep in sweeps]
    total, done, begin, failed = sum(counts), 0, time.monotonic(), []
    trained = 0
    print(f"{total} runs in {len(sweeps)} experiments", flush=True)
    for experiment, sweep, count in zip(experiments, sweeps, counts, strict=True):
        command = [sys.executable, str(TRAIN), "-m", *sweep, f"output_root={output_root}"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace") as process:
            assert process.stdout is not None
            ended = 0
            for line in process.stdout:
                if not (match := ENDED.match(line)):
                    continue
                if line.startswith("error:"):
                    print(line.rstrip(), flush=True)
                ended += 1
                trained += match[1] == "finished"
                left = (time.monotonic() - begin) / max(trained, 1) * (total - done - ended)
                print(f"run {done + ended} of {total}: {line.split()[0].rstrip(',')}, about {_minutes(left)} left", flush=True)
            status = process.wait()
        if status in (-2, -15, 130, 143):
            raise KeyboardInterrupt
        if status:
            failed.append(" ".join(["train.py -m", *sweep]))
        done += count
        for module, *arguments in experiment.then:
            given = [argument.format(folder=output_root / _experiment(sweep)) for argument in arguments]
            if subprocess.run([sys.executable, "-m", module, *given]).returncode:
                failed.append(" ".join([module, *given]))
    return failed


def _minutes(seconds: float) -> str:
    return f"{seconds / 3600:.1f} h" if seconds > 5400 else f"{math.ceil(seconds / 60)} min"


def runs_of(sweep: Sequence[str]) -> int:
    """How many runs a sweep has: the product of the axes of its experiment's grid and of those given.

    Raises:
        UserError: no such experiment.
    """
    given = dict(override.split("=", 1) for override in sweep)
    path = CONF / "experiment" / f"{_experiment(sweep)}.yaml"
    if not path.exists():
        raise UserError(f"{path} is missing: the report names the experiment {_experiment(sweep)}")
    grid = yaml.safe_load(path.read_text()).get("hydra", {}).get("sweeper", {}).get("params", {})
    return math.prod(len(_values(str(values))) for values in (grid | given).values())


def _experiment(sweep: Sequence[str]) -> str:
    given = dict(override.split("=", 1) for override in sweep)
    return given.get("experiment", f"{given.get('task')}/{given.get('model')}")


def _values(text: str) -> list[str]:
    """The values of an axis: commas part them, but not those inside brackets."""
    return re.split(r",(?![^\[{]*[\]}])", text)
