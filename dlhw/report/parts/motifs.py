"""Logos of filters and attention over positions, from what ``python -m dlhw.explain`` has written for simulated runs.

Sequences of real data are shown nowhere: they are not ours to give away.
"""

from collections.abc import Sequence
from pathlib import Path
from statistics import fmean

from dlhw.explain.sequences_motifs import read_about, read_filters, read_probes
from dlhw.report.document import Figure
from dlhw.report.parts.proteins import explanations
from dlhw.report.runs import Record, Where

FILTERS, PROBES = 8, 2  # shown


def logos(name: str, records: Sequence[Record], where: Where) -> list[Figure]:
    """The filters of the largest effect."""
    from dlhw.explain.sequences_figures import filters_figure

    figures = []
    for record, folder in _simulated(records, where)[:1]:
        network, unit = read_about(folder)
        if filters := read_filters(folder)[:FILTERS]:
            caption = (
                f"What the filters of a convolution respond to, as sequence logos, those of the largest effect on the prediction. "
                f"The data is simulated; the motif that was planted is {_planted(record)}."
            )
            figures.append(Figure(name, caption, filters_figure(filters, f"{network}: effects in {unit}")))
    return figures


def attention(name: str, records: Sequence[Record], where: Where) -> list[Figure]:
    """The probes with the highest predictions: what each base adds, what its mutations change, where attention looks."""
    from dlhw.explain.sequences_figures import probe_figure

    figures = []
    for record, folder in _simulated(records, where)[:1]:
        network, unit = read_about(folder)
        for number, view in enumerate(read_probes(folder)[:PROBES], 1):
            caption = (
                f"Contribution of each base (integrated gradients), change of the prediction by each mutation, and attention, for a "
                f"test probe of a high prediction. The data is simulated; the planted motif is {_planted(record)}."
            )
            figures.append(
                Figure(
                    f"{name}-{number}",
                    caption,
                    probe_figure(view.sequence, network, unit, view.contributions, view.changes, view.attention),
                )
            )
    return figures


def attention_on(core: str, records: Sequence[Record], where: Where, around: int = 2) -> str:
    """How much of the attention lies on a motif and beside it; nothing where no probe that was looked at holds it."""
    shares, equal = [], []
    for _, folder in _simulated(records, where)[:1]:
        for view in read_probes(folder):
            place = view.sequence.find(core)
            if place >= 0 and view.attention is not None:
                near = view.attention[max(place - around, 0) : place + len(core) + around]
                shares.append(float(near.sum()))
                equal.append(len(near) / len(view.sequence))
    if not shares:
        return ""
    were = "was" if len(shares) == 1 else "were"
    return (
        f"In simulated probes that hold {core} ({len(shares)} {were} looked at), {100 * fmean(shares):.0f} % of the attention lies on it "
        f"and the {around} positions on either side, where equal weights would put {100 * fmean(equal):.0f} %. It need not lie on the "
        "bases of the motif: each direction of the LSTM has read the motif once it is past it, so one state at its edge tells of all."
    )


def _simulated(records: Sequence[Record], where: Where) -> list[tuple[Record, Path]]:
    return [(record, folder) for record, folder in explanations(records, where) if record.data == "simulated"]


def _planted(record: Record) -> str:
    protein = record.result["spec"]["proteins"][0]
    return str(record.result["notes"]["motifs"][protein])
