"""A result against that of the same run trained again: its numbers, its curves, its weights, and how far these may be apart."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dlhw.results.checks import EXACT, SPLITS, Check, Same, alike, number
from dlhw.run_files import is_simulated, read_metrics
from dlhw.run_folder import BEST, LAST, METRICS

REPEATED = 1e-6  # of a training with the same versions on the same device
# Of a training elsewhere, or in arithmetic of fewer bits: another course of the same training, so metrics differ as they do between seeds.
ELSEWHERE = {"32-true": 0.02, "64-true": 0.02}
FEWER_BITS = 0.03
MADE_WITH = ("device", "precision", "git")  # fields of result.json on which, beside the versions, the last digits depend
TIMED = "samples_per_second"  # a column of metrics.csv that no training repeats


def compared(said: Mapping[str, Any], again: Mapping[str, Any], tolerance: float, may_stop: bool = False) -> list[Check | Same]:
    """What a result says against that of the run trained again.

    Args:
        may_stop: the training may end before its last epoch, so elsewhere it may have had another number of them.
    """
    exactly = tolerance == REPEATED
    return [
        *(Same(name, said.get(name), again.get(name)) for name in ("params", "monitor")),
        Same("simulated", is_simulated(said), is_simulated(again)),
        Same("epochs", said.get("epochs"), again.get("epochs"), exactly or not may_stop),
        *(Same(name, said.get(name), again.get(name), exactly) for name in ("best_epoch", "layers", "spec")),
        *(
            Check(f"{split}/{name} trained again", number(said[split], name), number(again[split], name), tolerance)
            for split in SPLITS
            for name in said.get(split, {})
        ),
    ]


def files_compared(folder: Path, again: Path) -> list[Same]:
    """The curves and the checkpoints of a run against those of the run trained again in the folder ``again``.

    Raises:
        UserError: a file is damaged.
    """
    kept = [name for name in (BEST, LAST) if (folder / name).exists()]
    return [
        alike(METRICS, _curves(folder / METRICS), _curves(again / METRICS), REPEATED),
        *(_weights(name, folder, again) for name in kept),
    ]


def _curves(path: Path) -> dict[str, float]:
    rows = enumerate(read_metrics(path))
    return {f"{name} of row {row}": value for row, values in rows for name, value in values.items() if name != TIMED}


def _weights(name: str, folder: Path, again: Path) -> Same:
    """How many weights of each tensor differ by more than the last digits; none should."""
    import torch

    from dlhw.checkpoint_file import load_checkpoint

    said, found = ({key: value.double() for key, value in load_checkpoint(place / name)["state_dict"].items()} for place in (folder, again))
    differing = {key: max(1, value.numel()) for key, value in {**said, **found}.items()}  # unless both have it, and in one shape
    for key in said.keys() & found.keys():
        if said[key].shape == found[key].shape:
            differing[key] = int((~torch.isclose(said[key], found[key], rtol=EXACT, atol=REPEATED, equal_nan=True)).sum())
    return alike(f"{name}, weights that differ", dict.fromkeys(differing, 0), differing, 0.0)


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
