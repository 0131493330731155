"""What Hydra could not compose, told in one sentence as every other wrong input."""

import difflib
from collections.abc import Iterable, Sequence

from hydra import compose, initialize_config_dir
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf import OmegaConf

from dlhw.config import CONF
from dlhw.run_folder import GROUPS, flatten

KINDS = {"Integer": "a whole number", "Float": "a number", "bool": "true or false", "String": "a text"}  # as OmegaConf calls them: as we do


def explained(error: HydraException, words: Sequence[str]) -> str:
    """What was wrong on the command line, and what would be right.

    Args:
        error: what Hydra raised while it composed the configuration.
        words: the overrides of the command line.
    """
    first = str(error).partition("\n")[0]
    cause = str(error.__cause__ or "").partition("\n")[0]
    subject = next((word for word in words if first.rstrip("'").endswith(word)), "")
    if isinstance(error, MissingConfigException) and error.options:
        group, _, name = str(error.missing_cfg_file).rpartition("/")
        return f"there is no {group} {name}{near(name, error.options, anyway=True)}"
    if isinstance(error, OverrideParseException):
        key, sign, value = str(error.override).partition("=")
        if sign and key and value[:1] not in "[{":
            return f"{error.override} cannot be read: a value with blanks or signs such as ( ) ~ stands in quotes, '{key}=\"{value}\"'"
        return f"{error.override} is not written as KEY=VALUE, with values such as 0.1, null, max, [8,16]"
    if first.startswith("Could not override"):
        key = first.split("'")[1]
        return f"nothing reads {key}{near(key, known(words))}"
    if first.startswith("Error merging override") and subject:
        right = next((f": {right} is right" for kind, right in KINDS.items() if kind in cause), f" ({cause})")
        return f"{subject} is of the wrong type{right}"
    if first.startswith("Ambiguous value") and subject:
        key, _, values = subject.partition("=")
        return f"{subject} has several values: -m makes a sweep of them" + f", {key}=[{values}] is one list" * (key not in GROUPS)
    return " ".join([*str(error).splitlines()[:2], cause]).strip()


def near(name: str, there: Iterable[str], *, anyway: bool = False) -> str:
    """``; near it: ...``: what is spelt most like ``name``; where nothing is, nothing, or all that is there if ``anyway``."""
    names = sorted(there)
    found = difflib.get_close_matches(name, names, n=3, cutoff=0.4) or (names if anyway else [])
    return f"; near it: {', '.join(found)}" if found else ""


def known(words: Iterable[str]) -> list[str]:
    """The keys that can be overridden beside the groups (``task=...``) that ``words`` choose; none where these do not exist."""
    choices = [word for word in words if word.partition("=")[0] in (*GROUPS, "experiment") and "," not in word]
    try:
        with initialize_config_dir(str(CONF), version_base="1.3"):
            keys = flatten(OmegaConf.to_container(compose("config", choices), resolve=False))
            return [*GROUPS, "experiment", *(key for key in keys if not key.endswith("_"))]
    except HydraException:
        return []
