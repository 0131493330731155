"""The configuration's schema and its checks, made before torch is imported.

What stands in ``conf/`` is composed by Hydra; the dataclasses here say which types and ranges are right.
"""

import importlib
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import MISSING, DictConfig, OmegaConf

from dlhw.errors import UserError
from dlhw.knobs import check_knobs

CONF = Path(__file__).parent.parent / "conf"

# Where a _target_ may point; anything else in a configuration file is refused before it is called.
OWN_TARGETS = ("dlhw.data.", "dlhw.models.", "dlhw.tasks.", "dlhw.callbacks.", "dlhw.muon.")
ALLOWED_TARGETS = (*OWN_TARGETS, "torch.optim.", "torch.nn.", "lightning.pytorch.callbacks.")
LOWER_IS_BETTER = ("loss", "cer", "wer")  # metrics, also as wer@3; of all others higher values are better

PRECISIONS = ("auto", "32-true", "bf16-mixed", "16-mixed", "bf16-true", "64-true")
STRATEGIES = ("auto", "ddp")
PARTS = ("task.data", "task.module", "model", "optim.optimizer")  # what is built of its _target_
SCHEDULES = ("constant", "cosine", "onecycle", "step")


def direction(monitor: str) -> str:
    """Whether a better value of a metric is lower or higher: ``min`` or ``max``, as Lightning says it."""
    return "min" if monitor.partition("@")[0] in LOWER_IS_BETTER else "max"


def _require(ok: bool, key: str, value: object, right: str) -> None:
    if not ok:
        raise UserError(f"{key}={value} is out of range: {right}")


@dataclass
class TrainerConfig:
    """What Lightning's Trainer and the callbacks are built from; units and meanings stand in ``conf/trainer/default.yaml``."""

    max_epochs: int = MISSING
    steps_per_epoch: int | None = None
    steps_per_call: int = 8
    accelerator: str = "auto"
    devices: Any = 1
    strategy: str = "auto"
    precision: str = "auto"
    deterministic: bool = True
    threads: int | None = None
    patience: int | None = None
    min_delta: float = 0.0
    test_every_epoch: bool = False
    final_pictures: bool = True
    progress_bar: bool | None = None
    callbacks: dict[str, Any] = field(default_factory=dict)

    def check(self) -> None:
        for key in ("max_epochs", "steps_per_call"):
            _require(getattr(self, key) >= 1, f"trainer.{key}", getattr(self, key), "at least 1")
        for key in ("steps_per_epoch", "patience", "threads"):
            value = getattr(self, key)
            _require(value is None or value >= 1, f"trainer.{key}", value, "at least 1, or null")
        devices = self.devices
        whole = isinstance(devices, int) and not isinstance(devices, bool) and devices >= 1
        listed = isinstance(devices, list) and devices and all(isinstance(device, int) and device >= 0 for device in devices)
        _require(whole or listed or devices == "auto", "trainer.devices", devices, "auto, a number of at least 1, or a list of GPUs")
        _require(self.strategy in STRATEGIES, "trainer.strategy", self.strategy, f"one of {', '.join(STRATEGIES)}")
        _require(self.min_delta >= 0, "trainer.min_delta", self.min_delta, "0 or more")
        if self.min_delta and self.patience is None:
            raise UserError(f"trainer.min_delta={self.min_delta} does nothing without trainer.patience")
        _require(self.precision in PRECISIONS, "trainer.precision", self.precision, f"one of {', '.join(PRECISIONS)}")


@dataclass
class OptimConfig:
    """How the weights are updated; units and meanings stand in ``conf/optim/base.yaml``."""

    optimizer: dict[str, Any] = MISSING
    lr: float = MISSING
    weight_decay: float = 0.0
    schedule: str = "constant"
    warmup: float = 0.0
    step_every: float = 0.333
    step_factor: float = 0.1
    clip_norm: float | None = None
    accumulate: int = 1
    ema: float | None = None

    def check(self) -> None:
        _require(self.lr > 0, "optim.lr", self.lr, "above 0")
        _require(self.weight_decay >= 0, "optim.weight_decay", self.weight_decay, "0 or more")
        _require(self.schedule in SCHEDULES, "optim.schedule", self.schedule, f"one of {', '.join(SCHEDULES)}")
        _require(0 <= self.warmup < 1, "optim.warmup", self.warmup, "a share of the training from 0 to below 1")
        _require(0 < self.step_every <= 1, "optim.step_every", self.step_every, "a share of the training above 0, up to 1")
        _require(0 < self.step_factor <= 1, "optim.step_factor", self.step_factor, "above 0, up to 1")
        for key in ("step_every", "step_factor"):
            if self.schedule != "step" and (value := getattr(self, key)) != getattr(OptimConfig, key):
                raise UserError(f"optim.{key}={value} does nothing without optim.schedule=step")
        _require(self.clip_norm is None or self.clip_norm > 0, "optim.clip_norm", self.clip_norm, "above 0, or null")
        _require(self.accumulate >= 1, "optim.accumulate", self.accumulate, "at least 1")
        _require(self.ema is None or 0 < self.ema < 1, "optim.ema", self.ema, "between 0 and 1, or null")


@dataclass
class Config:
    """The whole configuration of one run."""

    task: Any = MISSING
    model: Any = MISSING
    optim: OptimConfig = field(default_factory=OptimConfig)
    trainer: TrainerConfig = field(default_factory=TrainerConfig)
    seed: int = 0
    data_root: str = MISSING
    output_root: str = "outputs"
    warm_start: str | None = None


def choices(group: str) -> list[str]:
    """What can be said for a group on the command line, ``group=NAME``."""
    return [path.stem for path in sorted((CONF / group).glob("*.yaml")) if path.stem != "base"]


OmegaConf.register_new_resolver("choices", lambda group: ", ".join(choices(group)), replace=True)  # for the text of --help
ConfigStore.instance().store(name="schema", node=Config)
if (plugins := str(Path(__file__).parent / "plugins")) not in sys.path:
    sys.path.append(plugins)  # where Hydra finds the grid sweeper


def check(cfg: DictConfig) -> None:
    """Check what can be checked without torch: nothing missing, values in range, and where ``_target_`` points.

    Raises:
        UserError: naming the key, its value and what would be right.
    """
    there = dict(targets(OmegaConf.to_container(cfg, resolve=False)))
    for part in PARTS:
        if part not in there:
            group = part.partition(".")[0]
            names = ", ".join(choices(group))
            raise UserError(f"{part} has no _target_, so nothing can be built of it: {group}=NAME, one of {names}, is right")
    missing = OmegaConf.missing_keys(but_warm_start(cfg))
    if missing:
        raise UserError(f"{', '.join(sorted(missing))} must be given: KEY=VALUE on the command line")
    _require(0 <= cfg.seed < 2**32, "seed", cfg.seed, "0 to 4294967295")
    for part in (cfg.trainer, cfg.optim):
        settings: Any = OmegaConf.to_object(part)
        settings.check()
    precision, optim = cfg.trainer.precision, cfg.optim
    if precision == "16-mixed" and optim.clip_norm is not None:
        raise UserError(
            "trainer.precision=16-mixed scales the gradients, so optim.clip_norm cannot measure them: use bf16-mixed or 32-true"
        )
    if precision == "bf16-true" and optim.ema is not None:
        raise UserError(
            f"trainer.precision=bf16-true keeps two to three digits of a weight, too few for optim.ema={optim.ema}, whose average moves by "
            "less in a step: use bf16-mixed or 32-true"
        )
    for key, node in targets(OmegaConf.to_container(cfg, resolve=True)):
        target = node["_target_"]
        if not str(target).startswith(ALLOWED_TARGETS):
            raise UserError(f"{key}._target_={target} is refused: a target must begin with one of {', '.join(ALLOWED_TARGETS)}")


def but_warm_start(cfg: DictConfig) -> DictConfig:
    """All settings but the run to start from, whose name may be made of others, such as a protein that is not said yet."""
    return OmegaConf.masked_copy(cfg, [str(key) for key in cfg if key != "warm_start"])


def targets(node: Any, key: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every mapping with a ``_target_`` below ``node``, with its dotted key."""
    if isinstance(node, dict):
        if "_target_" in node:
            yield key, node
        for name, child in node.items():
            yield from targets(child, f"{key}.{name}" if key else str(name))
    elif isinstance(node, list):
        for position, child in enumerate(node):
            yield from targets(child, f"{key}[{position}]")


def bind(cfg: DictConfig) -> None:
    """Check that every ``_target_`` exists, and takes the knobs beside it and their values (this imports the targets).

    Raises:
        UserError: naming the key and what would be right.
    """
    for key, node in targets(OmegaConf.to_container(cfg, resolve=True)):
        try:
            module, _, name = node["_target_"].rpartition(".")
            target = getattr(importlib.import_module(module), name)
        except (ImportError, AttributeError) as error:
            raise UserError(f"{key}._target_={node['_target_']} does not exist: {error}") from None
        if not f"{getattr(target, '__module__', '')}.".startswith(ALLOWED_TARGETS):  # what an allowed module has imported
            raise UserError(f"{key}._target_={node['_target_']} is refused: it is defined elsewhere")
        if not isinstance(target, type):
            raise UserError(f"{key}._target_={node['_target_']} is refused: a class is right")
        check_knobs(key, target, node)
