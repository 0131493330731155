"""A result is checked against its predictions and against the run trained again; a falsified one is caught."""

import json
import shutil
from pathlib import Path

import pytest

from dlhw.errors import UserError
from dlhw.results.verify import Check, from_predictions, from_training, verify
from dlhw.run_folder import RESULT


@pytest.fixture
def run(trained_runs: Path, tmp_path: Path) -> Path:
    """A copy of a short run with a second softmax, whose loss is another one than that of its probabilities."""
    source = next(folder for folder in sorted(trained_runs.iterdir()) if "softmax-output" in folder.name)
    return shutil.copytree(source, tmp_path / "run")


def changed(run: Path, **metrics: float) -> None:
    result = json.loads((run / RESULT).read_text())
    result["test"] |= metrics
    (run / RESULT).write_text(json.dumps(result))


def test_the_metrics_of_a_run_are_those_of_its_predictions(trained_runs: Path) -> None:
    for run in sorted(trained_runs.iterdir()):
        checks = from_predictions(run)
        assert {"test/loss", "test/acc", "test/auc", "test/f1"} <= {check.name for check in checks}
        assert all(check.within for check in checks), [str(check) for check in checks if not check.within]


def test_a_better_accuracy_than_that_of_the_predictions_is_caught(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told = json.loads((run / RESULT).read_text())["test"]["acc"]
    changed(run, acc=told + 0.01)
    assert not verify(run, "data")
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.endswith("1 of 7 numbers do not agree: test/acc")


def test_a_run_trained_again_says_the_same_and_forged_predictions_do_not_help(run: Path) -> None:
    assert all(check.within for check in from_training(run, "data"))
    changed(run, acc=0.99, auc=0.999)
    wrong = [check.name for check in from_training(run, "data") if not check.within]
    assert wrong == ["test/acc trained again", "test/auc trained again"]


def test_settings_that_do_not_belong_to_the_result_are_refused(run: Path) -> None:
    config = run / "config.yaml"
    config.write_text(config.read_text().replace("lr: 0.01", "lr: 0.02"))
    with pytest.raises(UserError, match=r"config\.yaml is not what result\.json was made with"):
        from_training(run, "data")


def test_nan_agrees_with_nan_only() -> None:
    nan = float("nan")
    assert Check("x", nan, nan, 1e-5).within
    assert not Check("x", nan, 0.5, 1.0).within and not Check("x", 0.5, nan, 1.0).within
