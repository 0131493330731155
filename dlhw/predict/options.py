"""The keys of ``predict.py``: ``key=value``, checked before torch is imported."""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

from dlhw.errors import UserError

USAGE = "python predict.py run=outputs/digits/cnn_pool/seed-0 input=FILE_OR_FOLDER [output=predictions.csv] [device=auto] [batch_size=256]"


@dataclass(frozen=True)
class Options:
    """The keys that every kind of input takes; a module with more of them extends this class."""

    run: Path
    input: str  # a file, a folder, or where the kind of input allows it, the input itself
    output: Path = Path("predictions.csv")
    device: str = "auto"  # auto | cpu | cuda | cuda:1 | mps
    batch_size: int = 256  # samples at once; changes the speed only

    def __post_init__(self) -> None:
        if self.batch_size < 1:
            raise UserError(f"batch_size={self.batch_size} is out of range: at least 1")
        if self.output.is_dir() or self.output.resolve() == Path(self.input).resolve():
            raise UserError(f"output={self.output} would replace the input or a folder: the name of another file is right")


T = TypeVar("T", bound=Options)


def given(arguments: list[str]) -> dict[str, str]:
    """``key=value`` arguments as a mapping.

    Raises:
        UserError: no ``=``, no value, ``run`` or ``input`` not given.
    """
    values: dict[str, str] = {}
    for argument in arguments:
        key, _, value = argument.partition("=")
        if not value:
            raise UserError(f"{argument} is not understood: key=value is right, as in {USAGE}")
        values[key] = value
    if missing := [f"{name}=" for name in ("run", "input") if name not in values]:
        raise UserError(f"{' and '.join(missing)} must be given, as in {USAGE}")
    return values


def typed(values: dict[str, str], kind: type[T]) -> T:
    """The options of ``kind`` from their texts.

    Raises:
        UserError: an unknown key, a value of the wrong type or out of range.
    """
    types = {field.name: field.type for field in fields(kind)}
    if unknown := values.keys() - types.keys():
        raise UserError(f"{', '.join(sorted(unknown))}: no such key; there are {', '.join(f'{name}=' for name in types)}, as in {USAGE}")
    return kind(**{name: _converted(name, value, types[name]) for name, value in values.items()})


def _converted(name: str, value: str, kind: Any) -> Any:
    if kind is bool:
        if value.lower() not in ("true", "false"):
            raise UserError(f"{name}={value} is out of range: true or false")
        return value.lower() == "true"
    try:
        return kind(value)
    except ValueError:
        raise UserError(f"{name}={value} is out of range: a {'whole ' if kind is int else ''}number is right") from None
