"""Figures, as functions of plain arrays: no torch, and nothing of pyplot's global state, so a figure is gone once nobody holds it.

Colours can be told apart by the colour-blind, and no figure says by colour alone what it says.
"""

from collections.abc import Sequence
from itertools import cycle, product
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from dlhw.predictions import average_precision, precision_recall

# Okabe and Ito (2008), without the yellow, which is too pale on white.
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#000000")
LINES = ("-", "--", ":", "-.")
WRONG = "#B34700"  # the vermilion of the palette, darker, for text
MOST_CELLS_WITH_TEXT = 20  # classes; above, the numbers of a confusion matrix cannot be read
LONGEST_NAME = 26  # characters


def confusion_figure(counts: NDArray[np.integer], classes: Sequence[str], title: str = "", cell: float = 0.55) -> Figure:
    """A confusion matrix: colour and percentage are shares of the true class (row), the number below is the count.

    ``counts`` is (K, K), rows the true class; the figure grows with K, ``cell`` inches each, and small ones hold the percentage alone.
    Colour is the square root of the share, so that rare errors show.
    """
    k, names = len(classes), [shortened(name) for name in classes]
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    side, label = min(max(cell * k + 0.6, 2.4), 13.0), _inches(names)
    figure, axes = _figure(left=label + 0.45, bottom=0.75 * label + 0.5, width=side, height=side, right=0.3)
    axes.imshow(np.sqrt(shares), cmap="Blues", vmin=0, vmax=1.1)  # the darkest blues are left out, for the white text
    size = 9 if k <= MOST_CELLS_WITH_TEXT else 6
    axes.set_xticks(range(k), names, rotation=45, ha="right", rotation_mode="anchor", fontsize=size)
    axes.set_yticks(range(k), names, fontsize=size)
    axes.tick_params(length=0)
    axes.set_title(title, fontsize=11)
    axes.set_xlabel("predicted", weight="bold")
    axes.set_ylabel("true", weight="bold")
    if k <= MOST_CELLS_WITH_TEXT:
        for row, column in zip(*np.nonzero(counts), strict=True):
            share = shares[row, column]
            text = f"{100 * share:.1f}%\n{counts[row, column]}" if cell > 0.5 else f"{100 * share:.1f}".removesuffix(".0")
            axes.text(column, row, text, ha="center", va="center", fontsize=8, color="white" if share > 0.35 else "black")
    return figure


def precision_recall_figure(true: NDArray[np.bool_], scores: NDArray[np.floating], classes: Sequence[str], title: str = "") -> Figure:
    """Precision over recall, each class against the rest, with its average precision and number of samples.

    ``true`` and ``scores`` are (N, K). A class without a true sample has no curve, and the legend says so.
    """
    names = [shortened(name) for name in classes]
    height = max(4.2, 0.21 * len(names))
    figure, axes = _figure(left=0.6, bottom=0.55, width=5.0, height=height, right=_inches(names) + 2.0)
    styles = cycle((colour, line) for line, colour in product(LINES, COLOURS))
    for name, of_class, score, (colour, line) in zip(names, true.T, scores.T, styles, strict=False):
        x, y, label = np.empty(0), np.empty(0), f"no sample  {name}"
        if of_class.any():
            precision, recall = precision_recall(of_class, score)
            gains = np.diff(recall, prepend=0.0) > 0  # the steps that average precision counts; the others only draw spikes
            x, y = np.append(0.0, recall[gains]), np.append(precision[gains][0], precision[gains])
            label = f"AP {average_precision(precision, recall):.3f}  {name} ({of_class.sum()})"
        axes.plot(x, y, drawstyle="steps-pre", color=colour, linestyle=line, linewidth=1.6, label=label)
    axes.set(xlabel="recall", ylabel="precision", xlim=(0, 1.01), ylim=(0, 1.02))
    axes.set_title(title, fontsize=11)
    axes.grid(alpha=0.3)
    axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1.02), fontsize=9, frameon=False)
    return figure


def pictures_figure(
    pictures: NDArray[np.uint8], captions: Sequence[str], marked: Sequence[bool] | None = None, columns: int = 4, title: str = ""
) -> Figure:
    """A grid of pictures with a caption (up to two lines) above each; the captions of ``marked`` ones are coloured.

    ``pictures`` is (N, H, W, C), C 1 or 3. One pair of axes holds them all: a pair each takes three times as long to draw.
    """
    n, height, width, _ = pictures.shape
    ratio, rows = height / width, -(-n // columns)
    gap, text = 0.12, 0.3  # between the columns, and room for a caption; the unit is the width of a picture
    pitch = ratio + text
    across = columns * (1 + gap) - gap
    inches = 1.8  # a picture's width
    figure = Figure(figsize=(inches * (across + 0.2), inches * rows * pitch + 0.5))
    figure.suptitle(title, y=1 - 0.12 / figure.get_figheight(), va="top", fontsize=12)
    axes = figure.add_axes((0.0, 0.0, 1.0, 1 - 0.4 / figure.get_figheight()))
    axes.axis("off")
    for place, (picture, caption) in enumerate(zip(pictures, captions, strict=True)):
        left, top = place % columns * (1 + gap), place // columns * pitch + text
        axes.imshow(picture, cmap="gray", vmin=0, vmax=255, extent=(left, left + 1, top + ratio, top), interpolation="nearest")
        colour = WRONG if marked is not None and marked[place] else "black"
        axes.text(left + 0.5, top - 0.04, caption, ha="center", va="bottom", fontsize=8.5, color=colour)
    axes.set(xlim=(-0.1, across + 0.1), ylim=(rows * pitch + 0.03, 0.0), aspect="equal")
    return figure


def stored_figure(path: Path, dpi: int = 100) -> Figure:
    """A picture in a file, pixel for pixel, as a figure."""
    with Image.open(path) as file:
        pixels = np.asarray(file)
    figure = Figure(figsize=(pixels.shape[1] / dpi, pixels.shape[0] / dpi), dpi=dpi)
    axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    axes.imshow(pixels, cmap="gray", aspect="auto", interpolation="nearest")
    axes.axis("off")
    return figure


def _figure(*, left: float, bottom: float, width: float, height: float, right: float) -> tuple[Figure, Axes]:
    """A figure with one pair of axes, in inches; matplotlib's own layout engines double the time of drawing."""
    whole, tall = left + width + right, bottom + height + 0.4
    figure = Figure(figsize=(whole, tall))
    return figure, figure.add_axes((left / whole, bottom / tall, width / whole, height / tall))


def _inches(names: Sequence[str]) -> float:
    """About the width of the longest name, at 9 points."""
    return 0.085 * max(map(len, names)) + 0.1


def shortened(name: str, longest: int = LONGEST_NAME) -> str:
    """``name``, cut to ``longest`` characters with an ellipsis."""
    return name if len(name) <= longest else name[: longest - 1].rstrip(" ,(") + "…"


def rendered(figure: Figure, dpi: int = 100) -> NDArray[np.uint8]:
    """The pixels of a figure: uint8 (H, W, 3)."""
    figure.set_dpi(dpi)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()
