"""Texts of pictures of lines: one picture, or a folder or archive of them; a CSV, and if asked a .txt beside each picture.

Legend: B batch, N lines, H height, W width.
"""

import csv
import json
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from dlhw.atomic_file import replacing, write_text
from dlhw.data.line_layout import TRANSCRIPT, base_of
from dlhw.data.line_pictures import LineSplit, line_columns
from dlhw.data.picture_files import FORMATS, Files, reason
from dlhw.errors import UserError
from dlhw.predict import options as common
from dlhw.predict.decoder import given_settings, told
from dlhw.predict.pictures import open_input

if TYPE_CHECKING:
    from dlhw.decoding import Decode
    from dlhw.results import Run
    from dlhw.tasks.lines import LineTranscription

TEXTS = (".txt", ".tsv", ".csv", ".json", ".xml", ".html", ".md")  # what may lie beside pictures


@dataclass(frozen=True)
class Options(common.Options):
    """``input`` is a picture of a line, or a folder, .zip or .tar of them; transcripts and tables that lie there are passed over."""

    batch_size: int = 32  # lines at once; changes the speed only
    method: str | None = None  # greedy | beam; of an attention decoder also nucleus; default of this and the next: as the run was tested
    width: int | None = None  # beam: hypotheses that are kept
    length_power: float | None = None  # beam of an attention decoder: ranked by log-probability / symbols ** length_power
    lm_weight: float | None = None  # beam of CTC: weight of log p(text) by an n-gram model of the training texts; 0: none
    lm_order: int | None = None  # of that model: letters of an n-gram
    symbol_bonus: float | None = None  # beam of CTC: added to the score for each symbol of a text
    beside: bool = False  # write NAME.txt beside each picture NAME.png as well, in the place of an older one

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.beside and Path(self.input).suffix.lower() in (".zip", ".tar"):
            raise UserError(f"beside=true: beside the pictures in {self.input} nothing can be written; unpack it, or leave beside away")


@dataclass(frozen=True)
class Reading:
    """What a network reads on a line: the text, its probability, and each letter with its own (with attention, given those before)."""

    text: str
    probability: float
    letters: list[tuple[str, float]]


def read(run: "Run", lines: Sequence[np.ndarray], settings: "Decode", batch_size: int) -> list[Reading]:
    """The texts of lines, uint8 (W, H) each, in their order; lines of like width are read together."""
    from dlhw.data.line_batches import LineBatches, LineTensors
    from dlhw.specs import FIRST

    task: LineTranscription = run.task  # type: ignore[assignment]  # what a run on a LineSpec holds
    split = LineSplit.of([*lines], np.zeros((len(lines), 1), np.int16))
    found: dict[int, Reading] = {}
    for batches in LineBatches(LineTensors.of(split, task.device), batch_size):
        for inputs, _, index in batches:
            hypotheses = task.head.decode(task.evaluated, task.prepared(inputs, index, train=False), settings, index)
            best, log_p = hypotheses.ids[:, 0], hypotheses.scores[:, 0]
            if settings.lm_weight or settings.symbol_bonus:  # the scores are no probabilities then
                log_p = -task.head.losses(task.evaluated, task.prepared(inputs, index, train=False), best)
            rows = zip(index.tolist(), task.texts(best), log_p.exp().tolist(), best, hypotheses.confidence, strict=True)
            for row, text, probability, ids, confidence in rows:
                letters = [(task.vocab.symbols[i - FIRST], c) for i, c in zip(ids.tolist(), confidence.tolist(), strict=True) if i >= FIRST]
                found[row] = Reading(text, probability, letters)
    return [found[row] for row in range(len(lines))]


def decode_files(files: Files, names: Sequence[str], height: int, border: int) -> Iterator[tuple[str, np.ndarray]]:
    """Names and lines, uint8 (W, H); what is no picture is named on stderr."""

    def work(name: str) -> np.ndarray | str:
        try:
            return line_columns(files.read(name), height, border)
        except Exception as error:  # whatever a decoder raises on foreign bytes
            return reason(error)

    with ThreadPoolExecutor() as pool:
        for name, line in zip(names, pool.map(work, names), strict=True):
            if isinstance(line, str):
                print(f"error: {name} is not readable as a picture ({line}); left out", file=sys.stderr)
            else:
                yield name, line


def texts_beside(names: Sequence[str]) -> dict[str, str]:
    """Picture -> the .txt beside it, which has its name without the ending (see :func:`dlhw.data.line_layout.base_of`).

    Raises:
        UserError: two pictures would share a .txt, or one would replace a transcript.
    """
    pictures: dict[str, str] = {}
    for name in names:
        text = f"{base_of(name)}.txt"
        if text in pictures:
            raise UserError(
                f"beside=true: {pictures[text]} and {name} would both be read into {text}; pictures of different names are right"
            )
        if text.endswith(TRANSCRIPT):
            raise UserError(
                f"beside=true: what is read on {name} would replace the transcript {text}; another name of the picture is right"
            )
        pictures[text] = name
    return {name: text for text, name in pictures.items()}


def predict(options: Options) -> bool:
    """Write the CSV; returns whether every file was a picture.

    Raises:
        UserError: no finished run, missing input, not one picture, settings of the decoder that are not for the network, an output that
            cannot be written, two texts for one file.
    """
    from dlhw.results import load_run

    with open_input(Path(options.input)) as files:
        own = options.output.resolve()  # of an earlier call, perhaps in the same folder
        names = [name for name in files.files if (files.path / name).resolve() != own and not name.lower().endswith(TEXTS)]
        if not names:
            raise UserError(f"input={options.input} holds no pictures: files of type {', '.join(FORMATS)} are right")
        beside = texts_beside(names) if options.beside else {}
        run = load_run(options.run, options.device)
        task: LineTranscription = run.task  # type: ignore[assignment]  # what a run on a LineSpec holds
        task.decode = replace(task.decode, k=1)
        settings = given_settings(run, options)
        lines = dict(decode_files(files, names, run.spec.height, run.spec.border))
    if not lines:
        raise UserError(f"input={options.input}: no file is readable as a picture, so nothing was written")
    readings = read(run, [*lines.values()], settings, options.batch_size)
    with replacing(options.output) as temporary, open(temporary, "w", newline="", encoding="utf-8", errors="surrogateescape") as file:
        table = csv.writer(file)
        table.writerow(["file", "text", "probability", "letters"])
        for name, reading in zip(lines, readings, strict=True):
            letters = json.dumps([[letter, round(confidence, 4)] for letter, confidence in reading.letters], ensure_ascii=False)
            table.writerow([name, reading.text, f"{reading.probability:.7g}", letters])
    if options.beside:
        folder = files.path if files.path.is_dir() else files.path.parent
        for name, reading in zip(lines, readings, strict=True):
            write_text(folder / beside[name], f"{reading.text}\n")
    if len(lines) <= 10:
        for name, reading in zip(lines, readings, strict=True):
            print(f"{name}: {reading.text} ({reading.probability:.3f})")
    print(f"{options.output}: {len(lines)} of {len(names)} files, read by {told(task, settings)}")
    return len(lines) == len(names)
