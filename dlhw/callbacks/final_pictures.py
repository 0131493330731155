"""What is shown of a finished run beyond its curves: confusion matrix, precision-recall curves, the most wrong pictures."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dlhw.atomic_file import replacing
from dlhw.predictions import confusion_counts, indicators, sample_losses
from dlhw.run_folder import MOST_WRONG
from dlhw.specs import ImageSpec

SHOWN = 16  # pictures
THRESHOLDS = 127  # of TensorBoard's own precision-recall curves; more than these it cannot read


def write_final_pictures(
    folder: Path, logger: Any, spec: Any, predictions: dict[str, NDArray[Any]], pictures: NDArray[np.uint8], step: int
) -> None:
    """Write the figures of a classified test split to Lightning's TensorBoard logger, where there is one; other tasks have none of them.

    Under ``test/``: ``confusion`` (not for multi-label sets: their labels do not exclude each other, so none is taken for another),
    ``precision_recall`` as a figure and, one a class, in TensorBoard's own tab, and ``most_wrong``, the pictures of the highest loss.

    The most wrong pictures are a file of the run folder as well, for the report.

    Args:
        predictions: ``probabilities`` (N, K), ``targets`` (N,) or (N, K), ``index`` (N,), the row of each sample in ``pictures``.
        pictures: uint8 (N, H, W, C), possibly mapped from a file; only the rows that are shown are read.
        step: where TensorBoard puts them; the number of epochs.
    """
    if not isinstance(spec, ImageSpec) or "probabilities" not in predictions:
        return
    from dlhw import figures  # matplotlib: only where something is drawn

    wrong = figures.rendered(_most_wrong_figure(spec, predictions, pictures))
    with replacing(folder / MOST_WRONG) as temporary, open(temporary, "wb") as file:
        Image.fromarray(wrong).save(file, "PNG", optimize=True)
    if logger is None:
        return
    writer = logger.experiment
    probabilities, targets = predictions["probabilities"], predictions["targets"]
    true = indicators(targets, spec.outputs)
    curves = figures.precision_recall_figure(true, probabilities, spec.classes, "Test split, each class against the rest")
    drawn = {"precision_recall": figures.rendered(curves), "most_wrong": wrong}
    if spec.labels != "multi-label":
        counts = confusion_counts(targets, probabilities.argmax(axis=1), spec.outputs)
        drawn["confusion"] = figures.rendered(figures.confusion_figure(counts, spec.classes, "Confusion matrix, test split"))
    for name, pixels in drawn.items():  # add_figure would import pyplot and its list of open figures
        writer.add_image(f"test/{name}", pixels, step, dataformats="HWC")
    for k, name in enumerate(spec.classes):
        writer.add_pr_curve(f"test/precision_recall/{name}", true[:, k], probabilities[:, k], step, num_thresholds=THRESHOLDS)


def most_wrong(probabilities: NDArray[Any], targets: NDArray[Any], n: int) -> NDArray[np.intp]:
    """The rows of the ``n`` samples of the highest loss, the highest first; of a multi-label set the loss is the mean over labels."""
    losses = sample_losses(probabilities, targets)
    return np.argsort(-losses.reshape(len(losses), -1).mean(axis=1), kind="stable")[:n]


def _most_wrong_figure(spec: ImageSpec, predictions: dict[str, NDArray[Any]], pictures: NDArray[np.uint8]) -> Any:
    from dlhw.figures import pictures_figure

    probabilities, targets = predictions["probabilities"], predictions["targets"]
    rows = most_wrong(probabilities, targets, SHOWN)
    captions, wrong = zip(*(_caption(spec.classes, probabilities[row], targets[row]) for row in rows), strict=True)
    title = f"The {len(rows)} test pictures with the highest loss: true → predicted (probability)"
    return pictures_figure(pictures[predictions["index"][rows]], captions, wrong, title=title)


def _caption(classes: tuple[str, ...], probabilities: NDArray[Any], target: NDArray[Any]) -> tuple[str, bool]:
    """``true → predicted (probability)`` on two lines, and whether it is wrong; of a multi-label sample, of its worst label."""
    from dlhw.figures import shortened

    if target.ndim:
        label = int(sample_losses(probabilities[None], target[None])[0].argmax())
        probability, is_true, name = probabilities[label], target[label] > 0.5, classes[label]
        predicted, said = probability > 0.5, max(probability, 1 - probability)
        words = [(name if present else f"no {name}") for present in (is_true, predicted)]
    else:
        predicted, said = probabilities.argmax(), probabilities.max()
        is_true, words = target, [classes[target], classes[predicted]]
    before, after = (shortened(word, 20) for word in words)
    return f"{before}\n→ {after} ({said:.2f})", bool(is_true != predicted)
