"""How the Trainer is built where this machine cannot show it."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from dlhw import trainer


@pytest.mark.parametrize(
    ("device", "expected"),
    [("cuda:3", ("cuda", [3])), ("cuda:0", ("cuda", [0])), ("cpu", ("cpu", 1)), ("mps", ("mps", 1))],
)
def test_the_test_split_is_scored_where_this_process_has_trained(monkeypatch: pytest.MonkeyPatch, device: str, expected: Any) -> None:
    built: dict[str, Any] = {}
    monkeypatch.setattr(trainer.L, "Trainer", lambda **options: built.update(options))
    training: Any = SimpleNamespace(strategy=SimpleNamespace(root_device=torch.device(device)), precision="32-true")
    trainer.single_device(training)
    assert (built["accelerator"], built["devices"]) == expected
