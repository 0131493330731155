"""One training, put together: data, network, task and Trainer of a configuration, the score on the test split, the result."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import torch
from hydra.utils import instantiate
from lightning import seed_everything
from omegaconf import DictConfig, OmegaConf

from dlhw import run_folder
from dlhw.atomic_file import replacing
from dlhw.callbacks.checkpoints import Signals
from dlhw.callbacks.final_pictures import write_final_pictures
from dlhw.callbacks.progress_bar import TerminalLog
from dlhw.checkpoint_file import load_checkpoint
from dlhw.config import bind
from dlhw.data.arrays import ArrayData
from dlhw.errors import UserError
from dlhw.hardware import prepare
from dlhw.optimization import Optimization
from dlhw.result import finish_result, recorded
from dlhw.run_folder import BEST, LAST
from dlhw.run_logger import write_outcome
from dlhw.specs import spec_to_dict
from dlhw.tasks.supervised import SupervisedTask
from dlhw.trainer import build_trainer, single_device

log = logging.getLogger(__name__)

NAMED = {"classes": "classes", "proteins": "proteins", "source": "symbols", "target": "letters"}  # what the rows of a layer may stand for


def train(cfg: DictConfig, experiment: str, folder: Path, resume: bool) -> None:
    """Train, or go on from ``last.ckpt``, in a folder that this process holds; then score the best epoch on the test split.

    Raises:
        UserError: wrong input, told in one sentence.
        Stopped: a signal; the state is saved.
    """
    with logging_to(folder):
        bind(cfg)
        logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
        prepare(cfg.trainer.threads)
        data, task = build(cfg)
        epochs = _epochs_behind(folder, data) if resume else 0
        if cfg.warm_start and not resume:
            warm_start(task, Path(cfg.warm_start))
        with Signals() as signals:
            trainer = build_trainer(cfg, folder, signals, epochs)
            refuse_unmeasured(trainer, task)
            with recorded(folder, cfg) if trainer.is_global_zero else nullcontext():
                log.info("%s %s on %s, %s", "resumed" if resume else "started", folder, trainer.strategy.root_device, trainer.precision)
                _fit(trainer, task, data, folder / LAST if resume else None)
                if not (folder / BEST).exists():
                    raise UserError("a callback ended the training before its first epoch was over, so there is nothing to score")
                if task.epoch < cfg.trainer.max_epochs:
                    log.info(_ended_early(cfg, task.epoch))
                if trainer.is_global_zero:  # the first process alone scores the test split, whole and once
                    score(cfg, experiment, folder, trainer, task, data)


def refuse_unmeasured(trainer: L.Trainer, task: SupervisedTask) -> None:
    """Refuse a callback that watches what no epoch measures, before the first one.

    Raises:
        UserError: naming what it watches, and what there is.
    """
    there = [f"val/{name}" for name in task.measured]
    for callback in trainer.callbacks:  # type: ignore[attr-defined]
        kind, watched = type(callback), getattr(callback, "monitor", None)
        if kind.__module__.startswith("lightning.") and watched and watched not in there and not watched.startswith("train/"):
            raise UserError(f"trainer.callbacks: {kind.__name__} watches {watched}, which is not measured: one of {', '.join(there)}")


def _epochs_behind(folder: Path, data: ArrayData) -> int:
    """How many epochs a run that goes on has trained.

    Raises:
        UserError: its checkpoint is damaged, or the data is not what it was trained on.
    """
    last = load_checkpoint(folder / LAST)
    old, new = last.get("data", data.checksums), data.checksums
    if changed := [name for name in sorted(old.keys() | new.keys()) if old.get(name) != new.get(name)]:
        raise UserError(
            f"{', '.join(changed)} is not the data that {folder} was begun with (another SHA-256): put that back, or set "
            "output_root=FOLDER to start elsewhere"
        )
    return last["position"]["epoch"]


def _fit(trainer: L.Trainer, task: SupervisedTask, data: ArrayData, last: Path | None) -> None:
    try:
        trainer.fit(task, data, ckpt_path=last, weights_only=True)
        if trainer.world_size > 1:
            torch.distributed.barrier()
    finally:
        if torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()


def _ended_early(cfg: DictConfig, epochs: int) -> str:
    """Why nothing is trained further."""
    settings = cfg.trainer
    if settings.patience is None:
        return f"a callback ended the training after epoch {epochs} of {settings.max_epochs}"
    return (
        f"early stopping after epoch {epochs} of {settings.max_epochs}: val/{cfg.task.monitor} was not better for "
        f"trainer.patience={settings.patience} epochs, so a larger trainer.max_epochs trains nothing more"
    )


def build(cfg: DictConfig) -> tuple[ArrayData, SupervisedTask]:
    """Data, network and task of a configuration; the data declares the spec that the network is built from.

    Raises:
        UserError: missing or wrong data, a knob out of range, a network that does not fit the data.
    """
    data = build_data(cfg)
    seed_everything(cfg.seed, verbose=False)
    task = build_task(cfg, data.spec)
    task.refuse_settings()
    return data, task


def build_data(cfg: DictConfig) -> ArrayData:
    """The data of a configuration, read.

    Raises:
        UserError: missing or wrong data.
    """
    data: ArrayData = make(
        "task.data",
        cfg.task.data,
        seed=cfg.seed,
        data_root=cfg.data_root,
        steps_per_call=cfg.trainer.steps_per_call,
        steps_per_epoch=cfg.trainer.steps_per_epoch,
        test_every_epoch=cfg.trainer.test_every_epoch,
    )
    data.setup()
    return data


def build_task(cfg: DictConfig, spec: Any) -> SupervisedTask:
    """Network and task of a configuration for data that ``spec`` declares; the weights are drawn from torch's generator.

    Raises:
        UserError: a knob out of range, a network that does not fit the data, a monitor that is not measured.
    """
    net = make("model", cfg.model, spec)
    settings: Any = OmegaConf.to_object(cfg.optim)
    optimization = Optimization(instantiate(cfg.optim.optimizer, _convert_="all"), settings)
    decode = {"decode": OmegaConf.to_container(cfg.task.decode, resolve=True)} if "decode" in cfg.task else {}
    task: SupervisedTask = make("task.module", cfg.task.module, net, spec, optimization=optimization, seed=cfg.seed, **decode)
    make(
        "optim.optimizer", cfg.optim.optimizer, net.parameters(), lr=settings.lr, weight_decay=settings.weight_decay
    )  # refuses its knobs now
    if cfg.task.monitor not in task.measured:
        raise UserError(f"task.monitor={cfg.task.monitor} is not measured: one of {', '.join(task.measured)} is")
    return task


def make(key: str, node: DictConfig, *arguments: Any, **options: Any) -> Any:
    """What ``node._target_`` builds of its knobs and of ``arguments`` and ``options``.

    Raises:
        UserError: a knob of the wrong type, or one that its class refuses.
    """
    try:
        return instantiate(node, _convert_="all")(*arguments, **options)
    except (TypeError, ValueError, RuntimeError, LookupError) as error:
        knobs = ", ".join(f"{name!s}={value}" for name, value in node.items() if name not in ("_target_", "_partial_"))
        raise UserError(f"{key} ({node._target_.rpartition('.')[2]}) cannot be built of its settings ({knobs}): {error}") from error


def warm_start(task: SupervisedTask, source: Path) -> None:
    """Take over the weights of another run's best epoch, the averaged ones where it has them, wherever name and shape agree.

    Raises:
        UserError: no such run, or not one weight fits.
    """
    if not (source / BEST).exists():
        raise UserError(f"warm_start={source}: there is no {BEST} in it; the folder of a run is right")
    checkpoint = load_checkpoint(source / BEST)
    there = checkpoint["state_dict"]
    there |= {name.replace("average.module", "net", 1): value for name, value in there.items() if name.startswith("average.module.")}
    here = task.state_dict()
    fitting = {name: value for name, value in there.items() if name in here and here[name].shape == value.shape}
    if not fitting:
        raise UserError(f"warm_start={source}: none of its weights fits this network")
    task.load_state_dict({**here, **fitting})
    log.info(
        "warm start: %d of %d weights from %s; new: %s", len(fitting), len(here), source, ", ".join(here.keys() - fitting.keys()) or "none"
    )
    theirs, ours = checkpoint["spec"], spec_to_dict(task.spec)
    if others := [what for name, what in NAMED.items() if name in ours and list(ours[name]) != list(theirs.get(name, ()))]:
        log.warning("%s knows other %s: weights of layers that have kept their shape stood for those", source, " and ".join(others))


def score(cfg: DictConfig, experiment: str, folder: Path, trainer: L.Trainer, task: SupervisedTask, data: ArrayData) -> None:
    """Score the test split once, on the best validation epoch, and write what the run has found."""
    best = load_checkpoint(folder / BEST)
    task.load_state_dict(best["state_dict"])
    tester = trainer if trainer.world_size == 1 else single_device(trainer)
    tester.test(task, datamodule=data, verbose=False)
    test = {name.removeprefix("test/"): float(value) for name, value in tester.callback_metrics.items() if name.startswith("test/")}
    predictions = {name: np.asarray(value.cpu() if isinstance(value, torch.Tensor) else value) for name, value in task.predictions.items()}
    with replacing(folder / run_folder.PREDICTIONS) as temporary, open(temporary, "wb") as file:
        np.savez_compressed(file, allow_pickle=False, **predictions)
    result = finish_result(cfg, experiment, folder, trainer, task, data, best, test)
    if trainer.logger:
        write_outcome(trainer.logger, result, run_folder.identity(cfg))
    if cfg.trainer.final_pictures:
        write_final_pictures(folder, trainer.logger, data.spec, predictions, data.splits["test"].inputs, result["epochs"])
    if trainer.logger:
        trainer.logger.finalize("success")
    monitored = f"{result['monitor']} {result['val'][result['monitor']]:.4f}"
    log.info("finished %s: best epoch %d, val %s, test %s", folder, result["best_epoch"] + 1, monitored, shown(test))


def shown(metrics: dict[str, float]) -> str:
    """Metrics on one line, without those of single proteins and the like (``spearman:RBP04``)."""
    return ", ".join(f"{name} {value:.4f}" for name, value in metrics.items() if ":" not in name)


@contextmanager
def logging_to(folder: Path) -> Iterator[None]:
    """Send this package's log to the terminal and to the run's ``log.txt``."""
    package = logging.getLogger("dlhw")
    package.setLevel(logging.WARNING if int(os.environ.get("LOCAL_RANK", 0)) else logging.INFO)  # of several devices the first one tells
    to_file = logging.FileHandler(folder / run_folder.LOG, delay=True)  # made with the first line: a refused run leaves none
    to_file.setFormatter(logging.Formatter("%(asctime)s  %(message)s", "%Y-%m-%d %H:%M:%S"))
    handlers: list[logging.Handler] = [to_file, TerminalLog()]
    for handler in handlers:
        package.addHandler(handler)
    try:
        yield
    finally:
        for handler in handlers:
            package.removeHandler(handler)
            handler.close()
