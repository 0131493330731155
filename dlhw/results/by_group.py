"""Error rates of finished OCR runs for each group of lines, a book, and over all."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from dlhw.atomic_file import replacing
from dlhw.data.npz import UNREADABLE
from dlhw.edit_distance import count_edits
from dlhw.errors import UserError
from dlhw.results.load import load_runs
from dlhw.results.summary import telling
from dlhw.run_folder import PREDICTIONS

ALL = "all"


def rates(predictions: Path) -> pd.DataFrame:
    """CER and WER of the stored predictions of one run: a row for each group, sorted, and a last one for all, in which ``whole`` is true
    (a group may be called all, too).

    Raises:
        UserError: no such file, or one without texts and groups.
    """
    try:
        with np.load(predictions, allow_pickle=False) as file:
            stored = {name: file[name] for name in ("reference", "hypothesis", "group") if name in file}
    except UNREADABLE as error:
        raise UserError(f"{predictions} cannot be read ({error}); the predictions that a run has stored are right") from None
    if len(stored) < 3:
        raise UserError(f"{predictions} holds no texts with groups: a run of task=ocr is right")
    groups, rows = stored["group"], []
    parts = [(str(group), groups == group, False) for group in np.unique(groups)]
    for group, chosen, whole in [*parts, (ALL, np.full(len(groups), True), True)]:
        edits = count_edits(stored["reference"][chosen].tolist(), stored["hypothesis"][chosen].tolist())
        rows.append((group, whole, int(chosen.sum()), edits.reference_characters, edits.cer, edits.wer))
    return pd.DataFrame(rows, columns=["group", "whole", "lines", "characters", "cer", "wer"])


def table(files: Sequence[Path]) -> pd.DataFrame:
    """Means over files of predictions of the same lines, with the sample standard deviation where there are several."""
    every = pd.concat([rates(file) for file in files])
    grouped = every.groupby(["group", "whole"], sort=False)
    found = grouped[["lines", "characters", "cer", "wer"]].mean()
    if len(files) > 1:
        spread = grouped[["cer", "wer"]].std()
        found = found.assign(**{f"{name} sd": spread[name] for name in ("cer", "wer")})
    return found.astype({"lines": int, "characters": int}).reset_index().drop(columns="whole")


def by_group(places: Sequence[str], csv: Path | None = None) -> None:
    """Print the table of groups for each setting of the runs below ``places``, or for files of predictions; write them to ``csv``.

    Files of one name are taken for the seeds of one setting; another name is that of another decoder.
    """
    files = [Path(place) for place in places if place.endswith(".npz")]
    parts: list[pd.DataFrame] = []
    for place in (place for place in places if not place.endswith(".npz")):
        runs = load_runs(place)
        finished = runs[runs["status"] == "finished"]
        if finished.empty:
            raise UserError(f"no run below {place} is finished")
        names = ["experiment", "task", "model", *telling(finished)]
        for settings, members in finished.groupby(names, dropna=False, sort=False):
            paths = [Path(path) for path in members["path"]]
            said = ", ".join(f"{name} {value}" for name, value in zip(names, settings, strict=True) if value is not None and value == value)
            parts.append(table([path / PREDICTIONS for path in paths]).assign(setting=f"{said}, {len(paths)} runs"))
    for name in dict.fromkeys(file.name for file in files):
        of_name = [file for file in files if file.name == name]
        parts.append(table(of_name).assign(setting=f"{name}, {len(of_name)} files"))
    if csv:
        with replacing(csv) as temporary:
            pd.concat(parts).to_csv(temporary, index=False)
    for part in parts:
        print(f"{part['setting'].iloc[0]}\n{part.drop(columns='setting').to_string(index=False, float_format='{:.4f}'.format)}\n")
    if csv:
        print(f"written: {csv}")
