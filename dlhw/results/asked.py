"""Which runs ``KEY=VALUE`` words ask for."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from dlhw.errors import UserError
from dlhw.run_files import read_config, read_result
from dlhw.run_folder import flatten


def parsed(key: str, text: str) -> Any:
    """The value that a text stands for in a configuration: a number, true or false, null, a list, else the text.

    Raises:
        UserError: a list or a quoted text that does not end, or the like.
    """
    try:
        node: Any = OmegaConf.to_container(OmegaConf.from_dotlist([f"value={text}"]))
    except (OmegaConfBaseException, YAMLError) as error:
        raise UserError(f"{key}={text} cannot be read ({' '.join(str(error).split())}): {key}=VALUE is right") from None
    return node["value"]


def has(folder: Path, asked: Mapping[str, str]) -> bool:
    """Whether a run has all of these, each a field of ``result.json``, as ``model``, or a setting, however its value is written."""
    told = {**flatten(OmegaConf.to_container(read_config(folder))), **(read_result(folder) or {})}
    return all(key in told and _is(told[key], key, text) for key, text in asked.items())


def _is(value: Any, key: str, text: str) -> bool:
    wanted = parsed(key, text)
    return str(value) == text or (isinstance(value, bool) == isinstance(wanted, bool) and value == wanted)  # true is no 1
