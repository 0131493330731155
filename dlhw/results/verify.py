"""Whether a result is what its run says: its labels by its settings, its metrics by its predictions, then all by the run trained again.

For a teacher who checks a submission, and for a reader who checks us. Whoever falsifies a result can falsify the device, the versions and
the code that it names as well, so no word of it alone makes the check less strict: see :func:`dlhw.results.repeated.tolerance_of`.
What cannot be checked is named at the end: times, what the run was made with, the files that a training does not write again. Where the
weights start from another run's, or the data lies where the run says, the reader is told where, since both are taken as they are.
"""

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from dlhw import config
from dlhw.errors import UserError
from dlhw.results.checks import SPLITS, Check, Checks, Same
from dlhw.results.load import finished_result
from dlhw.results.repeated import REPEATED, compared, files_compared, tolerance_of
from dlhw.results.stored import from_decoded, from_predictions, not_checked, unchecked
from dlhw.run_files import read_config, read_result
from dlhw.run_folder import BEST, RESULT, config_hash, identity, locate

# Fields of result.json that are read here, beside what every reader of results asks for.
FIELDS = {"config_hash": str, "overrides": list, "data": dict, "spec": dict, "versions": dict, "notes": dict, "seed": int, "params": int}


def stated(folder: Path) -> dict[str, Any]:
    """The ``result.json`` of a finished run, with all that is to be checked, each of the right kind.

    Raises:
        UserError: no finished run there, or a field is missing or of another kind.
    """
    result = finished_result(folder)
    wrong = [name for name, kind in FIELDS.items() if not isinstance(result.get(name), kind)]
    if "overrides" not in wrong and not all(isinstance(word, str) for word in result["overrides"]):
        wrong.append("overrides")
    for split in SPLITS:
        metrics = result.get(split, {})
        whole = isinstance(metrics, dict) and all(value is None or isinstance(value, int | float) for value in metrics.values())
        wrong += [] if whole else [split]
    if wrong:
        raise UserError(f"{folder / RESULT} cannot be verified: {', '.join(wrong)} missing, or not as a run writes it")
    return result


def labels(folder: Path, result: Mapping[str, Any], cfg: DictConfig) -> list[Check | Same]:
    """The names that a result has for what it is, against its settings and against what its overrides mean with ``conf/`` here.

    Raises:
        UserError: nothing can be composed of its overrides.
    """
    words = result["overrides"]
    if foreign := [word for word in words if word.lstrip("+~").startswith("hydra")]:
        raise UserError(f"{folder / RESULT}: the overrides {', '.join(foreign)} are none that a run writes")
    with initialize_config_dir(str(config.CONF), version_base="1.3"):
        try:
            meant = compose("config", words, return_hydra_config=True)
            HydraConfig.instance().set_config(meant)
            meant = OmegaConf.masked_copy(meant, [str(key) for key in meant if key != "hydra"])
            place, given = locate(meant), identity(meant)
        except (HydraException, OmegaConfBaseException) as error:
            why = " ".join(str(error).split())
            raise UserError(f"{folder / RESULT}: its overrides cannot be composed with conf/ here ({why})") from None
    own, choices = identity(cfg), HydraConfig.get().runtime.choices
    had = {key: value for key, value in place.defaults.items() if key in given} | own  # with the knobs that came after the run
    other = [key for key in {**had, **given} if had.get(key) != given.get(key)]
    return [
        Same("config_hash", result["config_hash"], config_hash(own)),
        Same("seed", result["seed"], cfg.seed),
        Same("monitor", result["monitor"], OmegaConf.select(cfg, "task.monitor")),
        *(Same(group, result[group], choices[group]) for group in ("task", "model")),
        Same("experiment", result["experiment"], place.experiment),
        Same("overrides, with conf/ here", {key: given.get(key) for key in other}, {key: had.get(key) for key in other}),
    ]


def of_data(folder: Path, result: Mapping[str, Any], cfg: DictConfig) -> list[Check | Same]:
    """The checksums of the data that a result names against those of the data that is here; prints where it is read.

    Raises:
        UserError: the settings are refused, or the data is not here.
    """
    from dlhw.training import build_data

    config.bind(cfg)
    here, said = build_data(cfg).checksums, result["data"]
    settings = " ".join(f"{name}={value}" for name, value in cfg.task.data.items() if name != "_partial_")
    print(f"the data is read as config.yaml says; see whether it is what was meant: data_root={cfg.data_root} {settings}")
    return [Same(f"data {name}", said.get(name), here.get(name)) for name in sorted({*here, *said})]


def start(folder: Path, result: Mapping[str, Any], cfg: DictConfig) -> Path | None:
    """The folder of the run that the weights start from, if any; prints what that means for the checks."""
    parts = Path(result["experiment"]).parts
    beside = folder.resolve().parent
    if beside.parts[-len(parts) :] == parts:  # in the same folder of outputs, where it is named by that
        cfg.output_root = str(beside.parents[len(parts) - 1])
    if cfg.warm_start is None:
        return None
    source = Path(cfg.warm_start).resolve()
    told = "verify that run as well" if (source / RESULT).exists() else "no result lies there, so nothing tells how they came about"
    print(f"the weights are not drawn, they start from those of {source / BEST}, which are taken as they are: {told}")
    return source


def trained_again(result: Mapping[str, Any], cfg: DictConfig, place: Path) -> dict[str, Any]:
    """The ``result.json`` of the same run trained again in the folder ``place``, on the CPU where there is no GPU.

    Raises:
        UserError: it was trained on several devices.
    """
    import torch

    from dlhw.training import train

    if (devices := result.get("devices", 1)) > 1:
        raise UserError(f"it was trained on {devices} devices, which is not done again here: --predictions-only checks all else")
    cfg.trainer.devices = 1
    if not torch.cuda.is_available() and cfg.trainer.accelerator in ("gpu", "cuda"):
        cfg.trainer.accelerator = "auto"
    if not torch.cuda.is_available() and cfg.trainer.precision == "16-mixed":
        cfg.trainer.precision = "32-true"
    train(cfg, result["experiment"], place, resume=False)
    again = read_result(place)
    assert again is not None
    return again


def verify(folder: Path, data_root: str, train_again: bool = True, strict: bool = False) -> bool:
    """Print every check of a run, and what is not checked; returns whether all are within their tolerance.

    Args:
        strict: the run trained again must give the same numbers, even if it was made elsewhere.

    Raises:
        UserError: there is nothing that can be checked.
    """
    result, cfg = stated(folder), read_config(folder)
    cfg.data_root = data_root
    config.check(cfg)  # it is a stranger's: nothing is imported that is not ours
    checks: list[Check | Same] = []

    def tell(found: Checks) -> bool:
        """Print more checks; whether all so far are within their tolerance."""
        for check in found:
            print(check)
            checks.append(check)
        return all(check.within for check in checks)

    tell(labels(folder, result, cfg))
    if predicted := from_predictions(folder):
        tell(predicted)
        print(unchecked(folder, predicted))
    else:  # as in a kept run, whose answers are not ours to give away
        why = f"{folder} has not stored its predictions beside what was to be predicted, so its metrics cannot be computed again"
        if not train_again:
            raise UserError(why)
        print(why)
    right = tell(from_decoded(folder, result))
    given = ""
    if right and train_again and tell(of_data(folder, result, cfg)):
        source = start(folder, result, cfg)
        with tempfile.TemporaryDirectory() as place:
            again = trained_again(result, cfg, Path(place))
            tolerance, why = tolerance_of(result, again, strict)
            print(why)
            may_stop = bool(cfg.trainer.patience or cfg.trainer.callbacks)
            tell(compared(result, again, tolerance, may_stop))
            if tolerance == REPEATED:
                tell(files_compared(folder, Path(place)))
        given = f", those trained again within {tolerance:g}{f', given the weights of {source}' if source else ''}"
    print(not_checked(folder, result, checks))
    if wrong := [check.name for check in checks if not check.within]:
        print(f"{folder}: {len(wrong)} of {len(checks)} checks fail: {', '.join(wrong)}")
    else:
        print(f"{folder}: all {len(checks)} checks hold{given}")
    return not wrong
