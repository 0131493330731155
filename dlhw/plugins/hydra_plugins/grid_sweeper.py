"""The sweeper behind ``-m``. Hydra takes plugins from a namespace package called hydra_plugins only, hence this folder."""

import re
import sys
from collections.abc import Iterable
from contextlib import nullcontext
from typing import Any

from hydra._internal.core_plugins.basic_launcher import BasicLauncher
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.utils import JobReturn, JobStatus

from dlhw.errors import UserError
from dlhw.run_folder import NOT_IDENTITY
from dlhw.side_by_side import handing_signals_on

# What -m sweeps for a pair of task and model that has no experiment file of its own.
PLAIN_GRID = {"optim.lr": "0.0003,0.001,0.003", "seed": "0,1,2"}


class GridSweeper(BasicSweeper):
    """Hydra's own sweeper, which also names the number of runs, goes on after a failed run, and lists all that failed at the end."""

    def sweep(self, arguments: list[str]) -> Any:
        assert self.hydra_context is not None and self.launcher is not None
        parser = OverridesParser.create(config_loader=self.hydra_context.config_loader)
        given = parser.parse_overrides(arguments)
        keys = {override.get_key_element() for override in given}
        swept = {override.get_key_element() for override in given if override.is_sweep_override()}
        if "experiment" not in keys and swept & {"task", "model"}:
            self.params = {}  # the grid of one pair does not fit another
        if not self.params and not swept:
            self.params = PLAIN_GRID
        overrides = parser.parse_overrides([*self._parse_config(), *arguments])
        refuse_idle_axes(override.get_key_element() for override in overrides if override.is_sweep_override())
        [jobs] = self.split_arguments(overrides, None)
        self.validate_batch_is_legal(one_of_each_setting(jobs))
        print(f"{len(jobs)} runs", flush=True)
        in_workers = not isinstance(self.launcher, BasicLauncher)
        with handing_signals_on() if in_workers else nullcontext():
            results = self.launcher.launch(jobs, initial_job_idx=0)
        return self._summary(jobs, list(results))

    def _summary(self, jobs: list[list[str]], results: list[JobReturn]) -> list[JobReturn]:
        failed = [(job, result) for job, result in zip(jobs, results, strict=True) if result.status != JobStatus.COMPLETED]
        skipped = sum(result.status == JobStatus.COMPLETED and result.return_value == "skipped" for result in results)
        print(f"{len(jobs)} runs: {len(jobs) - len(failed) - skipped} trained, {skipped} skipped, {len(failed)} failed")
        for job, result in failed:
            error = result._return_value
            print(f"failed: {' '.join(job)}: {error if isinstance(error, UserError) else repr(error)}", file=sys.stderr)
        if failed:
            sys.exit(1)
        return results


def refuse_idle_axes(keys: Iterable[str]) -> None:
    """Refuse to sweep what does not make another run: all points of the grid would be one and the same.

    Raises:
        UserError: naming the key.
    """
    for key in keys:
        if key in NOT_IDENTITY and key != "output_root":
            epochs = "; the longest one has a row for every epoch in metrics.csv" if key == "trainer.max_epochs" else ""
            raise UserError(f"{key} makes no other run, so it is no axis of a sweep: one value is right{epochs}")


def one_of_each_setting(jobs: list[list[str]]) -> list[list[str]]:
    """The first of the jobs that differ in nothing but a whole number as seed: to compose them all takes as long as to train short ones."""
    first: dict[tuple[str, ...], list[str]] = {}
    for job in jobs:
        first.setdefault(tuple("seed" if re.fullmatch(r"seed=\d+", word) else word for word in job), job)
    return [*first.values()]


ConfigStore.instance().store(
    group="hydra/sweeper",
    name="grid",
    node={"_target_": "hydra_plugins.grid_sweeper.GridSweeper", "max_batch_size": None, "params": None},
)
