"""Whether a result is what its run says: its metrics computed again from its predictions, then the run trained again.

For a teacher who checks a submission, and for a reader who checks us. Whoever falsifies a result can falsify the device, the versions and
the code that it names as well, so no word of it alone makes the check less strict: see :func:`tolerance_of`.
"""

import math
import tempfile
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dlhw import config
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
MADE_WITH = ("device", "precision", "git")  # fields of result.json on which, beside the versions, the last digits depend
SPLITS = ("val", "test", "last", "train")


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
        UserError: no finished run there, it has stored no predictions, or it says nothing of what they tell.
    """
    result = finished_result(folder)
    predictions = read_predictions(folder)
    found = rescore(result["spec"], read_settings(folder), predictions)
    if not found:
        raise UserError(f"{folder} has not stored its predictions beside what was to be predicted, so its metrics cannot be computed again")
    checks = [Check(f"test/{name}", _number(result["test"], name), value, EXACT) for name, value in found.items() if name in result["test"]]
    if not checks:
        raise UserError(f"{folder}: result.json says nothing of what its predictions tell: test/{', test/'.join(found)}")
    return checks


def unchecked(folder: Path, checks: Iterable[Check]) -> str:
    """What the stored predictions do not tell of a result, in words; of parts, such as proteins, only how many there are."""
    names = finished_result(folder)["test"].keys() - {check.name.removeprefix("test/") for check in checks}
    parts = Counter(name.partition(":")[0] for name in names if ":" in name)
    told = [f"test/{name}" for name in sorted(names) if ":" not in name]
    told += [f"{count} parts of test/{metric}" for metric, count in sorted(parts.items())]
    return f"not to be computed from the predictions: {', '.join([*told, 'all of val, last and train'])}"


def trained_again(folder: Path, data_root: str) -> dict[str, Any]:
    """The ``result.json`` of the same run trained again, in a temporary folder.

    Raises:
        UserError: no finished run there, its settings are not those that its result was made with, or its data is not what is here.
    """
    result, cfg = finished_result(folder), read_config(folder)
    cfg.data_root = data_root
    config.check(cfg)  # it is a stranger's: nothing is imported that is not ours
    if config_hash(identity(cfg)) != result["config_hash"]:
        raise UserError(
            f"{folder}: config.yaml is not what result.json was made with (another hash): the settings of one of them were changed"
        )
    from hydra import compose, initialize_config_dir
    from hydra.core.hydra_config import HydraConfig

    from dlhw.training import build_data, train

    config.bind(cfg)
    here, said = build_data(cfg).checksums, result["data"]
    if other := [name for name in sorted({*here, *said}) if here.get(name) != said.get(name)]:
        raise UserError(
            f"{', '.join(other)} is not the data that {folder} says it was trained on (another SHA-256): the same, in {data_root}, is right"
        )
    with tempfile.TemporaryDirectory() as place, initialize_config_dir(str(config.CONF), version_base="1.3"):
        HydraConfig.instance().set_config(compose("config", result["overrides"], return_hydra_config=True))
        train(cfg, result["experiment"], Path(place), resume=False)
        again = read_result(Path(place))
    assert again is not None
    return again


def compared(said: Mapping[str, Any], again: Mapping[str, Any], tolerance: float) -> list[Check]:
    """What a result says against that of the run trained again."""
    return [
        Check("params", _number(said, "params"), _number(again, "params"), 0.0),
        *(
            Check(f"{split}/{name} trained again", _number(said[split], name), _number(again[split], name), tolerance)
            for split in SPLITS
            for name in said.get(split, {})
        ),
    ]


def tolerance_of(said: Mapping[str, Any], again: Mapping[str, Any], strict: bool = False) -> tuple[float, str]:
    """How far the metrics of a result may be from those of the run trained again, and why, in words.

    Where a loss is the same to the last digit, both are of the very same arithmetic, whatever the result says of it; then, and where the
    result names what is here, all must repeat. Otherwise they may differ as between seeds: the reader is told what the result claims,
    which nothing proves, and has ``strict``.
    """
    claims = f"result.json says {', '.join(other)}" if (other := _made_otherwise(said, again)) else ""
    if not claims:
        return REPEATED, "every number must repeat: result.json names the device, the versions and the commit that are here"
    if same := [f"{split}/loss" for split in SPLITS if (loss := _loss(said, split)) is not None and loss == _loss(again, split)]:
        return REPEATED, f"every number must repeat, as {', '.join(same)} did to the last digit, although {claims}"
    if strict:
        return REPEATED, f"every number must repeat, as --strict asks, although {claims}"
    wide = ELSEWHERE.get(again["precision"], FEWER_BITS)
    return wide, f"numbers may be {wide:g} apart, as between seeds, since {claims}; nothing proves that, and --strict does not allow it"


def _made_otherwise(said: Mapping[str, Any], again: Mapping[str, Any]) -> list[str]:
    """What a result says that it was made with, where that is not what is here."""
    told, here = ({**result.get("versions", {}), **{name: result.get(name) for name in MADE_WITH}} for result in (said, again))
    return [f"{name} {told.get(name)} (here {value})" for name, value in here.items() if told.get(name) != value]


def _loss(result: Mapping[str, Any], split: str) -> float | None:
    return result.get(split, {}).get("loss")


def _number(values: Mapping[str, Any], name: str) -> float:
    value = values.get(name)
    return math.nan if value is None else float(value)


def verify(folder: Path, data_root: str, train_again: bool = True, strict: bool = False) -> bool:
    """Print every check of a run; returns whether all are within their tolerance.

    Args:
        strict: the run trained again must give the same numbers, even if it was made elsewhere.
    """
    try:
        checks = from_predictions(folder)
    except UserError as error:  # as in a kept run, whose answers are not ours to give away
        if not train_again:
            raise
        checks = []
        print(error)
    for check in checks:
        print(check)
    if checks:
        print(unchecked(folder, checks))
    within = ""
    if train_again and all(check.within for check in checks):
        said, again = finished_result(folder), trained_again(folder, data_root)
        tolerance, why = tolerance_of(said, again, strict)
        print(why)
        second = compared(said, again, tolerance)
        for check in second:
            print(check)
        checks += second
        within = f", those trained again within {tolerance:g}"
    if wrong := [check.name for check in checks if not check.within]:
        print(f"{folder}: {len(wrong)} of {len(checks)} numbers do not agree: {', '.join(wrong)}")
    else:
        print(f"{folder}: all {len(checks)} numbers agree{within}")
    return not wrong
