"""What the score of a single run might have been on other test samples of the kind: bootstrap intervals over its stored predictions."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dlhw.atomic_file import write_text
from dlhw.results.rescore import rescore
from dlhw.results.statistics import Interval, over_samples
from dlhw.run_folder import DECODED, PREDICTIONS

INTERVALS = "intervals.json"  # in the folder of a kept run, whose answers are not kept: quantity -> lower and upper end
DRAWS = 200
MOST = 1_000_000  # predicted values that are drawn from; the interval of more is narrow, and takes minutes


def intervals(
    result: Mapping[str, Any], settings: Mapping[str, Any], predictions: Mapping[str, NDArray[Any]], only: str | None = None
) -> dict[str, Interval]:
    """The intervals of the test metrics, or of ``only`` one; none where these predictions do not tell, or are more than ``MOST`` values."""
    if not predictions or max(map(np.size, predictions.values())) > MOST:
        return {}

    def scores(rows: NDArray[np.intp]) -> dict[str, float]:
        return rescore(result["spec"], settings, {key: array[rows] for key, array in predictions.items()}, only)

    samples = len(predictions["index"])
    if only and only not in scores(np.arange(samples)):
        return {}
    found = over_samples(samples, scores, DRAWS)
    return {name: ends for name, ends in found.items() if only in (None, name)}


def stored_predictions(folder: Path, decoder: str = "") -> dict[str, NDArray[Any]]:
    """What a run has stored of the test split, or what a decoder has by its name; empty where there is nothing."""
    path = folder / DECODED / f"{decoder}.npz" if decoder else folder / PREDICTIONS
    if not path.exists():
        return {}
    with np.load(path, allow_pickle=False) as arrays:
        return dict(arrays)


def write_intervals(folder: Path, target: Path, result: Mapping[str, Any], settings: Mapping[str, Any]) -> None:
    """Write the intervals of all that a run has scored on the whole test split, with its own decoder and others, to ``target``."""
    found: dict[str, Interval] = {}
    for decoder in ("", *(path.stem for path in sorted((folder / DECODED).glob("test_*.npz")))):
        for metric, ends in intervals(result, settings, stored_predictions(folder, decoder)).items():
            if ":" not in metric:
                found[f"decoded({decoder}/{metric})" if decoder else f"test/{metric}"] = ends
    write_text(target / INTERVALS, json.dumps(found, indent=1) + "\n")


def read_intervals(folder: Path) -> dict[str, Interval]:
    """What :func:`write_intervals` has written into a folder; empty where it has not."""
    path = folder / INTERVALS
    return {quantity: (low, high) for quantity, (low, high) in json.loads(path.read_text()).items()} if path.exists() else {}
