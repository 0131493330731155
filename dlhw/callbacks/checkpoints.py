"""When checkpoints are written: the best epoch, the last state, and the state in which a signal found the run."""

import math
import signal
import time
from pathlib import Path
from types import FrameType
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import Checkpoint

from dlhw.errors import Stopped
from dlhw.run_folder import BEST, LAST

COST = 0.02  # share of the time that may go into last.ckpt
LONGEST = 600.0  # seconds of training that a kill may lose


class Signals:
    """Notes the first SIGTERM or Ctrl-C instead of ending the process; the second ends it at once.

    One that came too late to stop the training is told of at the end, so that it ends a sweep.
    """

    def __init__(self) -> None:
        self.signum: int | None = None
        self._before: dict[int, Any] = {}

    def __enter__(self) -> "Signals":
        self._before = {signum: signal.getsignal(signum) for signum in (signal.SIGTERM, signal.SIGINT)}
        self.listen()
        return self

    def listen(self) -> None:
        """Take the signals over, also from Lightning, which at the start of a loop puts a handler before this one that would end the
        process with status 0, or wait for devices that know of no signal."""
        for signum in self._before:
            signal.signal(signum, self._note)

    def _note(self, signum: int, frame: FrameType | None) -> None:
        if self.signum is not None:
            raise SystemExit(128 + signum)
        self.signum = signum

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        for signum, handler in self._before.items():
            signal.signal(signum, handler)
        told = isinstance(error, Stopped) or (isinstance(error, SystemExit) and error.code)  # Lightning's SystemExit has no code
        if self.signum is not None and not told:
            how = f", after the run had failed: {error}" if isinstance(error, Exception) else "; the same command goes on from there"
            raise Stopped(self.signum, f"stopped by {signal.Signals(self.signum).name}{how}")


class Checkpoints(Checkpoint):
    """Writes ``best.ckpt`` (weights of the best epoch) and ``last.ckpt`` (everything that a resumed run needs).

    ``last.ckpt`` is written after an epoch if it costs less than 2 % of the time since it was last written, after ten minutes in any case
    also amid an epoch, and when a signal stops the run. Ties of the monitored metric keep the earlier epoch; a NaN is never the best.
    """

    def __init__(self, folder: Path, monitor: str, mode: str, signals: Signals) -> None:
        self.folder, self.monitor, self.sign, self.signals = folder, f"val/{monitor}", 1.0 if mode == "max" else -1.0, signals
        self.best_epoch, self.best_value = -1, -float("inf")
        self._written_at, self._cost = time.monotonic(), 0.0

    def state_dict(self) -> dict[str, Any]:
        return {"best_epoch": self.best_epoch, "best_value": self.best_value}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.best_epoch, self.best_value = state_dict["best_epoch"], state_dict["best_value"]

    def on_fit_start(self, trainer: L.Trainer, pl_module: Any) -> None:
        if trainer.world_size == 1:  # several devices can stop between two calls only: within one, each waits for the others' gradients
            pl_module.asked_to_stop = lambda: self.signals.signum is not None
        self._written_at = time.monotonic()

    def on_train_start(self, trainer: L.Trainer, pl_module: Any) -> None:
        self.signals.listen()

    def on_test_start(self, trainer: L.Trainer, pl_module: Any) -> None:
        self.signals.listen()

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        self._write_or_stop(trainer, pl_module, due=time.monotonic() - self._written_at > LONGEST)

    def on_validation_batch_end(self, trainer: L.Trainer, pl_module: Any, *arguments: Any) -> None:
        if trainer.world_size == 1:  # several devices may have different numbers of validation batches, so they stop at the epoch's end
            self._write_or_stop(trainer, pl_module, due=False)

    def on_test_batch_end(self, *arguments: Any) -> None:
        if self.signals.signum is not None:
            raise self._stopped(self.signals.signum, "while the test split was scored")

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: Any) -> None:
        value = self.sign * float(trainer.callback_metrics[self.monitor])
        if value > self.best_value or self.best_epoch < 0:
            self.best_epoch, self.best_value = trainer.current_epoch, -math.inf if math.isnan(value) else value
            trainer.save_checkpoint(self.folder / BEST, weights_only=True)
        cheap = (time.monotonic() - self._written_at) * COST > self._cost
        self._write_or_stop(trainer, pl_module, due=cheap or trainer.should_stop)

    def on_train_end(self, trainer: L.Trainer, pl_module: Any) -> None:
        self._write_last(trainer)

    def _write_last(self, trainer: L.Trainer) -> None:
        begin = time.monotonic()
        trainer.save_checkpoint(self.folder / LAST, weights_only=False)
        self._written_at = time.monotonic()
        self._cost = self._written_at - begin

    def _write_or_stop(self, trainer: L.Trainer, pl_module: Any, due: bool) -> None:
        """Write ``last.ckpt`` if it is due or a signal has come, on all devices at the same place."""
        signum = self.signals.signum or 0
        if trainer.world_size > 1:
            flags = torch.tensor([signum, due], device=trainer.strategy.root_device)
            signum, due = trainer.strategy.reduce(flags, reduce_op="max").tolist()
        if signum or due:
            self._write_last(trainer)
        if signum:
            raise self._stopped(signum, f"in epoch {pl_module.epoch + 1}, after step {pl_module.step}")

    def _stopped(self, signum: int, where: str) -> Stopped:
        return Stopped(signum, f"stopped by {signal.Signals(signum).name} {where}; the same command goes on from there: {self.folder}")
