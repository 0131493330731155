"""Several runs as one: the mean of their stored predictions, scored, and written where the report looks for it."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, log_loss, roc_auc_score

from dlhw.errors import UserError
from dlhw.report.quantities import quantity
from dlhw.report.runs import load_records
from dlhw.results.__main__ import main
from dlhw.results.ensemble import ensemble_name, mean_of, write_scores
from dlhw.results.stored import from_decoded
from dlhw.run_files import read_result
from dlhw.run_folder import DECODED, PREDICTIONS


@pytest.fixture
def runs(trained_runs: Path, tmp_path: Path) -> Path:
    return shutil.copytree(trained_runs, tmp_path / "runs")


def stored(folder: Path) -> dict[str, np.ndarray]:
    with np.load(folder / PREDICTIONS) as arrays:
        return dict(arrays)


def test_the_mean_of_probabilities_is_scored(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ensemble", str(runs), "model.softmax=none"]) == 0
    members = sorted(folder for folder in runs.iterdir() if "seed" in folder.name and "softmax" not in folder.name)
    [path] = (runs / DECODED).glob("*.json")
    assert path.stem == f"{ensemble_name(members)}_test_mean"
    written = json.loads(path.read_text())
    assert written["ensemble"] == [folder.name for folder in members]
    mean = sum(stored(folder)["probabilities"].astype(float) for folder in members) / 2
    targets = stored(members[0])["targets"]
    assert written["test"]["acc"] == pytest.approx(accuracy_score(targets, mean.argmax(axis=1)))
    assert written["test"]["auc"] == pytest.approx(
        roc_auc_score(targets, mean / mean.sum(axis=1, keepdims=True), multi_class="ovr"), abs=1e-6
    )
    assert written["test"]["loss"] == pytest.approx(log_loss(targets, mean / mean.sum(axis=1, keepdims=True)), rel=1e-4)
    assert capsys.readouterr().out.startswith(f"ensemble of 2: loss {written['test']['loss']:.4f}, acc {written['test']['acc']:.4f}")
    record = next(record for record in load_records(runs) if record.folder == members[0])
    assert quantity(record, "ensemble(test_mean/acc)") == written["test"]["acc"]
    result = read_result(members[0])
    assert result and all(check.within for check in from_decoded(members[0], result))


def test_of_intensities_what_was_not_measured_stays_so(tmp_path: Path) -> None:
    measured = np.array([[1.0, np.nan], [2.0, 3.0]], np.float32)
    folders = []
    for seed, shift in enumerate((0, 2)):
        folders.append(tmp_path / f"seed-{seed}")
        folders[-1].mkdir()
        np.savez(folders[-1] / PREDICTIONS, predicted=np.array([[0, 1], [2, 3]], np.float32) + shift, measured=measured)
    together = mean_of(folders)
    assert together["predicted"].tolist() == [[1, 2], [3, 4]]
    np.testing.assert_array_equal(together["measured"], measured)


def test_what_is_no_ensemble(runs: Path) -> None:
    with pytest.raises(UserError, match=r"there are 1 finished runs model\.softmax=none seed=1: an ensemble is of two at least"):
        main(["ensemble", str(runs), "model.softmax=none", "seed=1"])
    folder = next(runs.glob("*seed-1"))
    arrays = stored(folder)
    for change, told in (
        ({**arrays, "targets": arrays["targets"][::-1]}, "has not the test samples of"),
        (
            {"hypothesis": np.array(["a"]), "reference": np.array(["a"])},
            r"its texts have no mean: python -m dlhw\.decode --ensemble is right",
        ),
        ({}, "it has no predictions.npz"),
    ):
        (folder / PREDICTIONS).unlink()
        if change:
            np.savez(folder / PREDICTIONS, **change)
        with pytest.raises(UserError, match=f"{folder.name}.*{told}"):
            main(["ensemble", str(runs)])
    result = read_result(folder)
    assert result
    (folder / "result.json").write_text(json.dumps({**result, "data": {"other": "data"}}))
    with pytest.raises(UserError, match=f"{folder.name} has other data than"):
        main(["ensemble", str(runs)])
    assert not (runs / DECODED).exists()


def test_ensembles_of_other_members_have_other_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    one, other = ([Path("attention", f"{kind}seed-{seed}") for seed in (0, 1)] for kind in ("", "dot_"))
    assert ensemble_name(one) == ensemble_name([folder.resolve() for folder in reversed(one)]) != ensemble_name(other)
    assert ensemble_name(one).startswith("ensemble-of-2-")
    write_scores(tmp_path, "name", {"test": {"acc": 1.0}}, {"targets": np.arange(3)})
    assert json.loads((tmp_path / "name.json").read_text()) == {"test": {"acc": 1.0}}
    assert stored_at(tmp_path / "name.npz") == [0, 1, 2]


def stored_at(path: Path) -> list[int]:
    with np.load(path) as arrays:
        return list(arrays["targets"])
