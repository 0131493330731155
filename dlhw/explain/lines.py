"""What a network that reads lines has learnt: where it looks, what it is unsure of, what it confuses, which lines it reads worst.

Of the test split are written ``posteriors.png`` (CTC: the probability of each letter over the line) or ``attention.png`` (where the
decoder looked as it wrote) with their matrices and lines in a folder of that name, ``confusions.csv``, ``confusions.png``, ``worst.csv``
and ``worst.png``.

Legend: S steps along the line, T letters, H height, W width.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from dlhw.edit_distance import confusions, count_edits
from dlhw.errors import UserError
from dlhw.explain import options as common
from dlhw.explain.views import ATTENTION, POSTERIORS, View, over_line_figure, write_table, write_views
from dlhw.explain.words import attention_weights, confusion_bars, save
from dlhw.predict.lines import Reading, read

if TYPE_CHECKING:
    from dlhw.data.line_pictures import LineSplit
    from dlhw.results import Run


@dataclass(frozen=True)
class Options(common.Options):
    """``lines``: how many are drawn and how many of the worst are listed; ``confusions``: how many pairs of letters are drawn."""

    batch_size: int = 32
    lines: int = 12
    confusions: int = 30

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("lines", "confusions"):
            if getattr(self, name) < 1:
                raise UserError(f"{name}={getattr(self, name)} is out of range: at least 1")


def explain(options: Options) -> None:
    """Read the test split greedily, write figures and tables, and print their names.

    Raises:
        UserError: the run's data is missing or has changed, a folder that cannot be written.
    """
    from dlhw.data.vocab import Vocab
    from dlhw.decode import data_of
    from dlhw.decoding import Decode
    from dlhw.results import load_run

    warnings.filterwarnings("ignore", "Glyph .* missing from font")  # of medieval signs; they are drawn as boxes
    run = load_run(options.run, options.device)
    split: LineSplit = data_of(run, options.data_root).splits["test"]  # type: ignore[assignment]  # what a run on a LineSpec has
    references = [Vocab(run.spec.target).decode(row) for row in split.targets.tolist()]
    settings = Decode(max_symbols=run.config.task.decode.max_symbols)
    readings = read(run, [split.picture(line).T for line in range(len(references))], settings, options.batch_size)
    answers = [reading.text for reading in readings]

    counts = confusions(references, answers)
    pairs = [(before, after, n) for (before, after), n in counts.most_common()]
    write_table(options.folder / "confusions.csv", ("true", "written", "times"), pairs)
    save(confusion_bars(counts, options.confusions), options.folder / "confusions.png")
    edits = [count_edits([reference], [[answer]]).characters for reference, answer in zip(references, answers, strict=True)]
    worst = sorted(range(len(edits)), key=lambda row: (-edits[row] / max(len(references[row]), 1), row))[: options.lines]
    names = split.names or tuple(map(str, range(len(edits))))
    rows = [(names[row], references[row], answers[row], edits[row], f"{readings[row].probability:.7g}") for row in worst]
    write_table(options.folder / "worst.csv", ("picture", "true", "written", "edits", "probability"), rows)
    captions = [f"{names[row]}\n{references[row]}\n{answers[row]}" for row in worst]
    save(pictures_figure([split.picture(row) for row in worst], captions), options.folder / "worst.png")
    written = ["confusions.csv", "confusions.png", "worst.csv", "worst.png"]
    if views := over_lines(run, split, readings[: options.lines]):
        name = POSTERIORS if run.task.net.head == "ctc" else ATTENTION
        write_views(options.folder / name, views)
        save(over_line_figure(views), options.folder / f"{name}.png")
        written += [f"{name}.png", name]
    else:
        print("this network has no attention, so none is drawn")
    print("\n".join(str(options.folder / name) for name in written))


def pictures_figure(pictures: Sequence[NDArray[np.uint8]], captions: Sequence[str]) -> Figure:
    """Lines below each other, each with its name, what stands on it and what was read."""
    figure = Figure(figsize=(7.0, 1.3 * len(pictures)), layout="constrained")
    for axis, picture, caption in zip(figure.subplots(len(pictures), 1, squeeze=False)[:, 0], pictures, captions, strict=True):
        axis.imshow(picture, cmap="gray", vmin=0, vmax=255)
        axis.set_title(caption, fontsize=8, loc="left", parse_math=False)
        axis.axis("off")
    return figure


def over_lines(run: "Run", split: "LineSplit", readings: Sequence[Reading]) -> list[View]:
    """The posteriors of CTC, or the attention, over the first lines, of which there are readings; empty for a decoder without attention."""
    import torch

    task: Any = run.task
    views = []
    for row, reading in enumerate(readings):
        picture = split.picture(row)
        inputs = (torch.from_numpy(picture.copy())[None].to(task.device), torch.tensor([picture.shape[1]], device=task.device))
        prepared = task.prepared(inputs, torch.tensor([row]), train=False)
        written = [letter for letter, _ in reading.letters]
        if task.net.head == "ctc":
            with torch.no_grad():
                matrix, shown = posteriors(task.evaluated(prepared)[0][0], written, task.vocab.symbols)
        else:
            ids = torch.tensor([task.vocab.encode(written)], device=task.device)
            weights = attention_weights(task.evaluated, prepared, ids) if written else None
            if weights is None:
                continue
            matrix, shown = weights[0], written
        views.append(View(matrix, shown, [*map(str, range(matrix.shape[1]))], picture))
    return views


def posteriors(logits: Any, written: Sequence[str], symbols: Sequence[str]) -> tuple[NDArray[np.float32], list[str]]:
    """Probabilities over the steps of the letters that were written, each once, and of the blank: (letters, S), and their names."""
    probabilities = logits.float().softmax(dim=1).cpu().numpy().T  # (K, S), the blank first
    shown = [*dict.fromkeys(written)]
    return probabilities[[0, *(1 + symbols.index(letter) for letter in shown)]], ["blank", *shown]
