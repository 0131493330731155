"""One row an epoch: ``metrics.csv``, TensorBoard scalars, a line in the log."""

import logging
import math
from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import Checkpoint

from dlhw.atomic_file import write_text
from dlhw.errors import UserError
from dlhw.run_files import read_metrics
from dlhw.run_folder import METRICS

log = logging.getLogger(__name__)


class Recorder(Checkpoint):
    """Writes the metrics of each epoch. A Checkpoint to Lightning, so that it comes after all that measure.

    A resumed run keeps the rows of the ``epochs`` that are behind it; the file is replaced as a whole, so a kill leaves no half row.

    Raises:
        UserError: those rows are not all there.
    """

    def __init__(self, folder: Path, monitor: str, epochs: int) -> None:
        self.path = folder / METRICS
        self.shown = ("train/loss", "val/loss", f"val/{monitor}", "lr")
        self.rows = _rows(self.path, epochs, {"train/loss", "samples_per_second", f"val/{monitor}"}) if epochs else []

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


def _rows(path: Path, epochs: int, needed: set[str]) -> list[dict[str, float]]:
    rows = read_metrics(path)[:epochs]
    whole = [row for epoch, row in enumerate(rows) if row.get("epoch") == epoch and needed <= row.keys()]
    if len(whole) < epochs:
        raise UserError(
            f"{path} is damaged (it lacks values of the {epochs} epochs that were trained): move the run's folder {path.parent} away "
            "and start it again"
        )
    return rows


def _cell(name: str, value: float | None) -> str:
    if value is None:
        return ""
    return str(int(value)) if name == "epoch" else repr(value) if math.isfinite(value) else str(value)
