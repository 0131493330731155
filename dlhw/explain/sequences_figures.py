"""Figures of what a network has learnt of RNA, as functions of plain arrays: no torch.

Each base has one colour (Okabe and Ito, 2008) and its letter, so no figure says anything by colour alone.
Legend: n nucleotides, W length of a filter, K k-mers.
"""

from collections.abc import Sequence

import logomaker
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from dlhw.data.rbp_scale import STANDARD_DEVIATIONS
from dlhw.data.rna import ALPHABET
from dlhw.explain.sequences_kmers import Agreement
from dlhw.explain.sequences_motifs import Filter
from dlhw.report.curves import style

Floats = NDArray[np.float64]
COLOURS = {"A": "#009E73", "C": "#0072B2", "G": "#E69F00", "U": "#D55E00"}
SHORT = {STANDARD_DEVIATIONS: "sd"}  # of a unit, where there is little room
MOST_FILTERS, ACROSS = 24, 4  # in one figure, and in a row of it
TOP = 15  # k-mers in the bars
LABELLED = 5  # k-mers named among the points


def filters_figure(filters: Sequence[Filter], title: str) -> Figure:
    """Sequence logos: the height of a letter is its share of the information of its place, in bits."""
    rows = -(-len(filters) // ACROSS)
    with style():
        figure = Figure(figsize=(2.6 * ACROSS, 1.35 * rows + 0.5))
        axes = figure.subplots(rows, ACROSS, squeeze=False, sharey=True)
        figure.suptitle(title, fontsize=11)
        for place, panel in enumerate(axes.flat):
            if place >= len(filters):
                panel.axis("off")
                continue
            found = filters[place]
            _logo(panel, found.probabilities * found.bits[:, None])
            panel.set_title(f"filter {found.number}, {len(found.counts)} nt: effect {found.effect:.2g}, {found.sites:,} sites", fontsize=8)
            panel.set(ylim=(0, 2), yticks=(0, 1, 2))
            if place % ACROSS == 0:
                panel.set_ylabel("bits")
        return figure


def probe_figure(sequence: str, title: str, unit: str, contributions: Floats, changes: Floats, attention: Floats | None) -> Figure:
    """What the positions of a sequence do to its prediction.

    Args:
        unit: of the prediction.
        contributions: (n,) of each base to the prediction.
        changes: (n, 4) of the prediction if the base were another.
        attention: (n,) weights, or None.
    """
    n, short = len(sequence), SHORT.get(unit, unit)
    heights = [1.2, 1.2] + [0.7] * (attention is not None)
    with style():
        figure = Figure(figsize=(0.2 * n + 2.2, sum(heights) * 1.15 + 1.1))
        panels = figure.subplots(len(heights), 1, sharex=True, height_ratios=heights)
        figure.suptitle(title, fontsize=11)
        letters = np.zeros((n, len(ALPHABET)))
        for place, base in enumerate(sequence):
            if base in ALPHABET:
                letters[place, ALPHABET.index(base)] = contributions[place]
        _logo(panels[0], letters)
        panels[0].axhline(0, color="#24292F", linewidth=0.8)
        panels[0].spines["bottom"].set_visible(False)
        panels[0].tick_params(axis="x", length=0)
        panels[0].set_ylabel(f"integrated\ngradients\n({short})")
        _mutagenesis(figure, panels[1], sequence, changes, short)
        if attention is not None:
            panels[2].bar(range(n), attention, width=0.8, color="#666666")
            panels[2].axhline(1 / n, color="#24292F", linewidth=0.8, linestyle=":")
            panels[2].set_ylabel("attention")
            panels[2].set_xlabel("position in the probe (dotted: equal weights)")
        else:
            panels[1].set_xlabel("position in the probe")
        for panel in panels:
            panel.grid(False)
        ticks = [0, *range(4, n, 5)]
        panels[-1].set_xticks(ticks, [str(tick + 1) for tick in ticks])
        panels[0].set_xlim(-0.5, n - 0.5)
        return figure


def kmers_figure(names: Sequence[str], important: Floats, z: Floats, agreed: Agreement, title: str, unit: str) -> Figure:
    """The most important k-mers, in the unit of the predictions, what was measured of them, and both for all k-mers: (K,), (K,)."""
    top = np.argsort(-important, kind="stable")[:TOP]
    with style():
        figure = Figure(figsize=(9.6, 3.9))
        bars, measured, points = figure.subplots(1, 3, width_ratios=(1.0, 1.0, 1.7))
        figure.suptitle(title, fontsize=11)
        for panel, values, label, colour in (
            (bars, important, f"global importance\n({unit})", "#0072B2"),
            (measured, z, "z-score of the\nintensities", "#E69F00"),
        ):
            panel.barh(range(len(top)), values[top], color=colour, height=0.75)
            panel.set_ylim(len(top) - 0.4, -0.6)
            panel.set_xlabel(label)
            panel.grid(False, axis="y")
            panel.set_yticks(range(len(top)), [names[i] for i in top] if panel is bars else [""] * len(top), family="monospace", fontsize=9)
        points.plot(z, important, linestyle="none", marker=".", markersize=3, color="#56B4E9", alpha=0.7, rasterized=True)
        _name_best(points, names, important, z)
        points.set_xlabel("z-score of the intensities")
        points.set_ylabel(f"global importance ({unit})")
        points.set_title(f"all {len(names):,} {len(names[0])}-mers, Spearman {agreed.spearman:.2f}", fontsize=10)
        return figure


def _name_best(axes: Axes, names: Sequence[str], important: Floats, z: Floats) -> None:
    """Names of the most important k-mers, one below the other beside the cloud of points, each with a line to its point."""
    top = [i for i in np.argsort(-important, kind="stable") if not np.isnan(z[i])][:LABELLED]
    for place, i in enumerate(top):
        axes.plot(z[i], important[i], marker="o", markersize=4, color="#D55E00")
        axes.annotate(
            names[i],
            (z[i], important[i]),
            xytext=(0.04, 0.95 - 0.085 * place),
            textcoords="axes fraction",
            fontsize=8.5,
            family="monospace",
            va="center",
            arrowprops={"arrowstyle": "-", "color": "#999999", "linewidth": 0.6, "shrinkB": 2},
        )


def _mutagenesis(figure: Figure, axes: Axes, sequence: str, changes: Floats, unit: str) -> None:
    most = max(float(np.abs(changes).max()), 1e-9)
    picture = axes.imshow(changes.T, cmap="PuOr_r", vmin=-most, vmax=most, aspect="auto", interpolation="nearest")
    for place, base in enumerate(sequence):
        if base in ALPHABET:
            axes.text(place, ALPHABET.index(base), base, ha="center", va="center", fontsize=8)
    axes.set_yticks(range(len(ALPHABET)), list(ALPHABET))
    axes.set_ylabel("base instead")
    axes.tick_params(length=0)
    bar = figure.colorbar(picture, ax=axes, pad=0.01, fraction=0.05)
    bar.set_label(f"change\n({unit})", fontsize=9)
    bar.outline.set_visible(False)


def _logo(axes: Axes, heights: Floats) -> None:
    """Letters of the given heights, (n, 4), those below 0 upside down."""
    logomaker.Logo(pd.DataFrame(heights, columns=list(ALPHABET)), ax=axes, color_scheme=COLOURS, flip_below=True, baseline_width=0)
    axes.grid(False)
    axes.set_xticks([])
