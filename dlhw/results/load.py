"""Runs read back from their folders: many as a table, or one with its network, ready to use. Only :func:`load_run` imports torch."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
from omegaconf import DictConfig, OmegaConf

from dlhw.config import bind, check
from dlhw.errors import UserError
from dlhw.results.summary import HEAD, MEASURED, SPLITS, TAIL
from dlhw.run_files import is_simulated, read_config, read_result
from dlhw.run_folder import BEST, CONFIG, NOT_IDENTITY, RESULT, flatten
from dlhw.specs import spec_from_dict

if TYPE_CHECKING:
    from dlhw.tasks.supervised import SupervisedTask

# Settings that no result depends on; how many epochs a run has had is no part of its identity, but tells results apart.
BESIDE = {*NOT_IDENTITY, "seed"} - {"trainer.max_epochs"}


@dataclass(frozen=True)
class Run:
    """A finished run: ``task`` is its Lightning module in eval mode with the weights of the best epoch, ``spec`` what it was trained on."""

    folder: Path
    config: DictConfig
    result: dict[str, Any]
    spec: Any
    task: "SupervisedTask"


def load_runs(*folders: str | Path) -> pd.DataFrame:
    """One row per run found anywhere below ``folders``, sorted by path; a copy of a finished run is left out.

    Columns: path, task, model, experiment, status, seed; the settings that differ among the runs, by their dotted keys; metrics as
    ``val/*`` and ``test/*`` (of the best epoch) and ``last/*`` (validation, last epoch); epochs, params, train_seconds and so on;
    ``simulated``, whether the data was made up.
    A metric that was no finite number is NaN. A run that is not finished has its settings only, and where it has failed the message.

    Raises:
        UserError: no such folder, no run below it, a result.json or config.yaml that cannot be read.
    """
    rows: list[dict[str, Any]] = []
    settings: list[dict[str, Any]] = []
    seen: set[str] = set()
    for folder in _run_folders(folders):
        result = _result(folder)
        content = json.dumps(result, sort_keys=True)
        if result["status"] == "finished" and content in seen:
            continue
        seen.add(content)
        settings.append(read_settings(folder))
        row: dict[str, Any] = {key: result.get(key) for key in (*HEAD, *TAIL)}
        row |= {"path": str(folder), "seed": settings[-1]["seed"], "simulated": is_simulated(result)}
        for split in SPLITS:
            row |= {f"{split}/{name}": math.nan if value is None else value for name, value in result.get(split, {}).items()}
        rows.append(row)
    keys = dict.fromkeys(key for values in settings for key in values if key not in BESIDE)
    differing = [key for key in keys if len({values.get(key) for values in settings}) > 1]
    measured = dict.fromkeys(name for split in SPLITS for row in rows for name in row if name.startswith(f"{split}/"))
    for row, values in zip(rows, settings, strict=True):
        row |= {key: values.get(key) for key in differing}
    return pd.DataFrame(rows, columns=[*HEAD, *differing, *measured, *TAIL])


def _run_folders(folders: Sequence[str | Path]) -> list[Path]:
    found: dict[Path, Path] = {}  # by what they resolve to, so that overlapping folders count once
    for folder in map(Path, folders):
        if not folder.is_dir():
            raise UserError(f"{folder} is no folder; a folder with runs below it is right, such as outputs/digits/cnn_pool")
        found |= {path.parent.resolve(): path.parent for path in folder.rglob(RESULT)}
    if not found:
        raise UserError(f"there is no run (no {RESULT}) below {', '.join(map(str, folders))}")
    return sorted(found.values())


def _result(folder: Path) -> dict[str, Any]:
    result = read_result(folder) or {"status": "running"}  # none: deleted since it was found
    if result["status"] == "finished":
        needed = {"task", "model", "experiment", "seed", "monitor", "spec", *SPLITS, *MEASURED}
        wrong = needed - result.keys() | {split for split in SPLITS if not isinstance(result.get(split), dict)}
        if wrong:
            raise UserError(f"{folder / RESULT} is damaged (it lacks {', '.join(sorted(wrong))}): delete this file and start the run again")
    return result


def read_settings(folder: Path) -> dict[str, Any]:
    """The configuration of a run, flattened to dotted keys; lists and mappings as JSON."""
    settings = flatten(OmegaConf.to_container(read_config(folder)))
    return {key: json.dumps(value) if isinstance(value, list | dict) else value for key, value in settings.items()}


def finished_result(folder: Path) -> dict[str, Any]:
    """The ``result.json`` of a finished run.

    Raises:
        UserError: no run there, or one that is not finished.
    """
    if not (folder / RESULT).is_file():
        raise UserError(f"{folder} is no run: there is no {RESULT} in it; the folder of a finished run is right")
    result = _result(folder)
    if result["status"] != "finished":
        raise UserError(
            f"{folder} is not finished (status {result['status']}): start the same training again, it goes on from where it was"
        )
    return result


def load_run(folder: str | Path, device: str = "cpu") -> Run:
    """Rebuild network and task of a finished run from its folder alone; no data is read.

    Args:
        device: ``cpu``, ``cuda``, ``cuda:1``, ``mps``; ``auto`` takes an accelerator where there is one.

    Raises:
        UserError: no finished run there, a file that is damaged or does not fit the others, a device that is not there.
    """
    folder = Path(folder)
    result = finished_result(folder)
    config = read_config(folder)
    check(config)

    import torch

    from dlhw.checkpoint_file import load_checkpoint
    from dlhw.training import build_task

    bind(config)
    if not (folder / BEST).exists():
        command = " ".join(result.get("overrides", ())) or "the same settings"
        raise UserError(f"{folder} holds results without weights ({BEST}): train it again, with {command}")
    checkpoint = load_checkpoint(folder / BEST)
    spec = spec_from_dict(checkpoint["spec"])
    task = build_task(config, spec)
    try:
        task.load_state_dict(checkpoint["state_dict"])
        task.on_load_checkpoint(checkpoint)
    except RuntimeError as error:
        what, commit = " ".join(str(error).split())[:300], f" (commit {result['git']})" if result.get("git") else ""
        remedy = f"train it again, or use the code that it was trained with{commit}"
        raise UserError(f"{folder / BEST} does not fit the network of {CONFIG} ({what}): {remedy}") from None
    if device == "auto":
        device = accelerator.type if (accelerator := torch.accelerator.current_accelerator(check_available=True)) else "cpu"
    try:
        task.to(device)
    except (RuntimeError, AssertionError) as error:  # torch built without CUDA answers with an AssertionError
        why = str(error).splitlines()[0]
        if why.startswith("Expected one of"):  # torch goes on with all that it has ever had
            why = "auto, cpu, cuda, cuda:1 or mps is right"
        raise UserError(f"device={device} cannot be used here: {why}") from None
    return Run(folder, config, result, spec, task.eval())


def with_spec(run: Run, spec: Any) -> Run:
    """The run's network with its weights, built for another spec in which they have the same shapes."""
    from dlhw.training import build_task

    task = build_task(run.config, spec)
    task.load_state_dict(run.task.state_dict())
    return replace(run, spec=spec, task=task.to(run.task.device).eval())
