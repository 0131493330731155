"""``result.json``: what a run has found, on what, and how long it took."""

import json
import platform
import statistics
import subprocess
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import lightning as L
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from dlhw.atomic_file import write_text
from dlhw.callbacks.recorder import read_metrics
from dlhw.data.arrays import ArrayData
from dlhw.hardware import device_name
from dlhw.run_folder import METRICS, RESULT, config_hash, identity, read_result
from dlhw.specs import spec_to_dict
from dlhw.tasks.supervised import SupervisedTask

PACKAGES = ("torch", "torchvision", "lightning", "hydra-core", "omegaconf", "torchmetrics", "numpy", "medmnist")


def start_result(folder: Path) -> None:
    """Note that the run has begun; a resumed run keeps its first start."""
    before = read_result(folder) or {}
    write_result(folder, {"status": "running", "started": before.get("started", _now())})


def finish_result(
    cfg: DictConfig,
    experiment: str,
    folder: Path,
    trainer: L.Trainer,
    task: SupervisedTask,
    data: ArrayData,
    best_epoch: int,
    test: dict[str, float],
) -> dict[str, Any]:
    """Write and return the result of a finished run. ``val`` and ``test`` belong to the best epoch,
    ``last`` (on the validation split) and ``train`` to the last one."""
    rows = read_metrics(folder / METRICS)
    best, last = rows[best_epoch], rows[-1]
    choices: Any = HydraConfig.get().runtime.choices
    settings = identity(cfg)
    result = {
        "status": "finished",
        "task": choices.task,
        "model": choices.model,
        "experiment": experiment,
        "overrides": [given for given in HydraConfig.get().overrides.task if not given.startswith(("data_root=", "output_root="))],
        "seed": cfg.seed,
        "config_hash": config_hash(settings),
        "params": sum(p.numel() for p in task.net.parameters()),
        "epochs": len(rows),
        "best_epoch": best_epoch,
        "monitor": cfg.task.monitor,
        "val": _of_split(best, "val"),
        "test": test,
        "last": _of_split(last, "val"),
        "train": _of_split(last, "train"),
        "train_seconds": task.seconds,
        "samples_per_second": statistics.median(row["samples_per_second"] for row in rows),
        "device": device_name(trainer.strategy.root_device),
        "devices": trainer.world_size,
        "precision": str(trainer.precision),
        "git": _git(),
        "versions": {"python": platform.python_version()} | {name: version(name) for name in PACKAGES},
        "data": data.checksums,
        "spec": spec_to_dict(data.spec),
        "started": (read_result(folder) or {}).get("started"),
        "finished": _now(),
    }
    write_result(folder, result)
    return result


def write_result(folder: Path, result: dict[str, Any]) -> None:
    write_text(folder / RESULT, json.dumps(result, indent=2) + "\n")


def _of_split(row: dict[str, float], split: str) -> dict[str, float]:
    return {name.removeprefix(f"{split}/"): value for name, value in row.items() if name.startswith(f"{split}/")}


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _git() -> str | None:
    """The commit of this source tree, with ``+`` where it has been changed since; None outside a repository."""
    here = Path(__file__).parent
    try:
        commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=here, capture_output=True, text=True, check=True).stdout.strip()
        changed = subprocess.run(["git", "diff", "--quiet", "HEAD", "--", "dlhw", "conf"], cwd=here.parent).returncode
    except (OSError, subprocess.CalledProcessError):
        return None
    return commit + ("+" if changed else "")
