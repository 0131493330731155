"""The knobs of a class: their names and types, read from its signature, and whether a value of a configuration is of the type."""

import inspect
import math
from collections.abc import Mapping, Sequence
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin

from dlhw.errors import UserError

WORDS = {bool: "true or false", int: "a whole number", float: "a number", str: "a name", NoneType: "null"}


def check_knobs(key: str, target: type, node: Mapping[str, Any]) -> None:
    """Refuse knobs that ``target`` does not take, and values that are not of the type which its signature names.

    Args:
        key: where ``node`` stands in the configuration.
        node: knobs and their values, as YAML has them: numbers, strings, lists, mappings.

    Raises:
        UserError: naming the knob, its value and what would be right.
    """
    takes = _takes(target)
    for knob, value in node.items():
        if not takes or knob.startswith("_"):
            continue
        if knob not in takes:
            raise UserError(f"{key}.{knob} is not a knob of {node['_target_']}, which takes {', '.join(takes)}")
        if not _fits(value, takes[knob]):
            shown = f"[{', '.join(map(str, value))}]" if isinstance(value, list) else "null" if value is None else value
            raise UserError(f"{key}.{knob}={shown} is of the wrong type: {_words(takes[knob])} is right")


def _takes(target: type) -> dict[str, Any]:
    """The parameters and their types, with those of the bases as far as ``**options`` are handed on; none where anything goes."""
    takes: dict[str, Any] = {}
    for function in [vars(base)["__init__"] for base in target.__mro__ if "__init__" in vars(base)]:
        parameters = inspect.signature(function).parameters.values()
        for p in parameters:
            if p.name != "self" and p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL):
                takes.setdefault(p.name, p.annotation)  # what a class says of a knob stands above what its base says
        if not any(p.kind is p.VAR_KEYWORD for p in parameters):
            return takes
    return {}


def _fits(value: Any, kind: Any) -> bool:
    """Whether a value is of a type. Of types that no YAML can write, such as functions, anything is."""
    of = get_args(kind)
    match get_origin(kind) or kind:
        case origin if origin in (Union, UnionType):
            return any(_fits(value, one) for one in of)
        case origin if origin is tuple and of and ... not in of:
            return isinstance(value, list) and len(value) == len(of) and all(map(_fits, value, of))
        case origin if origin in (Sequence, list, tuple):
            return isinstance(value, list) and all(_fits(one, (*of, Any)[0]) for one in value)
        case origin if origin in (Mapping, dict):
            return isinstance(value, dict)
        case origin if origin in (bool, NoneType):
            return isinstance(value, origin)
        case origin if origin is int:
            return isinstance(value, int) and not isinstance(value, bool)
        case origin if origin is float:
            return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        case origin if origin is str:
            return isinstance(value, str | int | float) and not isinstance(value, bool)  # a name may be a number
    return True


def _words(kind: Any) -> str:
    of = get_args(kind)
    match get_origin(kind) or kind:
        case origin if origin in (Union, UnionType):
            return " or ".join(filter(None, map(_words, of)))
        case origin if origin is tuple and of and ... not in of:
            return f"a list of {len(of)}"
        case origin if origin in (Sequence, list, tuple):
            return "a list" + {int: " of whole numbers", float: " of numbers", str: " of names"}.get((*of, Any)[0], "")
        case origin if origin in (Mapping, dict):
            return "a mapping"
        case origin:
            return WORDS.get(origin, "")
