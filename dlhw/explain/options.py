"""The keys of ``python -m dlhw.explain``."""

import os
from dataclasses import dataclass
from pathlib import Path

from dlhw.errors import UserError
from dlhw.options import Tool
from dlhw.run_folder import EXPLAINED

TOOL = Tool(
    "dlhw.explain",
    "python -m dlhw.explain run=outputs/rbp/rbp_cnn/seed-0 [output=FOLDER] [data_root=data] [device=auto] [KEY=VALUE ...]",
    ("run",),
)


@dataclass(frozen=True)
class Options:
    """The keys that every kind of run takes; a module with more of them extends this class."""

    run: Path
    output: Path | None = None  # folder of what is written; None: explain/ in the run's folder
    data_root: str = os.environ.get("DLHW_DATA", "data")  # folder of data sets, as for train.py
    device: str = "auto"  # auto | cpu | cuda | cuda:1 | mps
    batch_size: int = 1024  # samples at once; changes the speed only

    def __post_init__(self) -> None:
        if self.batch_size < 1:
            raise UserError(f"batch_size={self.batch_size} is out of range: at least 1")
        if self.folder.exists() and not self.folder.is_dir():
            raise UserError(f"output={self.output} is a file: the name of a folder is right")

    @property
    def folder(self) -> Path:
        """Where everything is written."""
        return self.output or self.run / EXPLAINED
