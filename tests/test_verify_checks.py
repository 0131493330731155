"""What verify compares, on numbers made up for the purpose: tolerances, rates computed again, and when two numbers agree."""

import re
from typing import Any

import numpy as np
import pytest

from dlhw.results.checks import Check, alike
from dlhw.results.repeated import ELSEWHERE, REPEATED, tolerance_of
from dlhw.results.rescore import rescore


def result(loss: float | None, **said: Any) -> dict[str, Any]:
    made = {"device": "here", "precision": "32-true", "git": "abc", "versions": {"torch": "2.11", "numpy": "2"}}
    return {**made, "val": {"loss": loss}, "test": {"loss": loss}, "last": {"loss": loss}, **said}


AGAIN = result(0.25, train={"loss": 0.5})
ELSE = {"device": "there", "precision": "bf16-mixed"}


@pytest.mark.parametrize(
    ("said", "strict", "tolerance", "words"),
    [
        (result(0.25), False, REPEATED, "every number must repeat: result.json names the device"),
        (result(0.26), False, REPEATED, "every number must repeat: result.json names the device"),
        (
            result(0.25, **ELSE),
            False,
            REPEATED,
            "as val/loss, test/loss, last/loss did to the last digit, although result.json says device",
        ),
        (result(0.26, train={"loss": 0.5}, **ELSE), False, REPEATED, "as train/loss did to"),
        (
            result(0.26, **ELSE),
            False,
            ELSEWHERE["32-true"],
            "0.02 apart, .* says device there .here here., precision bf16-mixed .*; nothing",
        ),
        (result(0.26, git=None), False, ELSEWHERE["32-true"], r"result\.json says git None \(here abc\)"),
        (result(0.26, versions={"torch": "2.12"}), False, ELSEWHERE["32-true"], r"torch 2\.12 \(here 2\.11\), numpy None \(here 2\)"),
        (result(0.26, **ELSE), True, REPEATED, "as --strict asks, although result.json says device there"),
        (result(None, **ELSE), False, ELSEWHERE["32-true"], "0.02 apart"),
    ],
)
def test_the_tolerance_follows_from_what_repeats(said: dict[str, Any], strict: bool, tolerance: float, words: str) -> None:
    found, why = tolerance_of(said, AGAIN, strict)
    assert found == tolerance
    assert re.search(words, why)


def test_nothing_repeats_where_nothing_is_a_number() -> None:
    assert tolerance_of(result(None, **ELSE), result(None))[0] == ELSEWHERE["32-true"]


def test_rates_of_texts_and_of_their_groups() -> None:
    predictions = {
        "reference": np.array(["abcd", "ab cd", "xy"]),
        "hypothesis": np.array([["abce", "abcd"], ["ab cd", ""], ["x y z", ""]]),
        "score": np.array([[-1.0, -2.0], [-1.0, -2.0], [-1.0, -np.inf]]),  # the last text has no second hypothesis
        "group": np.array(["one", "one", "two"]),
        "index": np.arange(3),
    }
    spec = {"spec": "LineSpec"}
    found = rescore(spec, {}, predictions)
    expected = {"cer": 4 / 11, "wer": 4 / 4, "wer@2": 3 / 4, "cer:one": 1 / 9, "wer:one": 1 / 3, "cer:two": 3 / 2, "wer:two": 3 / 1}
    assert found == pytest.approx(expected)
    alone = {**predictions, "group": np.array(["one", "one", "one"])}  # all of it is no group of its own
    assert rescore(spec, {}, alone).keys() == {"cer", "wer", "wer@2"} == rescore(spec, {}, predictions, only="cer").keys()


def test_many_numbers_are_alike_where_each_is() -> None:
    nan = float("nan")
    assert alike("x", {"a": 1.0, "b": nan}, {"a": 1.0 + 1e-7, "b": nan}, 1e-6).within
    wrong = alike("x", {"a": 1.0, "b": 2.0, "c": nan}, {"a": 1.0, "d": 3.0, "c": 4.0}, 1e-6)
    assert not wrong.within and {*wrong.said} == {"b", "c", "d"}


def test_nan_agrees_with_nan_only() -> None:
    nan = float("nan")
    assert Check("x", nan, nan, 1e-5).within
    assert not Check("x", nan, 0.5, 1.0).within and not Check("x", 0.5, nan, 1.0).within
