"""What a trained network says about RNA: FASTA, lines of a text file or one sequence in, a CSV out, and bedGraph for transcripts.

A sequence that is longer than those of the training is scanned in windows of their length.

Legend: N windows, L length of the network's sequences in nucleotides, P proteins.
"""

import csv
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dlhw.atomic_file import replacing
from dlhw.data.rna import encode
from dlhw.errors import UserError
from dlhw.predict import options as common
from dlhw.predict.new_proteins import likeness, with_proteins
from dlhw.predict.sequence_files import Record, read_records, readable, warn_of_short

if TYPE_CHECKING:
    from dlhw.results import Run
    from dlhw.tasks.regress import Regression


@dataclass(frozen=True)
class Options(common.Options):
    """``input`` is a FASTA file, a text file with a sequence a line (both may be .gz), or the sequence itself.

    Windows of a longer sequence begin ``stride`` nucleotides apart. ``bedgraph`` names a protein, several with commas, or ``all``: of each
    a file is written beside the output. ``proteins`` is a file of proteins that the run never saw, which are predicted in the place of its
    own, where its network reads proteins: FASTA of amino acids, or the vectors (.npz, .csv) that it was trained on.
    """

    stride: int = 1  # nucleotides between the starts of the windows of a longer sequence
    bedgraph: str | None = None  # proteins, with commas, or all: a bedGraph file of each
    proteins: Path | None = None  # FASTA of proteins that the run never saw: predict these

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.stride < 1:
            raise UserError(f"stride={self.stride} is out of range: at least 1 nucleotide")


def starts(length: int, window: int, stride: int) -> NDArray[np.intp]:
    """Where the windows of a sequence begin, from 0: every ``stride`` nucleotides, and one at the end, so that all nucleotides count."""
    last = max(length - window, 0)
    return np.append(np.arange(0, last, stride), last)


def predict(options: Options) -> bool:
    """Write the CSV, and for scanned sequences a second one and bedGraph files; returns whether every sequence could be read.

    Raises:
        UserError: no finished run, wrong input, no such protein, an output that cannot be written.
    """
    from dlhw.data.rbp_scale import unit_of
    from dlhw.results import load_run
    from dlhw.run_files import is_simulated

    records = read_records(options.input)
    run = load_run(options.run, options.device)
    length, proteins = run.spec.length, run.spec.proteins
    if options.proteins:
        run = with_proteins(run, options.proteins)
        proteins = run.spec.proteins[len(proteins) :]
        for line in likeness(run, proteins):
            print(line)
    simulated = " (simulated)" if is_simulated(run.result) else ""
    columns = tuple(f"{name}{simulated}" for name in proteins)
    if options.stride > length:
        raise UserError(f"stride={options.stride} is out of range: 1 to {length} nucleotides, the length of a window")
    graphs = _columns(options.bedgraph, proteins)
    scans: list[list[Any]] = []
    files = {proteins[column]: _beside(options.output, f"{proteins[column].replace('/', '_')}.bedgraph") for column in graphs}
    rna = readable(records)
    warn_of_short(rna, length)
    if not rna:
        raise UserError(f"input={options.input}: no sequence is readable as RNA, so nothing was written")
    with ExitStack() as stack:
        file = stack.enter_context(open(stack.enter_context(replacing(options.output)), "w", newline="", encoding="utf-8"))
        tracks = [stack.enter_context(open(stack.enter_context(replacing(path)), "w", encoding="utf-8")) for path in files.values()]
        for name, track in zip(files, tracks, strict=True):
            what = f"{name}{simulated}"
            track.write(f'track type=bedGraph name="{what}" description="predicted binding of {what}, mean over windows of {length} nt"\n')
        table = csv.writer(file)
        table.writerow(["name", "start", "end", "sequence", *columns])
        for record, begins, every in scanned(run, rna, options):
            values = every[:, -len(proteins) :]
            ends = np.minimum(begins + length, len(record.sequence))
            for begin, end, row in zip(begins.tolist(), ends.tolist(), values, strict=True):
                table.writerow([record.name, begin, end, _rna(record.sequence[begin:end]), *(f"{value:.6g}" for value in row)])
            best = begins[values.argmax(axis=0)].tolist()
            scans.append([record.name, len(record.sequence), len(begins), *values.max(axis=0), *values.mean(axis=0), *best])
            for column, track in zip(graphs, tracks, strict=True):
                track.writelines(bedgraph(record.name, begins, ends, values[:, column]))
    written = [options.output, *files.values()]
    if any(row[2] > 1 for row in scans):
        written.append(_beside(options.output, "transcripts.csv"))
        _write_summary(written[-1], scans, columns)
    said = f"{len(scans)} of {len(records)} sequences, in {unit_of(run.config.task.data)} of the training probes{simulated}"
    print(f"{', '.join(map(str, written))}: {said}")
    return len(scans) == len(records)


def _beside(output: Path, ending: str) -> Path:
    return output.with_name(f"{output.stem}.{ending}")


def _columns(asked: str | None, proteins: tuple[str, ...]) -> list[int]:
    if asked is None:
        return []
    names = proteins if asked == "all" else asked.split(",")
    if unknown := [name for name in names if name not in proteins]:
        raise UserError(f"bedgraph={','.join(unknown)} is none of the proteins: all, or some of {', '.join(proteins)}, are right")
    return [proteins.index(name) for name in dict.fromkeys(names)]


def _rna(text: str) -> str:
    return text.upper().replace("T", "U")


def scanned(run: "Run", records: list[Record], options: Options) -> Iterator[tuple[Record, NDArray[np.intp], NDArray[np.float64]]]:
    """Each record with the starts of its windows (N,) and their predictions (N, P); short records share batches."""
    length = run.spec.length
    held: list[tuple[Record, NDArray[np.intp], NDArray[np.uint8]]] = []
    waiting = 0
    for record in records:
        codes = encode([record.sequence], max(len(record.sequence), length), record.name)[0]
        begins = starts(len(record.sequence), length, options.stride)
        held.append((record, begins, np.lib.stride_tricks.sliding_window_view(codes, length)[begins]))
        waiting += len(begins)
        if waiting >= options.batch_size:
            yield from _predicted(run, held, options.batch_size)
            held, waiting = [], 0
    yield from _predicted(run, held, options.batch_size)


def _predicted(
    run: "Run", held: list[tuple[Record, NDArray[np.intp], NDArray[np.uint8]]], batch_size: int
) -> Iterator[tuple[Record, NDArray[np.intp], NDArray[np.float64]]]:
    import torch

    from dlhw.data.rna import one_hot

    if not held:
        return
    task: Regression = run.task  # type: ignore[assignment]  # what a run on a SequenceSpec holds
    windows = torch.from_numpy(np.concatenate([codes for _, _, codes in held]))
    with torch.inference_mode():
        parts = [task.evaluated(*one_hot(batch.to(task.device))).double().cpu() for batch in windows.split(batch_size)]
    values = torch.cat(parts).split([len(begins) for _, begins, _ in held])
    for (record, begins, _), of_record in zip(held, values, strict=True):
        yield record, begins, of_record.numpy()


def bedgraph(name: str, begins: NDArray[np.intp], ends: NDArray[np.intp], values: NDArray[np.float64]) -> Iterator[str]:
    """Lines of a bedGraph, from 0 and half open: each stretch of nucleotides that the same windows cover, with the mean of these (N,)."""
    edges = np.unique(np.concatenate([begins, ends]))
    change, covering = np.zeros(len(edges)), np.zeros(len(edges))
    for places, sign in ((begins, 1), (ends, -1)):
        at = np.searchsorted(edges, places)
        np.add.at(change, at, sign * values)
        np.add.at(covering, at, sign)
    means = np.cumsum(change)[:-1] / np.cumsum(covering)[:-1]
    for begin, end, mean in zip(edges[:-1].tolist(), edges[1:].tolist(), means.tolist(), strict=True):
        yield f"{name}\t{begin}\t{end}\t{mean:.6g}\n"


def _write_summary(path: Path, rows: list[list[Any]], proteins: tuple[str, ...]) -> None:
    """The largest and the mean prediction of each sequence, and where the window with the largest begins."""
    with replacing(path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["name", "length", "windows", *(f"{name} {what}" for what in ("maximum", "mean", "start") for name in proteins)])
        table.writerows([f"{value:.6g}" if isinstance(value, float) else value for value in row] for row in rows)
