"""Several finished runs as one: the mean of their test predictions, scored. Those that transcribe are for :mod:`dlhw.decode`."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dlhw.atomic_file import replacing, write_text
from dlhw.errors import UserError
from dlhw.results.asked import has
from dlhw.results.intervals import stored_predictions
from dlhw.results.load import finished_result, load_runs, read_settings
from dlhw.results.rescore import rescore
from dlhw.run_folder import DECODED, PREDICTIONS

MEAN = "test_mean"  # what the score is called, as a decoder's is by its name
ANSWERS = {"probabilities": "targets", "predicted": "measured"}  # what is predicted: what is true


def ensemble(places: Sequence[str], asked: Mapping[str, str]) -> None:
    """Score the mean of the test predictions of all finished runs below ``places`` that have the settings asked for, and tell the metrics.

    They are written to ``decoded/`` beside the folders of the runs.

    Raises:
        UserError: fewer than two such runs, other data in one of them, or predictions that are not stored or have no mean.
    """
    runs = load_runs(*places)
    folders = [Path(path) for path in runs[runs["status"] == "finished"]["path"]]
    folders = [folder for folder in folders if has(folder, asked)]
    if len(folders) < 2:
        words = " ".join(f"{key}={value}" for key, value in asked.items())
        raise UserError(f"below {', '.join(places)} there are {len(folders)} finished runs {words}: an ensemble is of two at least")
    results = {folder: finished_result(folder) for folder in folders}
    first = results[folders[0]]
    if other := [str(folder) for folder, one in results.items() if (one["spec"], one["data"]) != (first["spec"], first["data"])]:
        raise UserError(f"an ensemble is of runs on the same data; {', '.join(other)} has other data than {folders[0]}")
    arrays = mean_of(folders)
    metrics = rescore(first["spec"], read_settings(folders[0]), arrays)
    members = [folder.name for folder in folders]
    write_scores(folders[0].parent / DECODED, f"{ensemble_name(folders)}_{MEAN}", {"ensemble": members, "test": metrics}, arrays)
    told = ", ".join(f"{name} {value:.4f}" for name, value in metrics.items() if ":" not in name)
    print(f"ensemble of {len(folders)}: {told}")


def mean_of(folders: Sequence[Path]) -> dict[str, NDArray[Any]]:
    """What the runs have predicted for the test split, the mean over them, and what is true.

    Raises:
        UserError: see :func:`ensemble`.
    """
    total, truth, answers = np.zeros(()), np.zeros(()), ""
    for folder in folders:
        stored = stored_predictions(folder)
        answers = next((name for name in ANSWERS if name in stored), "")
        if not answers:
            why = "its texts have no mean: python -m dlhw.decode --ensemble is right" if stored else f"it has no {PREDICTIONS}"
            raise UserError(f"{folder}: {why}")
        true = stored[ANSWERS[answers]]
        if folder != folders[0] and not np.array_equal(true, truth, equal_nan=true.dtype.kind == "f"):
            raise UserError(f"{folder} has not the test samples of {folders[0]}: an ensemble is of runs with the same ones")
        total, truth = total + stored[answers].astype(np.float64), true
    return {answers: (total / len(folders)).astype(np.float32), ANSWERS[answers]: truth}


def ensemble_name(folders: Sequence[Path]) -> str:
    """The number of members and, since as many others would make another ensemble, a digest of their folders' names."""
    members = sorted(f"{folder.parent.name}/{folder.name}" for folder in map(Path.resolve, folders))
    return f"ensemble-of-{len(members)}-{hashlib.sha256(chr(10).join(members).encode()).hexdigest()[:6]}"


def write_scores(folder: Path, name: str, scores: Mapping[str, Any], predictions: Mapping[str, NDArray[Any]]) -> None:
    """``FOLDER/NAME.json`` and the predictions beside it."""
    with replacing(folder / f"{name}.npz") as temporary, open(temporary, "wb") as file:
        np.savez_compressed(file, allow_pickle=False, **predictions)
    write_text(folder / f"{name}.json", json.dumps(scores, indent=2) + "\n")
