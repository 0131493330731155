"""How much a network of other proteins helps where little was measured: a figure. python -m dlhw.report.few_shot outputs/rbp/few_shot

Reads runs that differ in ``task.data.train_probes``, ``warm_start`` and the seed, and in nothing else, but for the patience of
each number of probes.
"""

import argparse
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from dlhw import command
from dlhw.atomic_file import replacing
from dlhw.errors import UserError
from dlhw.report.curves import saving, style
from dlhw.report.runs import Record, kinds, load_records
from dlhw.results.load import BESIDE

SCRATCH, ADAPTED = "from scratch", "adapted"
# What the runs of one figure may differ in.
VARIED = BESIDE | {"task.data.train_probes", "task.data.val_probes", "task.data.split_seed", "warm_start"}
PATIENCE = "trainer.patience"  # in epochs, so another one for another number of probes


@dataclass
class Scores:
    """The metric of each run by way and number of probes, and what the runs are about."""

    values: dict[str, dict[int, list[float]]] = field(default_factory=lambda: {SCRATCH: defaultdict(list), ADAPTED: defaultdict(list)})
    title: str = ""


def scores(records: Sequence[Record], metric: str = "spearman") -> Scores:
    """The metric on the test split of finished runs, by how they were started and by how many probes they saw.

    Raises:
        UserError: no finished run that was trained on a number of probes and validated on as many, runs that differ in another setting
            than a few-shot experiment varies, or adapted runs that came from several networks.
    """
    found = Scores()
    sources = set()
    others: dict[str, dict[str, object]] = defaultdict(dict)  # setting -> its values, by their text
    for record in records:
        settings, value = record.settings, record.result["test"].get(metric)
        probes, source = settings.get("task.data.train_probes"), settings.get("warm_start")
        if probes is None or value is None or settings.get("task.data.val_probes") != probes:
            continue
        found.values[ADAPTED if source else SCRATCH][int(probes)].append(float(value))
        sources |= {source} if source else set()
        for key, setting in settings.items():
            if key not in VARIED:
                others[f"{key} of {probes} probes" if key == PATIENCE else key][str(setting)] = setting
        kind = kinds([record])
        found.title = f"{settings.get('task.data.protein')}{'' if kind == 'real' else f' ({kind})'}"
    if not any(found.values.values()):
        raise UserError(
            f"no finished run has task.data.train_probes, as many task.data.val_probes and test/{metric}: "
            "experiment=rbp/few_shot makes them"
        )
    if len(sources) > 1:
        raise UserError(f"few-shot runs were started from several networks ({', '.join(sorted(sources))}): one is right")
    if differing := [f"{key} ({', '.join(sorted(values))})" for key, values in sorted(others.items()) if len(values) > 1]:
        raise UserError(f"few-shot runs differ in {'; '.join(differing)}: a figure is of runs that differ in probes and seed only")
    return found


def few_shot(found: Scores, metric: str = "Spearman correlation") -> Figure:
    """A line for each way over the number of probes: the mean over the seeds, and a band from the smallest to the largest."""
    with style():
        figure = Figure()
        axes = figure.add_subplot(xscale="log")
        for (way, values), looks in zip(found.values.items(), mpl.rcParams["axes.prop_cycle"], strict=False):
            x = sorted(values)
            if x:
                axes.plot(x, [sum(values[n]) / len(values[n]) for n in x], **looks, marker="o", label=way)
                low, high = [min(values[n]) for n in x], [max(values[n]) for n in x]
                axes.fill_between(x, low, high, color=looks["color"], alpha=0.18, linewidth=0)
        every = sorted({n for values in found.values.values() for n in values})
        axes.set_xticks(every, [f"{n:,}" for n in every])
        axes.xaxis.set_minor_locator(NullLocator())
        axes.set_title(found.title)
        axes.set_xlabel("probes trained on (as many again validate)")
        axes.set_ylabel(f"test {metric}")
        axes.legend()
        return figure


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m dlhw.report.few_shot", description="The figure of experiment=rbp/few_shot.")
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="folder of runs")
    parser.add_argument("--output", type=Path, help=".svg, .pdf or .png (default: few_shot.svg in the folder)")
    options = parser.parse_args(arguments)
    found = scores(load_records(options.folder))
    output = options.output or options.folder / "few_shot.svg"
    if (kind := output.suffix.lower().removeprefix(".")) not in ("svg", "pdf", "png"):
        raise UserError(f"--output={output}: a name that ends in .svg, .pdf or .png is right")
    with saving(), replacing(output) as temporary:
        few_shot(found).savefig(temporary, format=kind, bbox_inches="tight")
    print(found.title)
    for way, values in found.values.items():
        for n in sorted(values):
            print(f"{way}, {n:,} probes: {sum(values[n]) / len(values[n]):.4f} (runs: {len(values[n])})")
    print(f"written: {output}")
    return 0


if __name__ == "__main__":
    command.run(main)
