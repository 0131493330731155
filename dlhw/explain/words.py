"""What a network that spells has learnt: where it looks, which letters it confuses, which words it spells worst.

Of the test split are written ``attention.png`` (where the network has attention), ``confusions.csv``, ``confusions.png``, ``worst.csv``.

Legend: N words, S phones, T letters.
"""

import csv
from collections import Counter
from collections.abc import Sequence
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
from dlhw.predict.words import spell

if TYPE_CHECKING:
    from torch import Tensor

    from dlhw.results import Run


@dataclass(frozen=True)
class Options(common.Options):
    """``words``: how many are drawn and how many of the worst are listed; ``confusions``: how many pairs of letters are drawn."""

    words: int = 12
    confusions: int = 30

    def __post_init__(self) -> None:
        super().__post_init__()
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


def attention_figure(weights: Sequence[NDArray[np.floating]], phones: Sequence[Sequence[str]], letters: Sequence[Sequence[str]]) -> Figure:
    """One matrix a word, (T, S): a row is a letter of the answer, a column a phone, dark where the network looked."""
    columns = min(4, len(weights))
    rows = -(-len(weights) // columns)
    figure = Figure(figsize=(3.0 * columns, 3.0 * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).flatten()
    for axis, matrix, of_word, written in zip(axes, weights, phones, letters, strict=False):
        axis.imshow(matrix, cmap="Blues", vmin=0, vmax=1, aspect="auto")
        axis.set_xticks(range(len(of_word)), of_word)
        axis.set_yticks(range(len(written)), written)
        axis.tick_params(length=0, labelsize=8)
    for axis in axes[len(weights) :]:
        axis.axis("off")
    figure.suptitle("Attention: rows are the letters written (- the end), columns the phones", fontsize=11)
    return figure


def confusion_bars(counts: Counter[tuple[str, str]], shown: int) -> Figure:
    """The most frequent confusions of letters as bars."""
    pairs = counts.most_common(shown)
    figure = Figure(figsize=(5.0, 0.6 + 0.22 * max(len(pairs), 1)), layout="constrained")
    axis = figure.subplots()
    axis.barh([f"{before or '(nothing)'} → {after or '(nothing)'}" for (before, after), _ in pairs], [n for _, n in pairs], color="#0072B2")
    axis.invert_yaxis()
    axis.set_xlabel("times in the test split")
    axis.set_title("Most confused letters: true → written", fontsize=11)
    return figure


def save(figure: Figure, path: Path) -> None:
    """Write a figure as PNG."""
    with replacing(path) as temporary:
        FigureCanvasAgg(figure).print_png(temporary)


def write_table(path: Path, header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Write a CSV."""
    with replacing(path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(header)
        table.writerows(rows)


def explain(options: Options) -> None:
    """Spell the test split greedily, write figures and tables, and print their names.

    Raises:
        UserError: the run's data is missing or has changed, a folder that cannot be written.
    """
    from dlhw.decode import data_of
    from dlhw.decoding import Decode
    from dlhw.results import load_run

    run = load_run(options.run, options.device)
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
    written = ["confusions.csv", "confusions.png", "worst.csv"]
    if drawing := attention_of(run, split.inputs[: options.words]):
        save(drawing, options.folder / "attention.png")
        written.append("attention.png")
    else:
        print("this network has no attention, so none is drawn")
    print("\n".join(str(options.folder / name) for name in written))


def attention_of_words(folder: Path, words: Sequence[str]) -> Figure | None:
    """Where the network of a run looks as it spells words in IPA, the phones separated by blanks; None where it has no attention."""
    from dlhw.results import load_run

    run = load_run(folder)
    return attention_of(run, Vocab(run.spec.source).array([word.split() for word in words], end=False))


def attention_of(run: "Run", words: NDArray[np.integer]) -> Figure | None:
    """Where the network looked as it spelt words greedily, ids of phones (N, S); None where it has no attention."""
    import torch

    from dlhw.decoding import Decode
    from dlhw.specs import PAD

    task: Any = run.task
    phones, letters = Vocab(run.spec.source), Vocab(run.spec.target)
    source = torch.from_numpy(words).to(task.device)
    ids = task.head.decode(task.evaluated, source, Decode(max_symbols=run.config.task.decode.max_symbols)).ids[:, 0]
    weights = attention_weights(task.evaluated, source, ids)
    if weights is None:
        return None
    columns = [[phones.decode([number]) for number in row if number != PAD] for row in source.tolist()]
    rows = [[letters.decode([number]) or "-" for number in row if number != PAD] for row in ids.tolist()]
    matrices = [matrix[: len(row), : len(column)] for matrix, row, column in zip(weights, rows, columns, strict=True)]
    return attention_figure(matrices, columns, rows)
