"""The types of knobs: what a signature names decides, also that of a base class; what no YAML can write is left to the class."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest

from dlhw.errors import UserError
from dlhw.knobs import check_knobs


class Base:
    def __init__(self, *, count: int, share: float = 0.5, name: str = "all") -> None: ...


class Taker(Base):
    def __init__(
        self,
        network: object,
        *,
        share: float | None = None,
        flag: bool = False,
        widths: Sequence[int] = (),
        blocks: Sequence[Sequence[int]] = (),
        size: tuple[int, int] = (1, 2),
        names: str | Sequence[str] = "all",
        table: Mapping[str, int] | None = None,
        call: Callable[[], int] | None = None,
        bare: list = [],  # noqa: B006
        **options: Any,
    ) -> None: ...


class Anything:
    def __init__(self, **options: Any) -> None: ...


FITTING = {
    "count": [0, -3],
    "share": [1, 0.5, None],
    "flag": [True, False],
    "name": ["x", "", 38],
    "widths": [[], [1, 2]],
    "blocks": [[[1], [2, 3]]],
    "size": [[3, 4]],
    "names": ["x", ["x", "y"], 5],
    "table": [{"a": 1}, None],
    "call": [3, "x"],
    "bare": [[1, "x"]],
    "_partial_": ["nobody asks"],
}


@pytest.mark.parametrize(("knob", "value"), [(knob, value) for knob, values in FITTING.items() for value in values])
def test_values_of_the_right_type(knob: str, value: Any) -> None:
    check_knobs("model", Taker, {"_target_": "Taker", knob: value})


@pytest.mark.parametrize(
    ("knob", "value", "told"),
    [
        ("count", 1.5, "1.5 is of the wrong type: a whole number"),
        ("count", True, "True is of the wrong type: a whole number"),
        ("count", None, "null is of the wrong type: a whole number"),
        ("share", "much", "much is of the wrong type: a number or null"),
        ("share", float("nan"), "nan is of the wrong type: a number or null"),
        ("flag", "no", "no is of the wrong type: true or false"),
        ("flag", 1, "1 is of the wrong type: true or false"),
        ("name", ["x"], "[x] is of the wrong type: a name"),
        ("name", False, "False is of the wrong type: a name"),
        ("widths", 64, "64 is of the wrong type: a list of whole numbers"),
        ("widths", [64, 0.5], "[64, 0.5] is of the wrong type: a list of whole numbers"),
        ("blocks", [1], "[1] is of the wrong type: a list"),
        ("size", [1], "[1] is of the wrong type: a list of 2"),
        ("names", None, "null is of the wrong type: a name or a list of names"),
        ("table", [1], "[1] is of the wrong type: a mapping or null"),
        ("bare", 1, "1 is of the wrong type: a list"),
    ],
)
def test_values_of_another_type_are_named(knob: str, value: Any, told: str) -> None:
    with pytest.raises(UserError) as refused:
        check_knobs("model", Taker, {"_target_": "Taker", knob: value})
    assert str(refused.value) == f"model.{knob}={told} is right"


def test_knobs_that_nobody_takes() -> None:
    known = "network, share, flag, widths, blocks, size, names, table, call, bare, count, name"
    with pytest.raises(UserError) as refused:
        check_knobs("model", Taker, {"_target_": "Taker", "shares": 1})
    assert str(refused.value) == f"model.shares is not a knob of Taker, which takes {known}"
    check_knobs("model", Anything, {"_target_": "Anything", "shares": 1})
