"""The folder of a run: its name, what is in it, and who may write to it. Needs no torch, so a finished run is skipped in a second.

``outputs/<experiment>/<run_id>/`` is a function of the settings alone: the same settings find the same folder again.
"""

import hashlib
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from filelock import FileLock, Timeout
from hydra import compose
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from dlhw.atomic_file import TEMPORARY, write_text
from dlhw.errors import UserError

RESULT, CONFIG, METRICS, PREDICTIONS, LOG = "result.json", "config.yaml", "metrics.csv", "predictions.npz", "log.txt"
LAST, BEST = "checkpoints/last.ckpt", "checkpoints/best.ckpt"

# Settings that do not make another run: where things lie, how the run is shown, and how long it goes on.
NOT_IDENTITY = ("data_root", "output_root", "trainer.max_epochs", "trainer.progress_bar", "trainer.final_pictures", "trainer.threads")
GROUPS = ("task", "model", "optim", "trainer")

Decision = Literal["train", "resume", "skip"]


def flatten(node: Any, prefix: str = "") -> dict[str, Any]:
    """A nested mapping as ``{"a.b": value}``; lists and empty mappings count as values."""
    if not isinstance(node, dict) or not node:
        return {prefix: node}
    return {
        key: value for name, child in node.items() for key, value in flatten(child, f"{prefix}.{name}" if prefix else str(name)).items()
    }


def identity(cfg: DictConfig) -> dict[str, Any]:
    """The settings that make a run what it is, flattened."""
    settings = flatten(OmegaConf.to_container(cfg, resolve=True))
    return {key: value for key, value in settings.items() if key not in NOT_IDENTITY}


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
    """The place of the run that Hydra has just composed."""
    choices: Any = HydraConfig.get().runtime.choices
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
    """Hold the folder for this process alone.

    Raises:
        UserError: another process is at work in it, or it cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / ".lock", timeout=0)
        lock.acquire()
    except Timeout:
        raise UserError(f"{folder}: another process is at work in this run; wait for it or stop it") from None
    except OSError as error:
        raise UserError(f"{folder} cannot be written ({error.strerror}); choose another with output_root=FOLDER") from None
    try:
        for left_over in folder.rglob(f"*{TEMPORARY}"):
            left_over.unlink()
        yield
    finally:
        lock.release()


def decide(place: Place, cfg: DictConfig) -> Decision:
    """What to do in a folder: train afresh, go on, or skip a finished run.

    Raises:
        UserError: the folder holds a run with other settings, or one that has trained longer than is asked for.
    """
    folder = place.folder
    if not (folder / CONFIG).exists():
        return "train"
    old = OmegaConf.load(folder / CONFIG)
    assert isinstance(old, DictConfig)
    were, are = identity(old), identity(cfg)
    were |= {key: value for key, value in place.defaults.items() if key in are and key not in were}  # knobs that came after the run
    _refuse_other_settings(folder, were, are)
    asked, before = cfg.trainer.max_epochs, old.trainer.max_epochs
    result = read_result(folder)
    if asked < before:
        raise UserError(f"{folder} was started with trainer.max_epochs={before}, now {asked} is asked for: ask for {before} or more")
    if asked > before and (cfg.optim.schedule != "constant" or cfg.optim.warmup):
        raise UserError(
            f"{folder} was started with trainer.max_epochs={before}; optim.schedule={cfg.optim.schedule} and optim.warmup are drawn over "
            f"the whole training, so {asked} epochs would be another run: set output_root=FOLDER to start it elsewhere"
        )
    if result and result["status"] == "finished" and asked == before:
        return "skip"
    return "resume" if (folder / LAST).exists() else "train"


def _refuse_other_settings(folder: Path, old: dict[str, Any], new: dict[str, Any]) -> None:
    nothing = "(not there)"
    differing = [key for key in sorted(old.keys() | new.keys()) if old.get(key, nothing) != new.get(key, nothing)]
    if differing:
        values = "; ".join(f"{key} was {old.get(key, nothing)}, now {new.get(key, nothing)}" for key in differing[:5])
        raise UserError(f"{folder} holds a run with other settings: {values}. Move it away or set output_root=FOLDER")


def write_config(folder: Path, cfg: DictConfig) -> None:
    """Write the resolved configuration without the places that differ from machine to machine."""
    settings = OmegaConf.to_container(cfg, resolve=True)
    assert isinstance(settings, dict)
    del settings["data_root"], settings["output_root"]
    write_text(folder / CONFIG, OmegaConf.to_yaml(settings))


def read_result(folder: Path) -> dict[str, Any] | None:
    """The folder's ``result.json``, or None where there is none.

    Raises:
        UserError: the file is no JSON.
    """
    try:
        return json.loads((folder / RESULT).read_text())
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise UserError(f"{folder / RESULT} is not readable JSON ({error}): delete it and start the run again") from None
