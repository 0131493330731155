"""The files of a run that are read again: settings, result, metrics. Needs no torch.

They are written whole or not at all, so a damaged one was damaged by something else; it is refused in one sentence that says what to do.
"""

import csv
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from dlhw.atomic_file import write_text
from dlhw.config import Config
from dlhw.errors import UserError
from dlhw.run_folder import CONFIG, RESULT, warm_start_as_written


def write_config(folder: Path, cfg: DictConfig) -> None:
    """Write the resolved configuration without the places that differ from machine to machine."""
    settings = OmegaConf.to_container(cfg, resolve=True)
    assert isinstance(settings, dict)
    del settings["data_root"], settings["output_root"]
    settings["warm_start"] = warm_start_as_written(cfg)
    write_text(folder / CONFIG, OmegaConf.to_yaml(settings))


def read_config(folder: Path) -> DictConfig:
    """The configuration of a run, laid over the schema, so that knobs which came later have their defaults.

    Raises:
        UserError: no config.yaml, or one that does not fit the schema.
    """
    path = folder / CONFIG
    try:
        config = OmegaConf.merge(OmegaConf.structured(Config), OmegaConf.load(path))
        config.data_root = ""  # is not kept, and nothing is read from it
        assert isinstance(config, DictConfig)
        other = warm_start_as_written(config)
        OmegaConf.resolve(config)
        config.warm_start = other
        missing = OmegaConf.missing_keys(config)
        why = f"{', '.join(sorted(missing))} is missing" if missing else ""
    except OSError as error:
        why = error.strerror or str(error)
    except (OmegaConfBaseException, YAMLError, ValueError, TypeError) as error:
        why = " ".join(str(error).split())
    if why:
        raise UserError(f"{path} is not the configuration of a run ({why}): move the run's folder {folder} away and start it again")
    assert isinstance(config, DictConfig)
    return config


def write_result(folder: Path, result: dict[str, Any]) -> None:
    """Write ``result.json``; ``null`` stands for a metric that is no finite number, because JSON has none of those."""
    write_text(folder / RESULT, json.dumps(_finite(result), indent=2, allow_nan=False) + "\n")


def is_simulated(result: Mapping[str, Any]) -> bool:
    """Whether the data of a ``result.json`` was made up."""
    return bool(result.get("notes", {}).get("simulated"))


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(child) for key, child in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(child) for child in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def read_result(folder: Path) -> dict[str, Any] | None:
    """The folder's ``result.json``, or None where there is none.

    Raises:
        UserError: the file is no JSON, or has no status.
    """
    path, remedy = folder / RESULT, "delete this file and start the run again"
    try:
        result: Any = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{path} is not readable JSON ({error}): {remedy}") from None
    if not isinstance(result, dict) or not isinstance(result.get("status"), str):
        raise UserError(f"{path} is damaged (it has no status): {remedy}")
    return result


def read_metrics(path: Path) -> list[dict[str, float]]:
    """The rows of a ``metrics.csv``; no rows where there is no file.

    Raises:
        UserError: the file is no table of numbers.
    """
    try:
        with open(path, newline="", encoding="utf-8") as file:
            return [{name: float(value) for name, value in row.items() if value} for row in csv.DictReader(file)]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, TypeError, csv.Error) as error:
        raise UserError(f"{path} is no table of numbers ({error}): move the run's folder {path.parent} away and start it again") from None
