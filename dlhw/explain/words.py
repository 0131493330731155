"""What a network that spells has learnt: where it looks, which letters it confuses, which words it spells worst.

Of the test split are written ``attention.png`` and its matrices ``attention/1.csv`` ... (where the network has attention),
``confusions.csv``, ``confusions.png``, ``worst.csv``; of words that are given (``input=``) the attention alone, in the folder ``given/``.

Legend: N words, S phones, T letters.
"""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from dlhw.atomic_file import replacing
from dlhw.data.vocab import Vocab
from dlhw.edit_distance import confusions, count_edits
from dlhw.errors import UserError
from dlhw.explain import options as common
from dlhw.explain.views import ATTENTION, GIVEN, View, attention_figure, letter, write_table, write_views
from dlhw.predict.words import phones_of, read_words, refuse_missing, spell

if TYPE_CHECKING:
    from torch import Tensor

    from dlhw.results import Run


@dataclass(frozen=True)
class Options(common.Options):
    """``words``: how many are drawn and how many of the worst are listed; ``confusions``: how many pairs of letters are drawn; ``input``:
    words in IPA, or a file of them, as for predict.py, in the place of the test split.
    """

    words: int = 12
    confusions: int = 30
    input: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        refuse_missing(self.input)
        for name in ("words", "confusions"):
            if getattr(self, name) < 1:
                raise UserError(f"{name}={getattr(self, name)} is out of range: at least 1")


def attention_weights(net: Any, source: "Tensor", ids: "Tensor") -> NDArray[np.float32] | None:
    """Where a network looks as it writes given texts: (N, T, S) of sources (N, S) and ids (N, T); None where it has no attention."""
    import torch

    from dlhw.specs import BOS

    with torch.no_grad():
        memory, state = net.encode(source)
        previous, steps = torch.full_like(ids[:, 0], BOS), []
        for symbol in ids.T:
            _, state, weights = net.step(previous, state, memory)
            if weights is None:
                return None
            steps.append(weights)
            previous = symbol
    return torch.stack(steps, dim=1).float().cpu().numpy()


def confusion_bars(counts: Counter[tuple[str, str]], shown: int) -> Figure:
    """The most frequent confusions of letters as bars."""
    pairs = counts.most_common(shown)
    figure = Figure(figsize=(5.0, 0.6 + 0.22 * max(len(pairs), 1)), layout="constrained")
    axis = figure.subplots()
    axis.barh([f"{letter(before)} → {letter(after)}" for (before, after), _ in pairs], [n for _, n in pairs], color="#0072B2")
    axis.invert_yaxis()
    axis.set_xlabel("times in the test split")
    axis.set_title("Most confused letters: true → written", fontsize=11)
    return figure


def save(figure: Figure, path: Path) -> None:
    """Write a figure as PNG."""
    with replacing(path) as temporary:
        FigureCanvasAgg(figure).print_png(temporary)


def explain(options: Options) -> None:
    """Spell the test split, or the words that are given, greedily, write figures and tables, and print their names.

    Raises:
        UserError: the run's data is missing or has changed, no such input, a folder that cannot be written.
    """
    from dlhw.decode import data_of
    from dlhw.decoding import Decode
    from dlhw.results import load_run

    run = load_run(options.run, options.device)
    if options.input:
        known = Vocab(run.spec.source)
        given = [phones for word in read_words(options.input) if (phones := phones_of(word, known, run.spec.normalization))]
        if not given:
            raise UserError(f"input={options.input} holds no phones: phones separated by blanks, as in input='k æ t', are right")
        print("\n".join(write_attention(run, known.array(given, end=False), options.folder / GIVEN)))
        return
    split = data_of(run, options.data_root).splits["test"]
    source, target = Vocab(run.spec.source), Vocab(run.spec.target)
    words = [[source.decode([number]) for number in row if number] for row in split.inputs]
    references = [target.decode(row) for row in split.targets]
    settings = Decode(max_symbols=run.config.task.decode.max_symbols)
    spellings = [*spell(run, words, settings, options.batch_size)]
    answers = [spelling.texts[0] for spelling in spellings]

    counts = confusions(references, answers)
    pairs = [(before, after, n) for (before, after), n in counts.most_common()]
    write_table(options.folder / "confusions.csv", ("true", "written", "times"), pairs)
    save(confusion_bars(counts, options.confusions), options.folder / "confusions.png")
    edits = [count_edits([reference], [[answer]]).characters for reference, answer in zip(references, answers, strict=True)]
    worst = sorted(range(len(edits)), key=lambda row: (-edits[row], row))[: options.words]
    rows = [(" ".join(words[row]), references[row], answers[row], edits[row], f"{spellings[row].probability:.7g}") for row in worst]
    write_table(options.folder / "worst.csv", ("phones", "true", "written", "edits", "probability"), rows)
    written = [str(options.folder / name) for name in ("confusions.csv", "confusions.png", "worst.csv")]
    print("\n".join([*written, *write_attention(run, split.inputs[: options.words], options.folder)]))


def write_attention(run: "Run", words: NDArray[np.integer], folder: Path) -> list[str]:
    """Draw where the network looks as it spells words, ids of phones (N, S), and write the matrices; returns what is to be told of it."""
    views = attention_of(run, words)
    if not views:
        return ["this network has no attention, so none is drawn"]
    write_views(folder / ATTENTION, views)
    save(attention_figure(views), folder / f"{ATTENTION}.png")
    return [str(folder / f"{ATTENTION}.png"), str(folder / ATTENTION)]


def attention_of(run: "Run", words: NDArray[np.integer]) -> list[View]:
    """Where the network looked as it spelt words greedily, ids of phones (N, S); empty where it has no attention."""
    import torch

    from dlhw.decoding import Decode
    from dlhw.specs import PAD

    task: Any = run.task
    phones, letters = Vocab(run.spec.source), Vocab(run.spec.target)
    source = torch.from_numpy(words).to(task.device)
    ids = task.head.decode(task.evaluated, source, Decode(max_symbols=run.config.task.decode.max_symbols)).ids[:, 0]
    weights = attention_weights(task.evaluated, source, ids)
    if weights is None:
        return []
    columns = [[phones.decode([number]) for number in row if number != PAD] for row in source.tolist()]
    rows = [[letters.decode([number]) or "-" for number in row if number != PAD] for row in ids.tolist()]
    return [View(matrix[: len(row), : len(column)], row, column) for matrix, row, column in zip(weights, rows, columns, strict=True)]
