"""The progress bar of a terminal, and log lines that do not tear it."""

import logging
import sys
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import TQDMProgressBar
from tqdm import tqdm

from dlhw.command import nobody_reads_on


class ProgressBar(TQDMProgressBar):
    """Lightning's bar, without the version number of a logger that has none, and ended by a new line when a run is stopped."""

    def get_metrics(self, trainer: L.Trainer, pl_module: L.LightningModule) -> dict[str, Any]:
        return {name: value for name, value in super().get_metrics(trainer, pl_module).items() if name != "v_num"}

    def on_exception(self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException) -> None:
        for bar in (self._train_progress_bar, self._val_progress_bar):
            if bar is not None:
                bar.close()


class TerminalLog(logging.Handler):
    """Writes log lines to the standard output, above a progress bar where there is one."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            tqdm.write(self.format(record), file=sys.stdout)
            sys.stdout.flush()
        except BrokenPipeError:  # the training goes on: log.txt has every line
            nobody_reads_on()
