"""Decoding of finished runs: which settings count, what is refused, and the names of what is scored."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dlhw.decode import named, run_folders, settings_of
from dlhw.decoding import Decode
from dlhw.errors import UserError
from dlhw.tasks.heads import Head, check, check_given
from dlhw.tasks.heads.autoregressive import Autoregressive
from dlhw.tasks.heads.ctc import CTC


@pytest.mark.parametrize(
    ("head", "own", "given", "name"),
    [
        (Autoregressive(), {"max_symbols": 150}, {"method": "beam"}, "test_beam"),  # as the chapters of the report ask for it
        (CTC(), {"max_symbols": 150}, {"method": "beam"}, "test_beam"),
        (CTC(), {}, {"method": "beam", "lm_weight": 0.2}, "test_beam_lm_weight-0.2"),
        (Autoregressive(), {}, {"method": "nucleus", "p": 0.8, "k": 3}, "test_nucleus"),
        (Autoregressive(), {"max_symbols": 150}, {"method": "beam", "max_symbols": 50, "p": 0.5}, "test_beam_max_symbols-50"),
        (Autoregressive(), {"method": "beam", "length_power": 1.0}, {"length_power": 0.0}, "test_beam_length_power-0.0"),
        (Autoregressive(), {"method": "beam", "length_power": 1.0}, {"method": "greedy"}, "test_greedy"),
    ],
)
def test_a_name_tells_what_differs_from_the_runs_own_settings(head: Head, own: dict[str, Any], given: dict[str, Any], name: str) -> None:
    settings = replace(Decode(**own), **given)
    assert named(settings, Decode(**own), "test", head.used(settings)) == name


@pytest.mark.parametrize(
    ("head", "settings", "told"),
    [
        (CTC(), {"method": "nucleus"}, "task.decode.method=nucleus is not for a network with CTC: greedy or beam is right"),
        (CTC(), {"validation": "nucleus"}, "task.decode.validation=nucleus is not for a network with CTC"),
        (
            CTC(),
            {"method": "beam", "length_power": 1.0},
            "length_power=1.0 would do nothing: .* takes width, k, lm_weight, symbol_bonus",
        ),
        (CTC(), {"lm_weight": 0.2}, "lm_weight=0.2 would do nothing: a network with CTC with method=greedy takes no further settings"),
        (CTC(), {"method": "beam", "lm_order": 3}, "lm_order=3 would do nothing"),  # there is no language model
        (
            Autoregressive(),
            {"method": "beam", "symbol_bonus": 0.5},
            "symbol_bonus=0.5 would do nothing: .* takes width, length_power, k, ",
        ),
        (Autoregressive(), {"p": 0.9}, "p=0.9 would do nothing: .* with method=greedy takes max_symbols"),
    ],
)
def test_settings_that_would_do_nothing_are_refused(head: Head, settings: dict[str, Any], told: str) -> None:
    with pytest.raises(UserError, match=told):
        check(head, Decode(**settings))
    if "validation" not in settings:
        with pytest.raises(UserError, match=told):
            check_given(head, Decode(**settings), settings)


def test_settings_that_count_are_taken() -> None:
    check(CTC(), Decode(max_symbols=150))  # which a task sets for all of its networks
    check(CTC(), Decode(method="beam", lm_weight=0.2, lm_order=3, symbol_bonus=0.1, width=20, k=1))
    check(Autoregressive(), Decode(method="nucleus", validation="beam", p=0.9, seed=1, width=5, length_power=1.0))
    check(Autoregressive(), Decode(method="greedy", length_power=1.0))  # of a recipe for a beam
    check_given(CTC(), Decode(method="greedy", max_symbols=150, width=20), ["method"])  # the run's own setting of another method
    with pytest.raises(UserError, match="max_symbols=150 would do nothing"):
        check_given(CTC(), Decode(max_symbols=150), ["max_symbols"])


def test_words_set_the_decoder_or_choose_runs() -> None:
    words = ["task.decode.method=beam", "model=crnn_ctc", "task.decode.lm_weight=2e-1", "model.attention=dot"]
    assert settings_of(words) == ({"method": "beam", "lm_weight": 0.2}, {"model": "crnn_ctc", "model.attention": "dot"})
    with pytest.raises(UserError, match="model= is not understood"):
        settings_of(["model="])
    with pytest.raises(UserError, match=r"^model\.channels=\[8 cannot be read \(.*: model\.channels=VALUE is right$"):
        settings_of(["model.channels=[8"])


@pytest.mark.parametrize(
    ("key", "same", "others"),
    [
        ("optim.lr", ["0.01", "1e-2", "0.010"], ["0.1", "1e-3"]),
        ("trainer.deterministic", ["true", "True"], ["false", "1", "null"]),
        ("trainer.steps_per_epoch", ["5", "5.0"], ["50", "true"]),
        ("model.channels", ["[8]", "[ 8 ]"], ["8", "[8,8]"]),
        ("trainer.patience", ["null", "None"], ["0", "false"]),
        ("model", ["cnn_pool"], ["CNN_POOL", "cnn"]),
        ("precision", ["32-true"], ["32"]),
        ("nonesuch", [], ["null", "None"]),
    ],
)
def test_runs_are_chosen_by_values_however_they_are_written(trained_runs: Path, key: str, same: list[str], others: list[str]) -> None:
    for text in same:
        assert len(run_folders([str(trained_runs)], {key: text})) == 4
    for text in others:
        with pytest.raises(UserError, match=f"has {key}="):
            run_folders([str(trained_runs)], {key: text})


def test_several_words_choose_the_runs_that_have_all_of_it(trained_runs: Path) -> None:
    [found] = run_folders([str(trained_runs)], {"seed": "1", "model.softmax": "none"})
    assert "softmax" not in found.name and found.name.endswith("seed-1")  # none is the experiment's own
