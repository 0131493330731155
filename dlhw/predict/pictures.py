"""What a trained network says about pictures: a file, a folder or an archive in, a CSV out.

Legend: B batch, H height, W width, C channels, K classes or labels.
"""

import csv
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from dlhw.atomic_file import replacing
from dlhw.data.picture_files import FORMATS, Files, decode, open_files, reason
from dlhw.errors import UserError
from dlhw.predict.options import Options
from dlhw.specs import ImageSpec

if TYPE_CHECKING:
    from dlhw.tasks.classify import Classification


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
    from dlhw.results import load_run

    path = Path(options.input)
    with open_input(path) as files:
        own = options.output.resolve()  # of an earlier call, perhaps in the same folder
        names = [name for name in files.files if (files.path / name).resolve() != own]
        if not names:
            raise UserError(f"input={path} holds no files: pictures of type {', '.join(FORMATS)} are right")
        written = 0
        with replacing(options.output) as temporary, open(temporary, "w", newline="", encoding="utf-8", errors="surrogateescape") as file:
            run = load_run(options.run, options.device)
            task: Classification = run.task  # type: ignore[assignment]  # what a run on an ImageSpec holds
            table = csv.writer(file)
            table.writerow(["file", "class", "probability", *run.spec.classes])
            for kept, pictures in read_pictures(files, names, run.spec, options.batch_size):
                for name, row in zip(kept, probabilities(task, pictures), strict=True):
                    table.writerow([name, *answer(row, run.spec), *(f"{p:.7g}" for p in row)])
                written += len(kept)
            if not written:
                raise UserError(f"input={path}: no file is readable as a picture, so nothing was written")
    print(f"{options.output}: {written} of {len(names)} files")
    return written == len(names)
