"""A result is checked against its predictions and against the run trained again; a falsified one is caught."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dlhw.errors import UserError
from dlhw.results.rescore import rescore
from dlhw.results.verify import ELSEWHERE, REPEATED, Check, compared, from_predictions, tolerance_of, trained_again, verify
from dlhw.run_files import read_config
from dlhw.run_folder import CONFIG, RESULT, config_hash, identity


@pytest.fixture
def run(trained_runs: Path, tmp_path: Path) -> Path:
    """A copy of a short run with a second softmax, whose loss is another one than that of its probabilities."""
    source = next(folder for folder in sorted(trained_runs.iterdir()) if "softmax-output" in folder.name)
    return shutil.copytree(source, tmp_path / "run")


def changed(run: Path, split: str = "test", **metrics: float) -> None:
    result = json.loads((run / RESULT).read_text())
    result[split] |= metrics
    (run / RESULT).write_text(json.dumps(result))


def told(run: Path, **values: Any) -> None:
    """Let the result say something else of itself."""
    (run / RESULT).write_text(json.dumps({**json.loads((run / RESULT).read_text()), **values}))


def test_the_metrics_of_a_run_are_those_of_its_predictions(trained_runs: Path) -> None:
    for run in sorted(trained_runs.iterdir()):
        checks = from_predictions(run)
        assert {"test/loss", "test/acc", "test/auc", "test/f1"} <= {check.name for check in checks}
        assert all(check.within for check in checks), [str(check) for check in checks if not check.within]


def test_a_better_accuracy_than_that_of_the_predictions_is_caught(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    honest = json.loads((run / RESULT).read_text())["test"]["acc"]
    changed(run, acc=honest + 0.01)
    assert not verify(run, "data")
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.endswith("1 of 7 numbers do not agree: test/acc")


def test_a_run_trained_again_says_the_same_and_forged_predictions_do_not_help(run: Path) -> None:
    again = trained_again(run, "data")
    honest = compared(json.loads((run / RESULT).read_text()), again, REPEATED)
    assert all(check.within for check in honest)
    assert {"params", "val/acc trained again", "last/loss trained again", "train/loss trained again"} <= {check.name for check in honest}
    changed(run, acc=0.99, auc=0.999)
    told(run, params=again["params"] - 1)
    wrong = [check.name for check in compared(json.loads((run / RESULT).read_text()), again, REPEATED) if not check.within]
    assert wrong == ["params", "test/acc trained again", "test/auc trained again"]


def test_another_device_that_a_result_names_is_no_excuse(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Half a percent more than what was measured, far less than what lies between two machines."""
    honest = json.loads((run / RESULT).read_text())
    changed(run, "val", acc=honest["val"]["acc"] + 0.005)
    told(run, device="a faster one", git="another", versions={**honest["versions"], "torch": "1.0"}, precision="bf16-mixed")
    assert not verify(run, "data")
    out = capsys.readouterr().out
    assert out.splitlines()[-1].endswith("numbers do not agree: val/acc trained again")
    assert "not to be computed from the predictions: all of val, last and train\n" in out
    assert f"did to the last digit, although result.json says torch 1.0 (here {honest['versions']['torch']}), device a faster one" in out


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


def test_data_that_is_not_here_is_refused_before_the_training(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def train(*arguments: Any, **options: Any) -> None:
        raise AssertionError("trained")

    monkeypatch.setattr("dlhw.training.train", train)
    [(name, _)] = json.loads((run / RESULT).read_text())["data"].items()
    told(run, data={name: "0" * 64})
    with pytest.raises(UserError, match=f"^{name} is not the data that .* says it was trained on"):
        trained_again(run, "data")


def test_the_settings_of_a_stranger_import_nothing(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(run)
    (run / "stranger.py").write_text("raise SystemExit('imported')")
    config = run / CONFIG
    config.write_text(config.read_text().replace("_target_: dlhw.models.cnn.CNN", "_target_: stranger.Network"))
    told(run, config_hash=config_hash(identity(read_config(run))))
    with pytest.raises(UserError, match=r"model\._target_=stranger\.Network is refused"):
        trained_again(run, "data")


def test_a_result_that_says_nothing_is_not_verified(run: Path) -> None:
    told(run, test={})
    with pytest.raises(UserError, match=r"says nothing of what its predictions tell: test/loss, test/acc"):
        verify(run, "data", train_again=False)


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


def test_settings_that_do_not_belong_to_the_result_are_refused(run: Path) -> None:
    config = run / "config.yaml"
    config.write_text(config.read_text().replace("lr: 0.01", "lr: 0.02"))
    with pytest.raises(UserError, match=r"config\.yaml is not what result\.json was made with"):
        trained_again(run, "data")


def test_nan_agrees_with_nan_only() -> None:
    nan = float("nan")
    assert Check("x", nan, nan, 1e-5).within
    assert not Check("x", nan, 0.5, 1.0).within and not Check("x", 0.5, nan, 1.0).within
