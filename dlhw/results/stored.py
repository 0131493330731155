"""A result against what the run has stored beside it: test predictions, and those of other decoders. Also what none of it tells."""

import json
import re
import zipfile
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from dlhw.errors import UserError
from dlhw.results.checks import EXACT, SPLITS, Check, Checks, Same, alike, number
from dlhw.results.load import finished_result, read_settings
from dlhw.results.reference import COMPACT, CONFUSION, read_predictions
from dlhw.results.rescore import rescore
from dlhw.run_folder import CONFIG, DECODED, LOCK, PREDICTIONS, RESULT

FROM_PREDICTIONS = (PREDICTIONS, COMPACT, CONFUSION)
DAMAGED = (OSError, EOFError, zipfile.BadZipFile, ValueError, KeyError, TypeError, IndexError, AttributeError)


def from_predictions(folder: Path) -> list[Check]:
    """The test metrics against those of the stored predictions; empty where what was to be predicted is not stored, as in a kept run.

    Raises:
        UserError: no finished run there, its predictions are damaged, or it says nothing of what they tell.
    """
    result = finished_result(folder)
    try:
        found = rescore(result["spec"], read_settings(folder), read_predictions(folder))
    except DAMAGED as error:
        raise UserError(f"{folder}: the stored predictions are damaged, or not of this result ({type(error).__name__}: {error})") from None
    checks = [Check(f"test/{name}", number(result["test"], name), value, EXACT) for name, value in found.items() if name in result["test"]]
    if found and not checks:
        raise UserError(f"{folder}: result.json says nothing of what its predictions tell: test/{', test/'.join(found)}")
    return checks


def from_decoded(folder: Path, result: Mapping[str, Any]) -> list[Same]:
    """The scores of other decoders, of this run and of ensembles that it is in, against the predictions that lie beside them.

    Raises:
        UserError: a file is damaged.
    """
    checks = []
    for path in decoded_files(folder):
        if not (beside := path.with_suffix(".npz")).exists():
            continue
        try:
            with np.load(beside, allow_pickle=False) as arrays:
                found = rescore(result["spec"], read_settings(folder), dict(arrays))
            scores = json.loads(path.read_text(encoding="utf-8"))
            names = [(split, name) for split in SPLITS if split in scores for name in found if name in scores[split]]
            said = {f"{split}/{name}": number(scores[split], name) for split, name in names}
        except DAMAGED:
            raise UserError(f"{path} or the predictions beside it are damaged: score the run again with python -m dlhw.decode") from None
        if said:
            checks.append(alike(_decoded(path), said, {f"{split}/{name}": found[name] for split, name in names}, EXACT))
    return checks


def decoded_files(folder: Path) -> list[Path]:
    """What ``python -m dlhw.decode`` has scored of a run, and of ensembles that name it.

    Raises:
        UserError: the file of an ensemble is damaged.
    """
    files = sorted((folder / DECODED).glob("*.json"))
    for path in sorted((folder.resolve().parent / DECODED).glob("ensemble-*.json")):
        try:
            members = {Path(member).name for member in json.loads(path.read_text(encoding="utf-8"))["ensemble"]}
        except DAMAGED:
            raise UserError(f"{path} is damaged: delete it and score the ensemble again with python -m dlhw.decode --ensemble") from None
        files += [path] if folder.resolve().name in members else []
    return files


def _decoded(path: Path) -> str:
    return f"{DECODED}/{path.name}"


def unchecked(folder: Path, checks: Checks) -> str:
    """What the stored predictions do not tell of a result, in words; of parts, such as proteins, only how many there are."""
    names = finished_result(folder)["test"].keys() - {check.name.removeprefix("test/") for check in checks}
    parts = Counter(name.partition(":")[0] for name in names if ":" in name)
    told = [f"test/{name}" for name in sorted(names) if ":" not in name]
    told += [f"{count} parts of test/{metric}" for metric, count in sorted(parts.items())]
    return f"not to be computed from the predictions: {', '.join([*told, 'all of val, last and train'])}"


def not_checked(folder: Path, result: Mapping[str, Any], checks: Checks) -> str:
    """Every field of a result and every file beside it that no check has looked at, in words."""
    names = [check.name for check in checks]
    told = {re.split(r"[/:, ]", name)[0] for name in names} | {"status", CONFIG, RESULT, LOCK, DECODED}
    if any(name.startswith("test/") and not name.endswith("trained again") for name in names):
        told |= {*FROM_PREDICTIONS}
    left = [name for name in (*result, *(path.name for path in sorted(folder.iterdir()))) if name not in told]
    decoded = [_decoded(path) for path in decoded_files(folder)]
    left += [name for name in decoded if name not in names]
    if rescored := [name for name in decoded if name in names]:
        left.append(f"the loss in {', '.join(rescored)} and how the predictions there came about, which dlhw.decode would give again")
    return f"not checked, times among it: {', '.join(left)}"
