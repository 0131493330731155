"""The keys of ``predict.py``."""

from dataclasses import dataclass
from pathlib import Path

from dlhw.errors import UserError
from dlhw.options import Tool

TOOL = Tool(
    "dlhw.predict",
    "python predict.py run=outputs/digits/cnn_pool/seed-0 input=FILE_OR_FOLDER [output=predictions.csv] [device=auto] [batch_size=256]",
    ("run", "input"),
)


@dataclass(frozen=True)
class Options:
    """The keys that every kind of input takes; a module with more of them extends this class."""

    run: Path
    input: str  # a file, a folder, or where the kind of input allows it, the input itself
    output: Path = Path("predictions.csv")
    device: str = "auto"  # auto | cpu | cuda | cuda:1 | mps
    batch_size: int = 256  # samples at once; changes the speed only

    def __post_init__(self) -> None:
        if self.batch_size < 1:
            raise UserError(f"batch_size={self.batch_size} is out of range: at least 1")
        if self.output.is_dir() or self.output.resolve() == Path(self.input).resolve():
            raise UserError(f"output={self.output} would replace the input or a folder: the name of another file is right")
