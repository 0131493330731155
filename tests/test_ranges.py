"""The ranges of knobs: which values are refused, at the limits too, and in which words."""

from collections.abc import Callable
from typing import Any

import pytest

from dlhw.errors import UserError
from dlhw.ranges import check, check_at_least, check_shares, check_split, check_within


def even(**knobs: Any) -> None:
    check("model", "even, or null", lambda value: value is None or value % 2 == 0, **knobs)


def at_least_two(**knobs: Any) -> None:
    check_at_least(2, "optim", **knobs)


def not_negative(**knobs: Any) -> None:
    check_at_least(0, "optim", **knobs)


def shares(**knobs: Any) -> None:
    check_shares("model", **knobs)


def within_five(**knobs: Any) -> None:
    check_within(5, **knobs)


@pytest.mark.parametrize(
    ("function", "knobs"),
    [
        (even, {"a": 2, "b": [0, 4], "c": None, "d": []}),
        (at_least_two, {"a": 2, "b": (2, 3)}),
        (not_negative, {"a": 0, "b": 1e-9}),
        (shares, {"a": 0, "b": 0.999, "c": [0.0, 0.5]}),
        (within_five, {"a": 1, "b": 5}),
        (check_split, {"val_share": 0.5, "test_share": 0.49}),
    ],
)
def test_values_that_fit(function: Callable[..., None], knobs: dict[str, Any]) -> None:
    function(**knobs)


@pytest.mark.parametrize(
    ("function", "knobs", "message"),
    [
        (even, {"a": 2, "b": 3, "c": 5}, "model.b=3 is out of range: even, or null"),  # the first wrong one
        (even, {"a": [2, 4, 1]}, "model.a=[2, 4, 1] is out of range: each even, or null"),
        (at_least_two, {"a": 1}, "optim.a=1 is out of range: at least 2"),
        (at_least_two, {"a": float("nan")}, "optim.a=nan is out of range: at least 2"),
        (at_least_two, {"a": [1]}, "optim.a=[1] is out of range: each at least 2"),
        (not_negative, {"a": -1e-9}, "optim.a=-1e-09 is out of range: 0 or more"),
        (shares, {"a": 1.0}, "model.a=1.0 is out of range: 0 to below 1"),
        (shares, {"a": -0.1}, "model.a=-0.1 is out of range: 0 to below 1"),
        (shares, {"a": (0.5, 1)}, "model.a=[0.5, 1] is out of range: each 0 to below 1"),
        (within_five, {"a": 0}, "model.a=0 is out of range: 1 to 5, the length of the sequences"),
        (within_five, {"a": 6}, "model.a=6 is out of range: 1 to 5, the length of the sequences"),
        (check_split, {"val_share": 0}, "task.data.val_share=0 is out of range: a share between 0 and 1"),
        (check_split, {"val_share": 0.1, "test_share": 1}, "task.data.test_share=1 is out of range: a share between 0 and 1"),
        (
            check_split,
            {"val_share": 0.5, "test_share": 0.5},
            "task.data.val_share=0.5 and test_share=0.5 leave nothing to train on: together below 1 is right",
        ),
    ],
)
def test_values_that_do_not_fit_are_named(function: Callable[..., None], knobs: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError) as refused:
        function(**knobs)
    assert str(refused.value) == message
