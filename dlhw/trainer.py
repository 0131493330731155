"""Lightning's Trainer, built from the configuration: device, precision, logger, callbacks."""

import os
import sys
import warnings
from pathlib import Path
from typing import Any

import lightning as L
import torch
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from lightning.pytorch.callbacks import Callback, EarlyStopping
from lightning.pytorch.utilities.exceptions import MisconfigurationException
from omegaconf import DictConfig

from dlhw.callbacks.checkpoints import Checkpoints, Signals
from dlhw.callbacks.progress_bar import ProgressBar
from dlhw.callbacks.recorder import Recorder
from dlhw.checkpoint_file import SafeCheckpointIO
from dlhw.config import direction
from dlhw.errors import UserError
from dlhw.hardware import computes_bf16
from dlhw.run_logger import RunLogger

# Callbacks that cannot work here, where the training steps itself and the weights keep their names, and what can instead.
UNFIT = {
    "LearningRateFinder": "sweep optim.lr",
    "BatchSizeFinder": "sweep task.data.batch_size",
    "BackboneFinetuning": "warm_start=RUN trains all weights on",
    "ModelPruning": "a smaller network does it",
    "GradientAccumulationScheduler": "optim.accumulate does it",
    "StochasticWeightAveraging": "optim.ema does it",
    "WeightAveraging": "optim.ema does it",
    "EMAWeightAveraging": "optim.ema does it",
}

# Remarks of Lightning that are about what is meant to be so here.
SILENCED = (
    ".*does not have many workers.*",
    ".*The number of training batches.*",
    ".*You are using `torch.load`.*",
    ".*exists and is not empty.*",
    ".*Trying to infer the `batch_size`.*",
    ".*isinstance.treespec, LeafSpec.*",
    ".*sync_dist=True.*",
    ".*Grad strides do not match bucket view strides.*",
)


def build_trainer(cfg: DictConfig, folder: Path, signals: Signals, epochs: int) -> L.Trainer:
    """The Trainer of one run, which writes into ``folder``.

    ``epochs`` are behind a resumed run: what it has recorded of later ones is dropped.

    Raises:
        UserError: a device, strategy or precision that is not to be had here; records that are damaged.
    """
    settings, monitor, mode = cfg.trainer, cfg.task.monitor, direction(cfg.task.monitor)
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]  # nothing here reads memory that it has not written
    for message in SILENCED:
        warnings.filterwarnings("ignore", message)
    on_terminal = sys.stderr.isatty() if settings.progress_bar is None else settings.progress_bar
    callbacks: list[Callback] = [_callback(name, callback) for name, callback in settings.callbacks.items()]
    if settings.patience is not None:
        callbacks.append(EarlyStopping(f"val/{monitor}", settings.min_delta, settings.patience, mode=mode, check_finite=False))
    if on_terminal:
        callbacks.append(ProgressBar())
    callbacks += [Recorder(folder, monitor, epochs), Checkpoints(folder, monitor, mode, signals)]
    logger = RunLogger(folder, name="", version="tensorboard", purge_step=epochs)
    try:
        trainer = L.Trainer(
            accelerator=settings.accelerator,
            devices=settings.devices,
            strategy=settings.strategy,
            precision=_precision(cfg),
            deterministic="warn" if settings.deterministic else False,
            max_epochs=settings.max_epochs,
            logger=logger,
            callbacks=callbacks,
            plugins=[SafeCheckpointIO()],
            enable_progress_bar=on_terminal,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            use_distributed_sampler=False,
            default_root_dir=folder,
        )
    except (MisconfigurationException, RuntimeError, TypeError, ValueError, ModuleNotFoundError) as error:
        raise UserError(
            f"trainer.accelerator={settings.accelerator}, devices={settings.devices}, strategy={settings.strategy}: {error}"
        ) from None
    cores = os.cpu_count() or 1
    if trainer.strategy.root_device.type == "cpu" and trainer.num_devices > cores:
        raise UserError(
            f"trainer.devices={settings.devices}: this machine has {cores} cores, so at most {cores} processes on the CPU make sense"
        )
    return trainer


def _callback(name: str, settings: DictConfig) -> Callback:
    try:
        callback = instantiate(settings, _convert_="all")
    except InstantiationException as error:
        raise UserError(f"trainer.callbacks.{name}: {error.__cause__ or error}") from None
    kind = type(callback).__name__
    if not isinstance(callback, Callback):
        raise UserError(f"trainer.callbacks.{name}: {kind} is no callback of Lightning")
    if kind in UNFIT:
        raise UserError(f"trainer.callbacks.{name}: {kind} needs Lightning's own steps and weights, which are not used here; {UNFIT[kind]}")
    return callback


def single_device(trainer: L.Trainer) -> L.Trainer:
    """A Trainer on this process's device alone, to score the test split after a training on several."""
    device = trainer.strategy.root_device
    return L.Trainer(
        accelerator=device.type,
        devices=[device.index] if device.type == "cuda" else 1,
        precision=trainer.precision,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )


def _precision(cfg: DictConfig) -> Any:
    settings = cfg.trainer
    kind = settings.accelerator
    if kind in ("auto", "gpu") and torch.cuda.is_available():
        kind = "cuda"
    elif kind in ("auto", "gpu", "mps") and torch.backends.mps.is_available():
        kind = "mps"
    elif kind == "auto":
        kind = "cpu"
    if settings.precision == "16-mixed" and kind == "cpu":
        raise UserError("trainer.precision=16-mixed is for GPUs: bf16-mixed or 32-true is right on a CPU")
    if settings.precision != "auto":
        return settings.precision
    return "bf16-mixed" if kind in ("cpu", "cuda") and computes_bf16(torch.device(kind)) else "32-true"
