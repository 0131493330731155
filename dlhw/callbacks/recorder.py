"""One row an epoch: ``metrics.csv``, TensorBoard scalars, a line in the log."""

import csv
import logging
import math
from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import Checkpoint

from dlhw.atomic_file import write_text
from dlhw.run_folder import METRICS

log = logging.getLogger(__name__)


def read_metrics(path: Path) -> list[dict[str, float]]:
    """The rows of a ``metrics.csv``; no rows where there is no file."""
    if not path.exists():
        return []
    with open(path, newline="") as file:
        return [{name: float(value) for name, value in row.items() if value} for row in csv.DictReader(file)]


class Recorder(Checkpoint):
    """Writes the metrics of each epoch. A Checkpoint to Lightning, so that it comes after all that measure.

    Rows of epochs that a resumed run trains again are dropped at its start, and the file is replaced as a whole, so a kill leaves
    no half row.
    """

    def __init__(self, folder: Path, monitor: str) -> None:
        self.path = folder / METRICS
        self.shown = ("train/loss", "val/loss", f"val/{monitor}", "lr")
        self.rows: list[dict[str, float]] = []

    def on_train_start(self, trainer: L.Trainer, pl_module: Any) -> None:
        self.rows = [row for row in read_metrics(self.path) if row["epoch"] < pl_module.epoch]

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: Any) -> None:
        if not trainer.is_global_zero:
            return
        values = {name: float(value) for name, value in sorted(trainer.callback_metrics.items())}
        self.rows.append({"epoch": trainer.current_epoch, **values})
        names = list(dict.fromkeys(name for row in self.rows for name in row))
        lines = [",".join(names), *(",".join(_cell(name, row.get(name)) for name in names) for row in self.rows)]
        write_text(self.path, "\n".join(lines) + "\n")
        if trainer.logger:
            trainer.logger.log_metrics({f"epoch/{name}": value for name, value in values.items()}, step=trainer.current_epoch)
        shown = "  ".join(f"{name} {value:.4g}" for name, value in values.items() if name in self.shown)
        log.info("epoch %d/%d  %s", trainer.current_epoch + 1, trainer.max_epochs, shown)


def _cell(name: str, value: float | None) -> str:
    if value is None:
        return ""
    return str(int(value)) if name == "epoch" else repr(value) if math.isfinite(value) else str(value)
