"""What a trained network says about pictures: a file, a folder or an archive in, a CSV out.

Legend: B batch, H height, W width, C channels, K classes or labels.
"""

import csv
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from dlhw.atomic_file import replacing
from dlhw.data.picture_files import FORMATS, Files, decode, open_files, reason
from dlhw.errors import UserError
from dlhw.specs import ImageSpec

if TYPE_CHECKING:
    from dlhw.tasks.classify import Classification

USAGE = "python predict.py run=outputs/digits/cnn_pool/seed-0 input=FILE_OR_FOLDER [output=predictions.csv] [device=auto] [batch_size=256]"
TYPES: dict[str, Callable[[str], Any]] = {"run": Path, "input": Path, "output": Path, "device": str, "batch_size": int}


@dataclass(frozen=True)
class Options:
    """The keys of the command line."""

    run: Path
    input: Path  # a picture, or a folder, .zip or .tar of them
    output: Path = Path("predictions.csv")
    device: str = "auto"  # auto | cpu | cuda | cuda:1 | mps
    batch_size: int = 256  # pictures at once; changes the speed only


def parse(arguments: list[str]) -> Options:
    """``key=value`` arguments as options.

    Raises:
        UserError: an unknown or missing key, a value out of range.
    """
    given: dict[str, Any] = {}
    for argument in arguments:
        key, _, value = argument.partition("=")
        if key not in TYPES or not value:
            raise UserError(f"{argument} is not understood: the keys are {', '.join(f'{name}=' for name in TYPES)}, as in {USAGE}")
        try:
            given[key] = TYPES[key](value)
        except ValueError:
            raise UserError(f"{argument} is out of range: a whole number is right") from None
    if missing := [f"{name}=" for name in ("run", "input") if name not in given]:
        raise UserError(f"{' and '.join(missing)} must be given, as in {USAGE}")
    options = Options(**given)
    if options.batch_size < 1:
        raise UserError(f"batch_size={options.batch_size} is out of range: at least 1")
    return options


def open_input(path: Path) -> AbstractContextManager[Files]:
    """The files of a folder, .zip or .tar, or one picture.

    Raises:
        UserError: nothing there.
    """
    if not path.exists():
        raise UserError(f"input={path} is missing: a picture, or a folder, .zip or .tar of pictures is right")
    if path.is_dir() or path.suffix.lower() in (".zip", ".tar"):
        return open_files(path)
    return nullcontext(Files(path, "", (path.name,), frozenset(), lambda name: path.read_bytes()))


def probabilities(task: "Classification", pictures: np.ndarray) -> np.ndarray:
    """uint8 (B, H, W, C) -> float64 (B, K): rows sum to 1, but for multi-label sets."""
    import torch

    with torch.inference_mode():
        x = task.normalized(torch.from_numpy(pictures).to(task.device))
        return task.probabilities(task.evaluated(x).cpu().double()).numpy()


def read_pictures(files: Files, names: list[str], spec: ImageSpec, batch_size: int) -> Iterator[tuple[list[str], np.ndarray]]:
    """Names and pictures, uint8 (B, H, W, C), of ``batch_size`` files at a time; what is no picture is named on stderr."""

    def read(name: str) -> tuple[np.ndarray | None, str | tuple[int, int]]:
        try:
            data = files.read(name)
            return decode(data, spec.height, spec.channels), Image.open(BytesIO(data), formats=FORMATS).size
        except Exception as error:  # whatever a decoder raises on foreign bytes
            return None, reason(error)

    stretched = False
    with ThreadPoolExecutor() as pool:
        for begin in range(0, len(names), batch_size):
            kept, pictures = [], []
            for name, (picture, about) in zip(names[begin:], pool.map(read, names[begin : begin + batch_size]), strict=False):
                if picture is None:
                    print(f"error: {name} is not readable as a picture ({about}); left out", file=sys.stderr)
                    continue
                if about != (spec.width, spec.height) and not stretched:
                    stretched = True
                    print(f"{name} and others of another size are stretched to {spec.width}x{spec.height} (bilinear)", file=sys.stderr)
                kept.append(name)
                pictures.append(picture)
            if kept:
                yield kept, np.stack(pictures)


def answer(row: np.ndarray, spec: ImageSpec) -> tuple[str, str]:
    """Class and probability: the most likely class, or every label above 0.5, joined by ``;``."""
    best = np.flatnonzero(row > 0.5) if spec.labels == "multi-label" else [row.argmax()]
    return ";".join(spec.classes[k] for k in best), ";".join(f"{row[k]:.7g}" for k in best)


def predict(options: Options) -> bool:
    """Write the CSV; returns whether every file was a picture.

    Raises:
        UserError: no finished run, missing input, not one picture, an output that cannot be written.
    """
    from dlhw.results import load_run  # imports pandas: only once the keys are right

    if options.output.is_dir() or options.output.resolve() == options.input.resolve():
        raise UserError(f"output={options.output} would replace the input or a folder: the name of another file is right")
    with open_input(options.input) as files:
        own = options.output.resolve()  # of an earlier call, perhaps in the same folder
        names = [name for name in files.files if (files.path / name).resolve() != own]
        if not names:
            raise UserError(f"input={options.input} holds no files: pictures of type {', '.join(FORMATS)} are right")
        written = 0
        with replacing(options.output) as temporary, open(temporary, "w", newline="", encoding="utf-8", errors="surrogateescape") as file:
            run = load_run(options.run, options.device)
            from dlhw.tasks.classify import Classification

            task, spec = run.task, run.spec
            if not isinstance(task, Classification):
                raise UserError(f"run={options.run} is of {type(task).__name__}: a run that classifies pictures is right")
            table = csv.writer(file)
            table.writerow(["file", "class", "probability", *spec.classes])
            for kept, pictures in read_pictures(files, names, spec, options.batch_size):
                for name, row in zip(kept, probabilities(task, pictures), strict=True):
                    table.writerow([name, *answer(row, spec), *(f"{p:.7g}" for p in row)])
                written += len(kept)
            if not written:
                raise UserError(f"input={options.input}: no file is readable as a picture, so nothing was written")
    print(f"{options.output}: {written} of {len(names)} files")
    return written == len(names)


def main(arguments: list[str]) -> int:
    if arguments in (["-h"], ["--help"]):
        print(USAGE)
        return 0
    return 0 if predict(parse(arguments)) else 1
