"""The folder of a run: its name, what is in it, and who may write to it. Needs no torch, so a finished run is skipped in a second.

``outputs/<experiment>/<run_id>/`` is a function of the settings alone: the same settings find the same folder again.
"""

import hashlib
import json
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from hydra import compose
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from dlhw.atomic_file import TEMPORARY
from dlhw.config import but_warm_start
from dlhw.errors import UserError

RESULT, CONFIG, METRICS, PREDICTIONS, LOG = "result.json", "config.yaml", "metrics.csv", "predictions.npz", "log.txt"
MOST_WRONG = "most_wrong.png"  # of a classified test split
EXPLAINED = "explain"  # folder in a run's: what python -m dlhw.explain has found
DECODED = "decoded"  # folder in a run's: what python -m dlhw.decode has scored; beside runs: that of their ensembles
LOCK = ".lock"
LAST, BEST = "checkpoints/last.ckpt", "checkpoints/best.ckpt"

# Settings that do not make another run: where things lie, how the run is shown, how long it goes on, and what changes the speed alone.
# Of the latter, trainer.steps_per_call changes no bit of anything. trainer.threads and task.data.eval_batch_size change in which order
# sums are taken, so the last bits of metrics: another processor would do the same, and that is no other run either.
NOT_IDENTITY = (
    "data_root",
    "output_root",
    "trainer.max_epochs",
    "trainer.progress_bar",
    "trainer.final_pictures",
    "trainer.threads",
    "trainer.steps_per_call",
    "task.data.eval_batch_size",
)
GROUPS = ("task", "model", "optim", "trainer")


def flatten(node: Any, prefix: str = "") -> dict[str, Any]:
    """A nested mapping as ``{"a.b": value}``; lists and empty mappings count as values."""
    if not isinstance(node, dict) or not node:
        return {prefix: node}
    return {
        key: value for name, child in node.items() for key, value in flatten(child, f"{prefix}.{name}" if prefix else str(name)).items()
    }


def identity(cfg: DictConfig) -> dict[str, Any]:
    """The settings that make a run what it is, flattened."""
    settings = flatten(OmegaConf.to_container(but_warm_start(cfg), resolve=True)) | {"warm_start": warm_start_as_written(cfg)}
    return {key: value for key, value in settings.items() if key not in NOT_IDENTITY}


def warm_start_as_written(cfg: DictConfig) -> str | None:
    """The other run as the configuration names it, ``${output_root}/.../seed-${seed}``: the same for every seed and on every machine."""
    written = OmegaConf.to_container(OmegaConf.masked_copy(cfg, ["warm_start"]), resolve=False)
    assert isinstance(written, dict)
    return written["warm_start"]


def config_hash(settings: dict[str, Any]) -> str:
    """SHA-256 of :func:`identity`; the order of the keys does not matter."""
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()


def run_id(settings: dict[str, Any], defaults: dict[str, Any], choices: dict[str, str]) -> str:
    """A name made of what differs from the experiment's defaults, sorted, and of the seed, which always stands last.

    ``choices`` are the configuration groups that were exchanged (``{"model": "cnn"}``). Only letters, digits, ``.``, ``-`` and ``_``.
    """
    names = short_names({*settings, *defaults, *GROUPS})
    changed = {names[key]: value for key, value in settings.items() if key != "seed" and (key not in defaults or defaults[key] != value)}
    gone = {key for key in defaults.keys() - settings.keys() if not any(other.startswith(f"{key}.") for other in settings)}
    changed |= {names[key]: None for key in gone}
    tokens = sorted(f"{re.sub('[^A-Za-z0-9._-]', '-', name)}-{_plain(value)}" for name, value in (changed | choices).items())
    name = "_".join([*tokens, f"seed-{settings['seed']}"])
    if len(name) > 180:  # file systems allow 255 bytes
        name = f"{name[:120]}-{hashlib.sha256(name.encode()).hexdigest()[:12]}_seed-{settings['seed']}"
    return name


def short_names(keys: set[str]) -> dict[str, str]:
    """The shortest ending of each dotted key that no other key shares: ``optim.lr`` is ``lr``."""
    names = {}
    for key in keys:
        parts = key.split(".")
        endings = [".".join(parts[-n:]) for n in range(1, len(parts) + 1)]
        names[key] = next(e for e in endings if e == key or not any(other != key and ("." + other).endswith("." + e) for other in keys))
    return names


def _plain(value: Any) -> str:
    """``value`` in characters that shells and Hydra's grammar leave alone; where one had to go, a hash keeps it distinct."""
    text = json.dumps(value) if isinstance(value, list | dict) else "null" if value is None else str(value)
    if isinstance(value, bool):
        text = text.lower()
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        text = str(int(value))  # 1 and 1.0 are one setting
    plain = re.sub(r"[^A-Za-z0-9.-]+", "-", text).strip("-")
    list_of_plain = isinstance(value, list) and all(re.fullmatch(r"[A-Za-z0-9.]+", str(element)) for element in value)
    return plain if plain == text or list_of_plain else f"{plain}-{hashlib.sha256(text.encode()).hexdigest()[:6]}"


@dataclass(frozen=True)
class Place:
    """Where a run belongs: the experiment, the folder, and what its settings would be if nothing had been overridden."""

    experiment: str
    folder: Path
    defaults: dict[str, Any]


def locate(cfg: DictConfig) -> Place:
    """The place of the run that Hydra has just composed.

    Raises:
        UserError: a list of names was given for a group.
    """
    choices: Any = HydraConfig.get().runtime.choices
    if several := [group for group in GROUPS if group not in choices]:
        raise UserError(f"{several[0]}=NAME takes one name, no list")
    pair = f"{choices.task}/{choices.model}"
    experiment = choices.experiment or pair
    start = (f"task={choices.task}", f"model={choices.model}") if experiment == pair else (f"experiment={experiment}",)
    usual, _ = _composed(start)
    exchanged = {group: choices[group] for group in GROUPS if choices[group] != usual[group]}
    _, defaults = _composed((*start, *(f"{group}={name}" for group, name in exchanged.items())))
    return Place(experiment, Path(cfg.output_root) / experiment / run_id(identity(cfg), defaults, exchanged), defaults)


@lru_cache
def _composed(overrides: tuple[str, ...]) -> tuple[dict[str, str], dict[str, Any]]:
    """The groups that are chosen and the settings under these overrides; kept, because the runs of a sweep ask for the same ones."""
    cfg = compose("config", [*overrides], return_hydra_config=True)
    choices = dict(cfg.hydra.runtime.choices)
    return choices, identity(OmegaConf.masked_copy(cfg, [str(key) for key in cfg if key != "hydra"]))


@contextmanager
def claim(folder: Path) -> Iterator[None]:
    """Hold the folder for this process alone. Where the block ends with an error before anything stands in the folder, it is removed again.

    Raises:
        UserError: another process is at work in it, or it cannot be written.
    """
    made: list[Path] = []
    lock = FileLock(folder / LOCK, timeout=0)
    try:
        _acquire(lock, folder, made)
        for left_over in folder.rglob(f"*{TEMPORARY}"):
            left_over.unlink()
        yield
    except BaseException:
        if lock.is_locked and {path.name for path in folder.iterdir()} <= {LOCK, LOG}:
            made.append(folder)
            with suppress(OSError):  # Windows removes no file that is open; there the lock goes when it is released
                (folder / LOG).unlink(missing_ok=True)
                (folder / LOCK).unlink()  # while it is held: a process that waits for it notices that it is gone
        lock.release()
        for path in sorted(set(made), reverse=True):  # the inner ones first
            with suppress(OSError):  # what is not empty stays
                path.rmdir()
        raise
    lock.release()


def _acquire(lock: FileLock, folder: Path, made: list[Path]) -> None:
    """Make the folder and take its lock; ``made`` gets the folders that were not there."""
    try:
        for attempt in range(20):
            try:
                for path in [path for path in (*reversed(folder.parents), folder) if not path.exists()]:
                    with suppress(FileExistsError):
                        path.mkdir()
                        made.append(path)
                lock.acquire()
            except (FileNotFoundError, FileExistsError):  # another process, whose run was refused, removes a folder at this moment
                if attempt == 19:
                    raise
                time.sleep(0.002 * attempt)  # it has to come to its end, and may have to wait for a core
            else:
                return
    except Timeout:
        raise UserError(f"{folder}: another process is at work in this run; wait for it or stop it") from None
    except OSError as error:
        raise UserError(f"{folder} cannot be written ({error.strerror}); choose another with output_root=FOLDER") from None
