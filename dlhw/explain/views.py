"""Where a network looked as it wrote, a matrix a text, kept in files from which a report draws it without the network: no torch.

Legend: T letters, S phones or steps along a line, H height, W width.
"""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from dlhw.atomic_file import replacing

Floats = NDArray[np.floating]
ATTENTION, POSTERIORS = "attention", "posteriors"  # folders of views
GIVEN = "given"  # folder of what was asked for by its words


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


def letter(character: str) -> str:
    """A letter as it can be printed by any font; of rare ones the code point."""
    if character in ("", " "):
        return "(space)" if character else "(nothing)"
    return character if len(character) > 1 or (character.isprintable() and ord(character) < 0x250) else f"U+{ord(character):04X}"


def attention_figure(views: Sequence[View]) -> Figure:
    """One matrix a word: a row is a letter of the answer, a column a phone, dark where the network looked."""
    columns = min(4, len(views))
    rows = -(-len(views) // columns)
    side = max(1.8, 0.15 * max(max(len(view.rows), len(view.columns)) for view in views) + 0.4)  # inches: room for the letters
    figure = Figure(figsize=(side * columns, side * rows + 0.3), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).flatten()
    for axis, view in zip(axes, views, strict=False):
        axis.imshow(view.weights, cmap="Blues", vmin=0, vmax=1, aspect="auto")
        axis.set_xticks(range(len(view.columns)), view.columns)
        axis.set_yticks(range(len(view.rows)), view.rows)
        axis.tick_params(length=0, labelsize=8)
    for axis in axes[len(views) :]:
        axis.axis("off")
    figure.suptitle("Attention: rows are the letters written (- the end), columns the phones", fontsize=10)
    return figure


def over_line_figure(views: Sequence[View]) -> Figure:
    """Each line above its matrix, whose steps stand below the columns that they were made of; all lines to one scale."""
    pictures = [view.picture for view in views if view.picture is not None]
    heights = [part for view in views for part in (1.0, max(1.0, 0.11 * len(view.rows)))]
    longest = max(picture.shape[1] for picture in pictures)
    width = min(12.0, 0.75 * longest / pictures[0].shape[0] + 1.0)  # inches; lines that are not very long keep their shape
    figure = Figure(figsize=(width, 0.75 * sum(heights)), layout="constrained")
    axes = figure.subplots(2 * len(views), 1, squeeze=False, height_ratios=heights)[:, 0]
    for above, below, picture, view in zip(axes[::2], axes[1::2], pictures, views, strict=True):
        above.imshow(picture, cmap="gray", vmin=0, vmax=255, aspect="auto", extent=(0, picture.shape[1], 1, 0))
        above.axis("off")
        extent = (0, picture.shape[1], len(view.rows) - 0.5, -0.5)
        below.imshow(view.weights, cmap="Blues", vmin=0, vmax=1, aspect="auto", extent=extent, interpolation="nearest")
        size = min(8.0, 45 * max(1.0, 0.11 * len(view.rows)) / len(view.rows))  # points: a row's share of the height
        below.set_yticks(range(len(view.rows)), [letter(name) for name in view.rows], fontsize=size, parse_math=False)
        below.set_xticks([])
        above.set_xlim(0, longest)
        below.set_xlim(0, longest)
    return figure
