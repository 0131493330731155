"""The command line of the tools that use a finished run: ``key=value``, checked before torch is imported, and who answers for the run."""

import ast
import importlib
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from types import ModuleType, UnionType
from typing import Any, TypeVar, get_args

from dlhw.errors import UserError

# What a run was trained on: the module that knows such input, in dlhw.predict and in dlhw.explain.
MODULES = {"ImageSpec": "pictures", "SequenceSpec": "sequences", "TextSpec": "words", "LineSpec": "lines"}

T = TypeVar("T")


@dataclass(frozen=True)
class Tool:
    """A command: its package, whose modules stand in :data:`MODULES`, and how it is used."""

    package: str
    usage: str
    required: tuple[str, ...]

    def parsed(self, arguments: Sequence[str]) -> tuple[ModuleType, Any] | None:
        """The module that answers, and its ``Options`` from the arguments; None where only help was asked for, which is printed.

        Raises:
            UserError: wrong arguments, no finished run, or no module for what the run was trained on.
        """
        if list(arguments) in (["-h"], ["--help"]):
            print(self.help())
            return None
        values = self.given(arguments)
        from dlhw.results import finished_result  # imports pandas: only once the keys are there

        name = MODULES[finished_result(Path(values["run"]))["spec"]["spec"]]
        try:
            module = importlib.import_module(f"{self.package}.{name}")
        except ModuleNotFoundError as error:
            if error.name != f"{self.package}.{name}":
                raise
            raise UserError(f"run={values['run']} was trained on {name}, for which {self.package} has nothing yet") from None
        return module, self.typed(values, module.Options)

    def help(self) -> str:
        """The usage, the keys of every kind of run, and those of each kind. Read off the sources: some of them import torch."""
        common, _ = _keys(self.package, "options")
        lines = [self.usage, "", "keys, for every run:", *common.values()]
        for spec, name in MODULES.items():
            keys, about = _keys(self.package, name)
            if own := [line for key, line in keys.items() if line != common.get(key)]:
                lines += ["", f"for {name} ({spec}) also:", *own, *textwrap.wrap(about, 118, initial_indent="  ", subsequent_indent="  ")]
        return "\n".join(lines)

    def given(self, arguments: Sequence[str]) -> dict[str, str]:
        """``key=value`` arguments as a mapping.

        Raises:
            UserError: no ``=``, no value, a required key not given.
        """
        values: dict[str, str] = {}
        for argument in arguments:
            key, _, value = argument.partition("=")
            if not value:
                raise UserError(f"{argument} is not understood: key=value is right, as in {self.usage}")
            values[key] = value
        if missing := [f"{name}=" for name in self.required if name not in values]:
            raise UserError(f"{' and '.join(missing)} must be given, as in {self.usage}")
        return values

    def typed(self, values: dict[str, str], kind: type[T]) -> T:
        """The options of ``kind``, a dataclass, from their texts.

        Raises:
            UserError: an unknown key, a value of the wrong type or out of range.
        """
        types = {field.name: field.type for field in fields(kind)}  # type: ignore[arg-type]
        if unknown := values.keys() - types.keys():
            keys = ", ".join(f"{name}=" for name in types)
            raise UserError(f"{', '.join(sorted(unknown))}: no such key; there are {keys}, as in {self.usage}")
        return kind(**{name: _converted(name, value, types[name]) for name, value in values.items()})


def _keys(package: str, module: str) -> tuple[dict[str, str], str]:
    """The keys of the class ``Options`` of a module, each with a line of help (default, comment), and what the class says of them."""
    path = Path(__file__).parent / package.removeprefix("dlhw.") / f"{module}.py"
    source = path.read_text(encoding="utf-8") if path.exists() else ""
    options = next((node for node in ast.parse(source).body if isinstance(node, ast.ClassDef) and node.name == "Options"), None)
    if options is None:  # nothing for this kind, or the common keys only
        return {}, ""
    found = {}
    for node in options.body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            value = node.value.args[-1] if isinstance(node.value, ast.Call) else node.value  # of Path("predictions.csv"): the name
            default = "" if value is None else str(ast.literal_eval(value)).replace("None", "").lower()
            comment = source.splitlines()[node.lineno - 1].partition("  # ")[2]
            found[node.target.id] = f"  {f'{node.target.id}={default}':<28} {comment}".rstrip()
    return found, " ".join((ast.get_docstring(options) or "").replace("``", "").split())


def _converted(name: str, value: str, kind: Any) -> Any:
    if isinstance(kind, UnionType):  # something | None
        kind = get_args(kind)[0]
    if kind is bool:
        if value.lower() not in ("true", "false"):
            raise UserError(f"{name}={value} is out of range: true or false")
        return value.lower() == "true"
    try:
        return kind(value)
    except ValueError:
        raise UserError(f"{name}={value} is out of range: a {'whole ' if kind is int else ''}number is right") from None
