"""Whether a result is what its run says: its metrics computed again from its predictions, then the run trained again.

For a teacher who checks a submission, and for a reader who checks us.
"""

import math
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dlhw.errors import UserError
from dlhw.results.load import finished_result, read_settings
from dlhw.results.reference import read_predictions
from dlhw.results.rescore import rescore
from dlhw.run_files import read_config, read_result
from dlhw.run_folder import config_hash, identity

EXACT = 1e-5  # of metrics from stored predictions, which are float32
REPEATED = 1e-6  # of a training with the same versions on the same device
# Of a training elsewhere, or in arithmetic of fewer bits: another course of the same training, so metrics differ as they do between seeds.
ELSEWHERE = {"32-true": 0.02, "64-true": 0.02}
FEWER_BITS = 0.03


@dataclass(frozen=True)
class Check:
    """One number: what the result says, what was found, and how far the two may be apart."""

    name: str
    said: float
    found: float
    tolerance: float

    @property
    def difference(self) -> float:
        return abs(self.said - self.found)

    @property
    def within(self) -> bool:
        """NaN agrees with NaN only."""
        if math.isnan(self.said) or math.isnan(self.found):
            return math.isnan(self.said) and math.isnan(self.found)
        return self.difference <= self.tolerance

    def __str__(self) -> str:
        verdict = "within" if self.within else "NOT WITHIN"
        numbers = f"said {self.said:<12.6g} found {self.found:<12.6g} difference {self.difference:<9.2g}"
        return f"{self.name:<40} {numbers} {verdict} {self.tolerance:g}"


def from_predictions(folder: Path) -> list[Check]:
    """The test metrics against those of the stored predictions.

    Raises:
        UserError: no finished run there, or it has stored no predictions.
    """
    result = finished_result(folder)
    predictions = read_predictions(folder)
    found = rescore(result["spec"], read_settings(folder), predictions)
    if not found:
        raise UserError(f"{folder} has not stored its predictions beside what was to be predicted, so its metrics cannot be computed again")
    return [Check(f"test/{name}", _number(result["test"], name), value, EXACT) for name, value in found.items() if name in result["test"]]


def from_training(folder: Path, data_root: str) -> list[Check]:
    """The metrics against those of the same run trained again, in a temporary folder.

    Raises:
        UserError: no finished run there, or its settings are not those that its result was made with.
    """
    result, cfg = finished_result(folder), read_config(folder)
    cfg.data_root = data_root
    if config_hash(identity(cfg)) != result["config_hash"]:
        raise UserError(
            f"{folder}: config.yaml is not what result.json was made with (another hash): the settings of one of them were changed"
        )
    from hydra import compose, initialize_config_dir
    from hydra.core.hydra_config import HydraConfig

    from dlhw.config import CONF
    from dlhw.training import train

    with tempfile.TemporaryDirectory() as place, initialize_config_dir(str(CONF), version_base="1.3"):
        HydraConfig.instance().set_config(compose("config", result["overrides"], return_hydra_config=True))
        train(cfg, result["experiment"], Path(place), resume=False)
        again = read_result(Path(place))
    assert again is not None
    tolerance = _tolerance(result, again)
    return [
        Check(f"{split}/{name} trained again", _number(result[split], name), _number(again[split], name), tolerance)
        for split in ("val", "test")
        for name in result[split]
    ]


def _tolerance(said: Mapping[str, Any], found: Mapping[str, Any]) -> float:
    if all(said.get(key) == found.get(key) for key in ("device", "precision", "versions", "git", "data")):
        return REPEATED
    return ELSEWHERE.get(said["precision"], FEWER_BITS)


def _number(values: Mapping[str, Any], name: str) -> float:
    value = values.get(name)
    return math.nan if value is None else float(value)


def verify(folder: Path, data_root: str, train_again: bool = True) -> bool:
    """Print every check of a run; returns whether all are within their tolerance."""
    try:
        checks = from_predictions(folder)
    except UserError as error:  # as in a kept run, whose answers are not ours to give away
        if not train_again:
            raise
        checks = []
        print(error)
    for check in checks:
        print(check)
    if checks and (unchecked := sorted(finished_result(folder)["test"].keys() - {check.name.removeprefix("test/") for check in checks})):
        print(f"not to be computed from the predictions: {', '.join(unchecked)}")
    if train_again and all(check.within for check in checks):
        again = from_training(folder, data_root)
        for check in again:
            print(check)
        checks += again
    wrong = [check.name for check in checks if not check.within]
    told = f"{len(wrong)} of {len(checks)} numbers do not agree: {', '.join(wrong)}" if wrong else f"all {len(checks)} numbers agree"
    print(f"{folder}: {told}")
    return not wrong
