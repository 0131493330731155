"""The names of what finished runs score with other decoders."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dlhw.decode import ensemble_name, named
from dlhw.decoding import Decode


@pytest.mark.parametrize(
    ("own", "given", "name"),
    [
        ({"max_symbols": 150}, {"method": "beam"}, "test_beam"),  # as the chapters of the report ask for it
        ({}, {"method": "nucleus", "p": 0.8, "k": 3}, "test_nucleus"),
        ({"max_symbols": 150}, {"method": "beam", "max_symbols": 50, "p": 0.5}, "test_beam_max_symbols-50"),
        ({"method": "beam", "length_power": 1.0}, {"length_power": 0.0}, "test_beam_length_power-0.0"),
    ],
)
def test_a_name_tells_what_differs_from_the_runs_own_settings(own: dict[str, Any], given: dict[str, Any], name: str) -> None:
    assert named(replace(Decode(**own), **given), Decode(**own), "test") == name


def test_ensembles_of_other_members_have_other_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    one, other = ([Path("attention", f"{kind}seed-{seed}") for seed in (0, 1)] for kind in ("", "dot_"))
    assert ensemble_name(one) == ensemble_name([folder.resolve() for folder in reversed(one)]) != ensemble_name(other)
    assert ensemble_name(one).startswith("ensemble-of-2-")
