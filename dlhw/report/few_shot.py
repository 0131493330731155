"""How much a network of other proteins helps where little was measured: a figure. python -m dlhw.report.few_shot outputs/rbp/few_shot

Reads runs that differ in ``task.data.train_probes`` and ``warm_start``.
"""

import argparse
from collections import defaultdict
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from dlhw import command
from dlhw.atomic_file import replacing
from dlhw.errors import UserError
from dlhw.report.curves import saving, style
from dlhw.results import load_runs, read_settings

SCRATCH, ADAPTED = "from scratch", "adapted"
Scores = dict[str, dict[int, list[float]]]  # way -> probes -> a value per seed


def scores(folder: Path, metric: str = "spearman") -> Scores:
    """The metric on the test split of the finished runs below a folder, by how they were started and by how many probes they saw.

    Raises:
        UserError: no finished run that was trained on a number of probes, or adapted runs that came from several others.
    """
    runs = load_runs(folder)
    found: Scores = {SCRATCH: defaultdict(list), ADAPTED: defaultdict(list)}
    sources = set()
    for run in runs[runs["status"] == "finished"].to_dict("records"):
        settings = read_settings(Path(str(run["path"])))
        probes, source = settings.get("task.data.train_probes"), settings.get("warm_start")
        if probes is not None and f"test/{metric}" in run:
            found[ADAPTED if source else SCRATCH][int(probes)].append(float(run[f"test/{metric}"]))
            sources |= {source} if source else set()
    if not any(found.values()):
        raise UserError(f"no finished run below {folder} has task.data.train_probes and test/{metric}: experiment=rbp/few_shot makes them")
    if len(sources) > 1:
        raise UserError(f"the runs below {folder} were started from several networks ({', '.join(sorted(sources))}): one is right")
    return found


def few_shot(found: Scores, metric: str = "Spearman correlation") -> Figure:
    """A line for each way over the number of probes: the mean over the seeds, and a band from the smallest to the largest."""
    with style():
        figure = Figure()
        axes = figure.add_subplot(xscale="log")
        for (way, values), looks in zip(found.items(), mpl.rcParams["axes.prop_cycle"], strict=False):
            x = sorted(values)
            if x:
                axes.plot(x, [sum(values[n]) / len(values[n]) for n in x], **looks, marker="o", label=way)
                low, high = [min(values[n]) for n in x], [max(values[n]) for n in x]
                axes.fill_between(x, low, high, color=looks["color"], alpha=0.18, linewidth=0)
        every = sorted({n for values in found.values() for n in values})
        axes.set_xticks(every, [f"{n:,}" for n in every])
        axes.xaxis.set_minor_locator(NullLocator())
        axes.set_xlabel("probes trained on")
        axes.set_ylabel(f"test {metric}")
        axes.legend()
        return figure


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m dlhw.report.few_shot", description="The figure of experiment=rbp/few_shot.")
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="folder of runs")
    parser.add_argument("--output", type=Path, help=".svg, .pdf or .png (default: few_shot.svg in the folder)")
    options = parser.parse_args(arguments)
    found = scores(options.folder)
    output = options.output or options.folder / "few_shot.svg"
    if (kind := output.suffix.lower().removeprefix(".")) not in ("svg", "pdf", "png"):
        raise UserError(f"--output={output}: a name that ends in .svg, .pdf or .png is right")
    with saving(), replacing(output) as temporary:
        few_shot(found).savefig(temporary, format=kind, bbox_inches="tight")
    for way, values in found.items():
        for n in sorted(values):
            print(f"{way}, {n:,} probes: {sum(values[n]) / len(values[n]):.4f} (runs: {len(values[n])})")
    print(f"written: {output}")
    return 0


if __name__ == "__main__":
    command.run(main)
