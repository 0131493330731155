"""Where a network looked as it wrote, a matrix a text, kept in files from which a report draws it without the network: no torch.

Legend: T letters, S phones or steps along a line, H height, W width.
"""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dlhw.atomic_file import replacing

Floats = NDArray[np.floating]


@dataclass(frozen=True)
class View:
    """A matrix ``weights`` (T, S), 0 to 1, with the names of its rows and columns; of a line its ``picture``, uint8 (H, W)."""

    weights: Floats
    rows: Sequence[str]
    columns: Sequence[str]
    picture: NDArray[np.uint8] | None = None


def write_table(path: Path, header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Write a CSV."""
    with replacing(path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(header)
        table.writerows(rows)


def write_views(folder: Path, views: Sequence[View]) -> None:
    """Write ``1.csv`` and so on in the place of those that are there, beside each its ``1.png`` where it has a picture."""
    for path in [*folder.glob("*.csv"), *folder.glob("*.png")]:
        path.unlink()
    for number, view in enumerate(views, 1):
        values = [[name, *(f"{weight:.4f}" for weight in row)] for name, row in zip(view.rows, view.weights, strict=True)]
        write_table(folder / f"{number}.csv", ["", *view.columns], values)
        if view.picture is not None:
            with replacing(folder / f"{number}.png") as temporary:
                Image.fromarray(view.picture).save(temporary, "png")


def read_views(folder: Path) -> list[View]:
    """The inverse of :func:`write_views`; empty where there is no such folder. Weights keep four digits."""
    views = []
    for path in sorted(folder.glob("*.csv"), key=lambda path: int(path.stem)):
        with open(path, newline="", encoding="utf-8") as file:
            header, *lines = csv.reader(file)
        picture = path.with_suffix(".png")
        views.append(
            View(
                np.array([line[1:] for line in lines], np.float32),
                [line[0] for line in lines],
                header[1:],
                np.asarray(Image.open(picture)) if picture.exists() else None,
            )
        )
    return views
