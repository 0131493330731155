"""A result is checked against its predictions and against the run trained again; a falsified one is caught."""

import json
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from dlhw.checkpoint_file import SafeCheckpointIO, load_checkpoint
from dlhw.errors import UserError
from dlhw.results.checks import Check, Same
from dlhw.results.ensemble import write_scores
from dlhw.results.repeated import REPEATED, compared, files_compared
from dlhw.results.stored import from_decoded, from_predictions, not_checked
from dlhw.results.verify import labels, start, trained_again, verify
from dlhw.run_files import read_config, read_metrics
from dlhw.run_folder import BEST, CONFIG, DECODED, METRICS, RESULT, config_hash, identity


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
    (run / RESULT).write_text(json.dumps({**result_of(run), **values}))


def result_of(run: Path) -> dict[str, Any]:
    return json.loads((run / RESULT).read_text())


def set_to(run: Path, old: str, new: str, **values: Any) -> None:
    """Change the settings of a run, and its result with them, as who would not be caught."""
    text = (run / CONFIG).read_text()
    assert text.count(old) == 1
    (run / CONFIG).write_text(text.replace(old, new))
    told(run, config_hash=config_hash(identity(read_config(run))), **values)


def failing(checks: Iterable[Check | Same]) -> list[str]:
    return [check.name for check in checks if not check.within]


def last_line(capsys: pytest.CaptureFixture[str]) -> str:
    return capsys.readouterr().out.splitlines()[-1]


def labels_of(run: Path) -> list[Check | Same]:
    return labels(run, result_of(run), read_config(run))


@pytest.fixture
def never_trained(monkeypatch: pytest.MonkeyPatch) -> None:
    def train(*arguments: Any, **options: Any) -> None:
        raise AssertionError("trained")

    monkeypatch.setattr("dlhw.training.train", train)


def test_the_metrics_of_a_run_are_those_of_its_predictions(trained_runs: Path) -> None:
    for run in sorted(trained_runs.iterdir()):
        checks = from_predictions(run)
        assert {"test/loss", "test/acc", "test/auc", "test/f1"} <= {check.name for check in checks}
        assert all(check.within for check in checks), [str(check) for check in checks if not check.within]


def test_a_better_accuracy_than_that_of_the_predictions_is_caught(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    honest = json.loads((run / RESULT).read_text())["test"]["acc"]
    changed(run, acc=honest + 0.01)
    assert not verify(run, "data")
    assert last_line(capsys).endswith("1 of 14 checks fail: test/acc")


def test_a_run_trained_again_says_the_same_and_forged_predictions_do_not_help(run: Path, tmp_path: Path) -> None:
    (again_in := tmp_path / "again").mkdir()
    cfg = read_config(run)
    assert not failing(labels_of(run))
    again, honest = trained_again(result_of(run), cfg, again_in), result_of(run)
    checks = [*compared(honest, again, REPEATED), *files_compared(run, again_in)]
    assert not failing(checks)
    assert {"params", "val/acc trained again", "last/loss trained again", "train/loss trained again"} <= {check.name for check in checks}

    changed(run, acc=0.99, auc=0.999)
    layers = [*honest["layers"][:-1], {**honest["layers"][-1], "what": "Linear(1, 1)"}]
    notes, spec = {"simulated": True}, {**honest["spec"], "classes": ["zero", *honest["spec"]["classes"][1:]]}
    told(run, params=again["params"] - 1, epochs=3, best_epoch=0, layers=layers, monitor="auc", notes=notes, spec=spec)
    metrics = ["test/acc trained again", "test/auc trained again"]
    wrong = ["params", "monitor", "simulated", "epochs", "best_epoch", "layers", "spec", *metrics]
    assert failing(compared(result_of(run), again, REPEATED)) == wrong
    # Elsewhere the best epoch may be another one; how many there were is still known, but where patience has an end.
    assert failing(compared(result_of(run), again, 0.02)) == ["params", "monitor", "simulated", "epochs", *metrics]
    assert failing(compared(result_of(run), again, 0.02, may_stop=True)) == ["params", "monitor", "simulated", *metrics]

    rows = (run / METRICS).read_text().splitlines()
    (run / METRICS).write_text("\n".join([*rows, rows[-1]]) + "\n")
    checkpoint = load_checkpoint(run / BEST)
    name, tensor = next((name, tensor) for name, tensor in checkpoint["state_dict"].items() if tensor.is_floating_point())
    tensor.view(-1)[:2] += 0.001
    SafeCheckpointIO().save_checkpoint(checkpoint, run / BEST)
    curves, best, last = files_compared(run, again_in)
    assert not curves.within and len(curves.said) == len(read_metrics(run / METRICS)[0]) - 1  # of the row too many; but not its time
    assert best.found == {name: 2} and not best.within and last.within


def test_another_device_that_a_result_names_is_no_excuse(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Half a percent more than what was measured, far less than what lies between two machines."""
    honest = result_of(run)
    changed(run, "val", acc=honest["val"]["acc"] + 0.005)
    told(run, device="a faster one", git="another", versions={**honest["versions"], "torch": "1.0"}, precision="bf16-mixed")
    assert not verify(run, "data")
    out = capsys.readouterr().out
    assert out.splitlines()[-1].endswith("checks fail: val/acc trained again")
    assert "not to be computed from the predictions: all of val, last and train\n" in out
    assert f"did to the last digit, although result.json says torch 1.0 (here {honest['versions']['torch']}), device a faster one" in out


@pytest.mark.usefixtures("never_trained")
def test_data_that_is_not_here_is_refused_before_the_training(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told(run, data={"digits": "0" * 64, "more": "1"})
    assert not verify(run, "there")
    out = capsys.readouterr().out
    assert out.splitlines()[-1].endswith("2 of 16 checks fail: data digits, data more")
    assert "data_root=there " in out and " _target_=dlhw.data.digits.DigitsData" in out


def test_a_run_on_several_devices_is_not_trained_again(run: Path, never_trained: None) -> None:
    with pytest.raises(UserError, match=r"trained on 2 devices, which is not done again here: --predictions-only checks"):
        trained_again({**result_of(run), "devices": 2}, read_config(run), run)


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without a GPU")
def test_a_run_of_a_gpu_is_trained_again_where_there_is_none(run: Path, tmp_path: Path) -> None:
    cfg = read_config(run)
    cfg.trainer.accelerator, cfg.trainer.devices, cfg.trainer.precision = "gpu", [0], "16-mixed"
    again = trained_again(result_of(run), cfg, tmp_path)
    assert again["test"]["acc"] == pytest.approx(result_of(run)["test"]["acc"]) and again["precision"] == "32-true"


def test_the_settings_of_a_stranger_import_nothing(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(run)
    (run / "stranger.py").write_text("raise SystemExit('imported')")
    set_to(run, "_target_: dlhw.models.cnn.CNN", "_target_: stranger.Network")
    with pytest.raises(UserError, match=r"model\._target_=stranger\.Network is refused"):
        verify(run, "data")


@pytest.mark.usefixtures("never_trained")
@pytest.mark.parametrize(
    ("said", "wrong"),
    [
        ({"seed": 3}, "seed"),
        ({"model": "resnet_small"}, "model"),
        ({"model": "cnn"}, "model"),  # the same class, other settings
        ({"task": "bloodmnist"}, "task"),
        ({"experiment": "bloodmnist/softmax"}, "experiment"),
        ({"monitor": "auc"}, "monitor"),
        ({"config_hash": "0" * 64}, "config_hash"),
    ],
)
def test_a_forged_label_is_caught_before_the_training(
    run: Path, capsys: pytest.CaptureFixture[str], said: dict[str, Any], wrong: str
) -> None:
    told(run, **said)
    assert not verify(run, "data")
    assert last_line(capsys).endswith(f"checks fail: {wrong}")


def test_labels_that_the_overrides_were_forged_for(run: Path) -> None:
    """They then give other settings than those that the run was trained with."""
    words = [word for word in result_of(run)["overrides"] if not word.startswith("model.pool")]
    told(run, model="cnn", overrides=[*words, "model=cnn"])
    (wrong,) = [check for check in labels_of(run) if not check.within]
    assert isinstance(wrong, Same) and wrong.name.startswith("overrides") and wrong.said == {"model.pool": "none"}
    assert str(wrong).endswith("model.pool: said none, found max NOT THE SAME")

    told(run, model="kmer_ridge", overrides=["experiment=digits/softmax", "model=kmer_ridge"])
    (wrong,) = [check for check in labels_of(run) if not check.within]
    assert isinstance(wrong, Same) and wrong.found["model._target_"] == "dlhw.models.cnn.CNN"


def test_settings_that_came_after_a_run_are_no_lie(run: Path) -> None:
    (line,) = [line for line in (run / CONFIG).read_text().splitlines(keepends=True) if line.strip().startswith("dropout:")]
    set_to(run, line, "")
    assert not failing(labels_of(run))


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["model=of_a_stranger"], r"its overrides cannot be composed with conf/ here \(.*of_a_stranger"),
        (["hydra.searchpath=[file://conf]"], r"the overrides hydra\.searchpath=.* are none that a run writes"),
    ],
)
def test_overrides_that_mean_nothing_here(run: Path, overrides: list[str], message: str) -> None:
    told(run, overrides=overrides)
    with pytest.raises(UserError, match=message):
        verify(run, "data")


def test_a_copy_with_another_seed_is_no_other_run(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With all that goes with a seed forged as well, it is the training that tells."""
    words = [word for word in result_of(run)["overrides"] if not word.startswith("seed=")]
    seed = result_of(run)["seed"]
    set_to(run, f"\nseed: {seed}\n", "\nseed: 3\n", seed=3, overrides=[*words, "seed=3"])
    assert not verify(run, "data")
    failed = last_line(capsys).partition("checks fail: ")[2].split(", ")
    assert {"val/loss trained again", "test/loss trained again", "metrics.csv"} <= set(failed) and "seed" not in failed


def test_weights_that_a_run_starts_from_are_told(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """They may know the test split: a learning rate of nothing keeps them as they are."""
    source = shutil.copytree(run, tmp_path / "source")
    set_to(run, "warm_start: null", f"warm_start: {source}", overrides=[*result_of(run)["overrides"], f"warm_start={source}"])
    (again_in := tmp_path / "again").mkdir()
    assert not failing(labels_of(run))
    trained_again(result_of(run), read_config(run), again_in)  # what its owner did
    capsys.readouterr()
    assert verify(again_in, "data")
    out = capsys.readouterr().out
    assert f"they start from those of {source / BEST}, which are taken as they are: verify that run as well\n" in out
    assert out.splitlines()[-1].endswith(f"trained again within 1e-06, given the weights of {source}")


def test_a_start_is_looked_for_beside_the_run(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    written = "${output_root}/digits/cnn/seed-${seed}"
    folder = shutil.copytree(run, tmp_path / "moved" / "digits" / "softmax" / "mine")
    set_to(folder, "warm_start: null", f"warm_start: {written}")
    source = start(folder, result_of(folder), read_config(folder))
    assert source == tmp_path / "moved" / "digits" / "cnn" / f"seed-{result_of(run)['seed']}"
    assert "no result lies there, so nothing tells how they came about" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["config_hash", "data", "overrides", "spec", "versions", "notes"])
@pytest.mark.parametrize("value", [None, 3, [3]])
def test_a_result_that_lacks_what_is_checked_is_refused_in_a_sentence(run: Path, name: str, value: Any) -> None:
    if value is None:
        (run / RESULT).write_text(json.dumps({key: said for key, said in result_of(run).items() if key != name}))
    else:
        told(run, **{name: value})
    with pytest.raises(UserError, match=rf"result\.json .*\b{name}\b"):
        verify(run, "data")


def test_a_metric_that_is_no_number_is_refused_in_a_sentence(run: Path) -> None:
    changed(run, "val", acc="high")  # type: ignore[arg-type]
    with pytest.raises(UserError, match=r"cannot be verified: val missing, or not as a run writes it"):
        verify(run, "data")


def test_damaged_predictions_are_refused_in_a_sentence(run: Path) -> None:
    (run / "predictions.npz").write_bytes(b"PK\x03\x04")
    with pytest.raises(UserError, match=r"the stored predictions are damaged"):
        verify(run, "data")


READ = {"reference": np.array(["abcd", "ab"]), "hypothesis": np.array([["abce"], ["ab"]]), "score": np.zeros((2, 1))}


def test_scores_of_other_decoders_are_computed_again(trained_runs: Path, tmp_path: Path) -> None:
    runs = [tmp_path / name for name in ("seed-0", "seed-1")]
    for run in runs:
        run.mkdir()
        shutil.copyfile(next(trained_runs.iterdir()) / CONFIG, run / CONFIG)  # of which nothing matters to texts
    honest = {"loss": 0.5, "cer": 1 / 6, "wer": 1 / 2}
    write_scores(runs[0] / DECODED, "test_beam_length_power-1.0", {"decode": {}, "test": honest}, READ)
    write_scores(runs[0] / DECODED, "val_greedy", {"decode": {}, "val": {**honest, "cer": 0.1}}, READ)
    together = {"ensemble": ["seed-0", "x/seed-1"], "test": {**honest, "wer": 0.0}}
    write_scores(tmp_path / DECODED, "ensemble-of-2-abcdef_test_beam", together, READ)
    write_scores(runs[1] / DECODED, "test_beam", {"decode": {}, "test": honest}, READ)
    (runs[1] / DECODED / "test_beam.npz").unlink()  # as in a kept run
    said = {"spec": {"spec": "TextSpec"}}
    checks = from_decoded(runs[0], said)
    of_both = "decoded/ensemble-of-2-abcdef_test_beam.json"
    assert [check.name for check in checks] == ["decoded/test_beam_length_power-1.0.json", "decoded/val_greedy.json", of_both]
    assert failing(checks) == ["decoded/val_greedy.json", of_both]
    assert checks[1].said == {"val/cer": 0.1} and checks[1].found == pytest.approx({"val/cer": 1 / 6})

    assert [check.name for check in from_decoded(runs[1], said)] == [of_both]
    told_of = not_checked(runs[1], {}, from_decoded(runs[1], said))
    assert f"decoded/test_beam.json, the loss in {of_both} and how the predictions there came about" in told_of
    (runs[0] / DECODED / "val_greedy.npz").write_bytes(b"no")
    with pytest.raises(UserError, match=r"val_greedy\.json or the predictions beside it are damaged"):
        from_decoded(runs[0], said)


def test_what_is_not_checked_is_named(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (run / "explain").mkdir()
    assert verify(run, "data", train_again=False)
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("not checked, times among it: ")]
    named = set(line.partition(": ")[2].split(", "))
    assert {"train_seconds", "started", "device", "epochs", "params", "val", "checkpoints", "metrics.csv", "explain"} <= named
    assert not {"seed", "model", "test", "predictions.npz", "overrides"} & named


def test_a_result_that_says_nothing_is_not_verified(run: Path) -> None:
    told(run, test={})
    with pytest.raises(UserError, match=r"says nothing of what its predictions tell: test/loss, test/acc"):
        verify(run, "data", train_again=False)


def test_settings_that_do_not_belong_to_the_result_are_caught(run: Path) -> None:
    config = run / CONFIG
    config.write_text(config.read_text().replace("lr: 0.01", "lr: 0.02"))
    assert failing(labels_of(run)) == ["config_hash", "overrides, with conf/ here"]
