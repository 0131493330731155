"""Curves over the epochs as SVG: the mean over the seeds of a setting, and a band from the smallest to the largest."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from html import escape
from io import StringIO
from pathlib import Path
from typing import Any

import matplotlib as mpl
import matplotlib.style
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

Curves = Sequence[Sequence[float]]  # one curve per seed, one value per epoch


def style() -> AbstractContextManager[None]:
    """The look of all figures, inside a ``with``."""
    return mpl.style.context(Path(__file__).parent / "style.mplstyle")


@contextmanager
def saving() -> Iterator[None]:
    """The settings under which figures are written; where matplotlib had put them back it would lay out a figure that has no layout."""
    with style(), mpl.rc_context({"figure.constrained_layout.use": False}):
        yield


def plot(settings: Mapping[str, Curves], ylabel: str, floors: Mapping[str, float] | None = None) -> Figure:
    """One panel over the epochs: a line and a band for each setting, in the order and with the looks of :func:`legend`.

    Args:
        settings: name of a setting -> its curves; drawn up to the last epoch that all of them have. A setting may have none.
        ylabel: what is drawn, with its unit.
        floors: text -> value of a level that theory forbids to go below.
    """
    with style():
        figure = Figure()
        _draw(figure.add_subplot(), settings, ylabel, floors or {})
        return figure


def panels(parts: Sequence[tuple[str, Mapping[str, Curves]]], floors: Mapping[str, float] | None = None) -> Figure:
    """Panels side by side, four in two rows, each with its axis label and its settings as in :func:`plot`, and one legend below.

    ``floors`` are those of the first panel.
    """
    with style():
        names = list(dict.fromkeys(name for _, settings in parts for name in settings))
        lines = -(-len(names) // 2)
        across = len(parts) if len(parts) < 4 else 2
        down = -(-len(parts) // across)
        figure = Figure(figsize=(3.6 * across, 2.9 * down + 0.2 * lines))
        axes = figure.subplots(down, across, squeeze=False).ravel()
        for panel, (ylabel, settings) in enumerate(parts):
            _draw(axes[panel], settings, ylabel, (floors or {}) if panel == 0 else {})
        handles = [Line2D([], [], label=name, **looks) for looks, name in zip(_looks(), names, strict=False)]
        figure.legend(handles=handles, loc="outside lower center", ncols=2)
        return figure


def _draw(axes: Axes, settings: Mapping[str, Curves], ylabel: str, floors: Mapping[str, float]) -> None:
    for looks, curves in zip(_looks(), settings.values(), strict=False):
        epochs = min(map(len, curves), default=0)
        if epochs == 0:
            continue
        values = np.array([curve[:epochs] for curve in curves])  # (seeds, epochs)
        x = np.arange(1, epochs + 1)
        axes.plot(x, values.mean(axis=0), **looks, marker="o" if epochs == 1 else None)
        if len(values) > 1:
            axes.fill_between(x, values.min(axis=0), values.max(axis=0), color=looks["color"], alpha=0.18, linewidth=0)
    for text, level in floors.items():
        axes.axhline(level, color=mpl.rcParams["text.color"], linewidth=1.2, dashes=(6, 3))
        low, high = axes.get_ylim()
        axes.set_ylim(min(low, level - 0.1 * (high - low)), high)  # room for the words, below the line, where no curve is
        axes.annotate(text, (1, level), (-4, -3), xycoords=("axes fraction", "data"), textcoords="offset points", va="top", ha="right")
    axes.set_xlabel("epoch")
    axes.set_ylabel(ylabel if len(ylabel) < 22 else ylabel.replace(" (", "\n("))  # no longer than the axis
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))


def legend(names: Sequence[str]) -> Figure:
    """The lines of :func:`plot` with their names, as a figure of its own."""
    with style():
        figure = Figure(figsize=(8, 0.3))
        handles = [Line2D([], [], label=name, **looks) for looks, name in zip(_looks(), names, strict=False)]
        figure.legend(handles=handles, loc="center", ncols=2)
        return figure


def _looks() -> list[dict[str, Any]]:
    return list(mpl.rcParams["axes.prop_cycle"])


def most() -> int:
    """How many settings have a look of their own."""
    with style():
        return len(_looks())


def svg(figure: Figure, name: str, description: str) -> str:
    """``figure`` as an ``<svg>`` element for a page: its text takes the page's colour, ``name`` keeps its ids apart from others."""
    file = StringIO()
    with saving():
        figure.savefig(file, format="svg", bbox_inches="tight", metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")))
        ink = mpl.rcParams["text.color"].lower()
    drawing = file.getvalue()
    drawing = drawing[drawing.index("<svg ") :].replace(f"#{ink.removeprefix('#')}", "currentColor")
    drawing = re.sub(r'( id="| xlink:href="#|url\(#)', rf"\g<1>{name}-", drawing)
    return drawing.replace("<svg ", f'<svg role="img" aria-label="{escape(description)}" ', 1)
