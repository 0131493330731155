"""What a network that reads RNA has learnt: its filters, what the positions of probes do, and the k-mers that it looks for.

Written are, in the folder of the output: ``filters`` (.png, .pdf, .csv, .meme), ``probe-1`` and so on (.png, .pdf) with ``positions.csv``,
``kmers`` (.png, .pdf, .csv), and ``summary.json``.
"""

import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from dlhw.atomic_file import replacing, write_text
from dlhw.data.rbp_scale import STANDARD_DEVIATIONS, unit_of
from dlhw.data.rna import ALPHABET, PADDING, decode, encode
from dlhw.errors import UserError, listed
from dlhw.explain import options as common
from dlhw.explain.sequences_motifs import SUMMARY
from dlhw.run_files import is_simulated

if TYPE_CHECKING:
    from dlhw.data.arrays import Split
    from dlhw.explain.sequences_network import Codes, Network
    from dlhw.results import Run

SEED = 0  # of the draws of probes: the same run gives the same files
PROBES_FOR_SITES, PROBES_FOR_EFFECTS = 20_000, 1_000


@dataclass(frozen=True)
class Options(common.Options):
    """``protein`` must be named where the run has several; ``sequence`` (several with commas) is looked at in place of the test probes of
    the highest predictions, of which ``probes`` are taken; ``k`` is the length of the k-mers, each written into ``backgrounds`` probes.
    """

    protein: str | None = None
    sequence: str | None = None
    probes: int = 4
    k: int = 5
    backgrounds: int = 100

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, least, most in (("probes", 0, 100), ("k", 2, 8), ("backgrounds", 1, 10_000)):
            if not least <= getattr(self, name) <= most:
                raise UserError(f"{name}={getattr(self, name)} is out of range: {least} to {most}")


def explain(options: Options) -> None:
    """Write all figures and tables, and print what they say and their names.

    Raises:
        UserError: no finished run, its data is missing, another protein, a sequence that is none.
    """
    from dlhw.data.rbp import NOTHING_UNSEEN
    from dlhw.explain.sequences_network import Network
    from dlhw.results import load_run
    from dlhw.training import build_data

    run = load_run(options.run, options.device)
    column = chosen(options.protein, run.spec.proteins)
    asked = encode(options.sequence.split(","), run.spec.length, "sequence") if options.sequence else None
    run.config.data_root = options.data_root
    unit = unit_of(run.config.task.data)
    run.config.task.data.update(NOTHING_UNSEEN)  # what was measured is shown, also what no split of the run was told
    run.config.task.data.normal_scores = False  # and as it was measured, whatever the network has learnt of it
    data = build_data(run.config)
    if data.spec.proteins != run.spec.proteins:
        raise UserError(f"the data now has other proteins than {options.run} was trained on: {', '.join(data.spec.proteins)}")
    if data.checksums != run.result["data"]:
        print(f"{', '.join(data.checksums)} is not the data that {options.run} was trained on (another SHA-256)", file=sys.stderr)
    folder = options.folder / run.spec.proteins[column].replace("/", "_") if run.spec.outputs > 1 else options.folder
    network = Network(run.task, column, options.batch_size)  # type: ignore[arg-type]  # what a run on a SequenceSpec holds
    told = Report(folder, about(run, column), unit)
    print(told.title)
    probes = data.splits["test"]
    explain_filters(network, probes, told)
    explain_probes(network, probes, column, asked, options.probes, told)
    explain_kmers(network, probes, column, options, told)
    told.close()


def chosen(protein: str | None, proteins: tuple[str, ...]) -> int:
    """The column of a protein; without a name that of the only one.

    Raises:
        UserError: no such protein, or several and no name.
    """
    if protein is None and len(proteins) == 1:
        return 0
    if protein is None or protein not in proteins:
        raise UserError(f"protein={protein or ''} is none of this run: name one of {listed(proteins)}")
    return proteins.index(protein)


def about(run: "Run", column: int) -> str:
    """What a figure's title says of a run."""
    simulated = " (simulated)" if is_simulated(run.result) else ""
    return f"{run.spec.proteins[column]}{simulated}, {run.result['model']}"


class Report:
    """The folder that is written to, and what is printed at the end; ``unit`` is that of the predictions."""

    def __init__(self, folder: Path, title: str, unit: str) -> None:
        self.folder, self.title, self.unit = folder, title, unit
        self.names: list[str] = []
        self.summary: dict[str, Any] = {"network": title, "unit": unit}

    def figure(self, name: str, figure: Figure) -> None:
        """A figure as .png and .pdf, on white."""
        for kind in ("png", "pdf"):
            with replacing(self.folder / f"{name}.{kind}") as temporary:
                figure.savefig(temporary, format=kind, dpi=200, facecolor="white", transparent=False)
            self.names.append(f"{name}.{kind}")

    def table(self, name: str, table: pd.DataFrame) -> None:
        with replacing(self.folder / f"{name}.csv") as temporary:
            table.to_csv(temporary, index=False, float_format="%.6g")
        self.names.append(f"{name}.csv")

    def text(self, name: str, text: str) -> None:
        write_text(self.folder / name, text)
        self.names.append(name)

    def say(self, sentence: str, **values: Any) -> None:
        """Print a sentence, and keep its values in the summary."""
        print(sentence)
        self.summary |= values

    def close(self) -> None:
        self.text(SUMMARY, json.dumps(self.summary, indent=2) + "\n")
        print(f"written to {self.folder}: {', '.join(self.names)}")


def drawn(codes: "Codes", count: int) -> "Codes":
    """So many rows of (N, L), drawn at random, in their order."""
    rows = np.random.default_rng(SEED).permutation(len(codes))[:count]
    return codes[np.sort(rows)]


def explain_filters(network: "Network", probes: "Split", told: Report) -> None:
    """The logos of the filters of the first convolutions; a network without any has none."""
    from dlhw.explain.sequences_figures import MOST_FILTERS, filters_figure
    from dlhw.explain.sequences_filters import find_filters
    from dlhw.explain.sequences_motifs import meme

    filters = find_filters(network, drawn(probes.inputs, PROBES_FOR_SITES), drawn(probes.inputs, PROBES_FOR_EFFECTS))
    if not filters:
        told.say("no filters: this network has no convolution over the bases")
        return
    rows = [
        {
            "convolution": found.convolution,
            "filter": found.number,
            "effect": found.effect,
            "sites": found.sites,
            "bits": found.bits.sum(),
            "consensus": found.consensus,
        }
        for found in filters
    ]
    told.table("filters", pd.DataFrame(rows))
    speaking = [found for found in filters if found.sites]
    told.text("filters.meme", meme(speaking))
    if speaking:
        shown = speaking[:MOST_FILTERS]
        title = f"{told.title}: {len(shown)} of {len(filters)} filters, those of the largest effect (in {told.unit})"
        told.figure("filters", filters_figure(shown, title))
        told.say(f"the filter of the largest effect finds {speaking[0].consensus}", filter=speaking[0].consensus)


def explain_probes(network: "Network", probes: "Split", column: int, asked: "Codes | None", count: int, told: Report) -> None:
    """What the positions of the test probes with the highest predictions do, or those of the sequences that were asked for."""
    from dlhw.explain.sequences_figures import probe_figure

    measured: list[float | None] = []
    if asked is None:
        rows = np.argsort(-network(probes.inputs), kind="stable")[:count]
        asked, measured = probes.inputs[rows], probes.targets[rows, column].tolist()
    positions, errors = [], []
    for number, (codes, predicted) in enumerate(zip(asked, network(asked), strict=True), 1):
        [sequence] = decode(codes[None])
        contributions, missing = network.integrated_gradients(codes)
        changes, attention = network.mutations(codes), network.attention(codes)
        errors.append(abs(missing))
        said = {told.unit: [f"predicted {predicted:.2f}"]}
        if measured:
            said.setdefault(STANDARD_DEVIATIONS, []).append(f"measured {measured[number - 1]:.2f}")
        numbers = [f"{', '.join(values)} ({unit})" for unit, values in said.items()]
        title = f"{told.title}\n{', '.join(numbers)}"  # short probes have narrow figures
        told.figure(f"probe-{number}", probe_figure(sequence, title, told.unit, contributions, changes, attention))
        table = pd.DataFrame({"probe": number, "position": range(1, len(sequence) + 1), "base": list(sequence)})
        table["integrated_gradient"] = contributions
        table[[f"change_to_{base}" for base in ALPHABET]] = changes
        if attention is not None:
            table["attention"] = attention
        positions.append(table)
    if positions:
        told.table("positions", pd.concat(positions))
        told.say(
            f"integrated gradients of {len(errors)} probes: their sums miss the predictions by {max(errors):.1g} at most",
            missing=max(errors),
        )


def explain_kmers(network: "Network", probes: "Split", column: int, options: Options, told: Report) -> None:
    """The k-mers by their importance to the network, beside what the measured test probes say without any network."""
    from dlhw.explain import sequences_kmers as kmers
    from dlhw.explain.sequences_figures import kmers_figure

    long_enough = probes.inputs[(probes.inputs != PADDING).sum(axis=1) >= options.k]
    every = kmers.all_kmers(options.k)
    there = ~np.isnan(probes.targets[:, column])
    z, counts = kmers.enrichment(probes.inputs[there], probes.targets[there, column].astype(np.float64), options.k)
    if np.isnan(z).all():
        raise UserError(
            f"k={options.k}: no {options.k}-mer stands in {kmers.FEWEST} measured test probes, so none has a score; take a smaller k"
        )
    important = kmers.importance(network, drawn(long_enough, options.backgrounds), every)
    names = kmers.names(every)
    agreed = kmers.agreement(names, important, z)
    table = pd.DataFrame({"kmer": names, "importance": important, "z": z, "probes": counts})
    told.table("kmers", table.sort_values("importance", ascending=False, kind="stable"))
    told.figure("kmers", kmers_figure(names, important, z, agreed, f"{told.title}: {options.k}-mers", told.unit))
    told.say(
        f"{options.k}-mers: {agreed.network} is the most important to the network, {agreed.measured} has the highest z-score of the "
        f"intensities; {agreed.shared} of the ten best are the same; Spearman over all {agreed.spearman:.3f}",
        kmers=asdict(agreed),
    )
