"""``result.json``: what a run has found, on what, and how long it took."""

import platform
import statistics
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import lightning as L
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig
from torch import nn

from dlhw.data.arrays import ArrayData
from dlhw.errors import Stopped, UserError
from dlhw.hardware import device_name
from dlhw.run_files import read_metrics, read_result, write_config, write_result
from dlhw.run_folder import METRICS, config_hash, identity
from dlhw.specs import spec_to_dict
from dlhw.tasks.supervised import SupervisedTask

PACKAGES = ("torch", "torchvision", "lightning", "hydra-core", "omegaconf", "torchmetrics", "numpy", "medmnist")


@contextmanager
def recorded(folder: Path, cfg: DictConfig) -> Iterator[None]:
    """Note that the run has begun, and, where the block does not finish it, that it was stopped or has failed, and of what.

    A resumed run keeps its first start. A run that a kill ended stays ``running``.
    """
    started = {"started": (read_result(folder) or {}).get("started", _now())}
    # The result before the settings: a kill between the two must not leave more epochs beside the result of fewer.
    write_result(folder, {"status": "running", **started})
    write_config(folder, cfg)
    try:
        yield
    except BaseException as error:
        failed = isinstance(error, Exception) and not isinstance(error, Stopped)
        outcome = {"status": "failed", "message": _message(error)} if failed else {"status": "stopped"}
        with suppress(UserError):  # of a full disk: what ended the run is told, not this
            if (read_result(folder) or {}).get("status") == "running":  # not finished just before
                write_result(folder, {**outcome, **started, "ended": _now()})
        raise


def _message(error: BaseException) -> str:
    return str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"


def finish_result(
    cfg: DictConfig,
    experiment: str,
    folder: Path,
    trainer: L.Trainer,
    task: SupervisedTask,
    data: ArrayData,
    best: dict[str, Any],
    test: dict[str, float],
) -> dict[str, Any]:
    """Write and return the result of a finished run. ``val`` and ``test`` belong to the best epoch,
    ``last`` (on the validation split) and ``train`` to the last one.

    ``best`` is the checkpoint of the best epoch. It knows its own metrics: a run that was killed after it was written, and went on
    on other hardware, may have another row for that epoch.
    """
    rows, best_epoch = read_metrics(folder / METRICS), best["position"]["epoch"] - 1
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
        "layers": layers_of(task.net),
        "epochs": len(rows),
        "best_epoch": best_epoch,
        "monitor": cfg.task.monitor,
        "val": _of_split(best.get("metrics") or rows[best_epoch], "val"),
        "test": test,
        "last": _of_split(rows[-1], "val"),
        "train": _of_split(rows[-1], "train"),
        "train_seconds": task.seconds,
        "samples_per_second": statistics.median(row["samples_per_second"] for row in rows),
        "device": device_name(trainer.strategy.root_device),
        "devices": trainer.world_size,
        "precision": str(trainer.precision),
        "git": _git(),
        "versions": {"python": platform.python_version()} | {name: version(name) for name in PACKAGES},
        "data": data.checksums,
        "spec": spec_to_dict(data.spec),
        "notes": {**data.notes, **task.notes},
        "started": (read_result(folder) or {}).get("started"),
        "finished": _now(),
    }
    write_result(folder, result)
    return result


def layers_of(net: nn.Module) -> list[dict[str, Any]]:
    """The layers of a network in their order: name, what it is, how many parameters it has of its own.

    Parts that only hold others are left out; weights that two layers share count in the first.
    """
    seen: set[int] = set()
    layers = []
    for name, module in net.named_modules():
        own = [weight for weight in module.parameters(recurse=False) if id(weight) not in seen]
        seen |= {id(weight) for weight in own}
        if own or not any(True for _ in module.children()):
            layers.append(
                {"name": name or "network", "what": repr(module).split("\n")[0].rstrip("("), "params": sum(p.numel() for p in own)}
            )
    return layers


def _of_split(row: dict[str, float], split: str) -> dict[str, float]:
    return {name.removeprefix(f"{split}/"): value for name, value in row.items() if name.startswith(f"{split}/")}


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _git() -> str | None:
    """The commit of this source tree, with ``+`` where it has been changed since; None outside a repository."""
    here = Path(__file__).resolve().parent
    try:
        commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=here, capture_output=True, text=True, check=True).stdout.strip()
        changed = subprocess.run(["git", "diff", "--quiet", "HEAD", "--", "dlhw", "conf"], cwd=here.parent).returncode
    except (OSError, subprocess.CalledProcessError):
        return None
    return commit + ("+" if changed else "")
