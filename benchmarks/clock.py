"""Samples per second of a training, in a loop of its own or in Lightning's Trainer."""

import logging
import time
import warnings
from typing import Any

import lightning as L
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from omegaconf import DictConfig

from dlhw.config import CONF

WARM_UP = 16  # steps that are not timed


def composed(*overrides: str) -> DictConfig:
    """The configuration of a command line."""
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose("config", [*overrides])


class Clock:
    """Counts samples after the warm-up until the time is up."""

    def __init__(self, seconds: float) -> None:
        self.seconds, self.steps, self.samples, self.begin = seconds, 0, 0, 0.0

    def tick(self, samples: int, steps: int = 1) -> bool:
        """Count a step; whether the time is up."""
        self.steps += steps
        if self.steps <= WARM_UP:
            self.begin = time.perf_counter()
            return False
        self.samples += samples
        return time.perf_counter() - self.begin > self.seconds

    @property
    def rate(self) -> float:
        """Samples per second."""
        return self.samples / (time.perf_counter() - self.begin)


class StopAfter(L.Callback):
    """Ends a training when the time is up."""

    def __init__(self, seconds: float, steps_per_call: int = 1) -> None:
        self.clock, self.steps = Clock(seconds), steps_per_call

    def on_train_batch_end(self, trainer: L.Trainer, module: Any, outputs: Any, batch: Any, index: int) -> None:
        samples = sum(len(part[1]) for part in batch) if isinstance(batch[0], tuple) else len(batch[1])
        if self.clock.tick(samples, self.steps):
            trainer.should_stop = True


def trainer(precision: Any, callbacks: list[Any], logger: Any = False) -> L.Trainer:
    """One that does nothing beside the training but what it is given."""
    warnings.filterwarnings("ignore")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    return L.Trainer(
        accelerator="cpu",
        devices=1,
        precision=precision,
        max_epochs=1000,
        logger=logger,
        callbacks=callbacks,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
    )


def rate_in_trainer(task: L.LightningModule, data: Any, precision: str, seconds: float) -> float:
    """Samples per second of a task on a datamodule, as train.py trains it."""
    timer = StopAfter(seconds, data.steps_per_call)
    trainer(precision, [timer]).fit(task, train_dataloaders=data.train_dataloader())
    return timer.clock.rate
