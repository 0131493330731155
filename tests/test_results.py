"""Runs collected into a table, and one run loaded with its network."""

import json
import re
import shutil
import statistics
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from harness import ROOT, assert_same_tensors, result, weights
from omegaconf import OmegaConf

from dlhw.errors import UserError
from dlhw.results import load_run, load_runs
from dlhw.results.__main__ import main
from dlhw.results.summary import shown_settings, summarize
from dlhw.run_folder import BEST, CONFIG, METRICS, RESULT
from dlhw.specs import spec_to_dict


@pytest.fixture
def runs(trained_runs: Path, tmp_path: Path) -> Path:
    """A copy of the trained runs that a test may change."""
    return shutil.copytree(trained_runs, tmp_path / "runs")


@pytest.fixture
def run(runs: Path) -> Path:
    """One of them, with model.softmax=none and seed 0."""
    return next(folder for folder in runs.iterdir() if "softmax" not in folder.name and folder.name.endswith("seed-0"))


def change(path: Path, key: str, value) -> None:
    """Set a key of a run's config.yaml or result.json."""
    config = OmegaConf.load(path)
    OmegaConf.update(config, key, value, force_add=True)
    path.write_text(json.dumps(OmegaConf.to_container(config)) if path.suffix == ".json" else OmegaConf.to_yaml(config))


def test_a_row_for_each_run_with_what_differs_and_what_was_measured(trained_runs):
    frame = load_runs(trained_runs)
    assert sorted(zip(frame["model.softmax"], frame["seed"], strict=True)) == [("none", 0), ("none", 1), ("output", 0), ("output", 1)]
    assert [key for key in frame if "." in key] == ["model.softmax"]  # nothing else differs
    for row in frame.to_dict("records"):
        stored = result(Path(row["path"]))
        for split in ("val", "test", "last"):
            assert {name.partition("/")[2]: value for name, value in row.items() if name.startswith(f"{split}/")} == stored[split]
        assert [row[key] for key in ("status", "epochs", "params", "device")] == ["finished", 2, stored["params"], stored["device"]]


def test_the_summary_is_mean_and_sample_standard_deviation_over_seeds(trained_runs):
    frame = load_runs(trained_runs)
    table = summarize(frame)
    assert list(table["model.softmax"]) == ["none", "output"]
    for row in table.to_dict("records"):
        values = frame.loc[frame["model.softmax"] == row["model.softmax"], "test/loss"].tolist()
        assert (row["test/loss"], row["test/loss sd"]) == pytest.approx((statistics.mean(values), statistics.stdev(values)))
        assert (row["n"], row["test/loss n"], row["epochs"]) == (2, 2, 2)
    alone = summarize(frame[frame["seed"] == 1])
    assert list(alone["n"]) == [1, 1] and alone["test/loss sd"].isna().all()


def frame_of(*settings: dict) -> pd.DataFrame:
    """Finished runs with these settings, as load_runs gives them."""
    row = {"path": "p", "task": "digits", "model": "cnn", "experiment": "e", "status": "finished", "seed": 0, "test/acc": 0.5, "epochs": 1}
    row |= {"simulated": False}
    return pd.DataFrame([row | changed for changed in settings])


def test_what_the_model_or_a_target_implies_is_not_shown():
    adam, sgd = {"optim.optimizer._target_": "Adam", "optim.optimizer.eps": 1e-8}, {"optim.optimizer._target_": "SGD"}
    models = {"model": "cnn", "model.pool": "none"}, {"model": "cnn_pool", "model.pool": "max"}
    table = summarize(frame_of(*(model | optimizer for model in models for optimizer in (adam, sgd))))
    assert shown_settings(table) == ["model", "optim.optimizer._target_"] and list(table["n"]) == [1] * 4
    table = summarize(frame_of(*models, {"model": "cnn", "model.pool": "avg"}))
    assert shown_settings(table) == ["model", "model.pool"] and list(table["n"]) == [1] * 3


def test_runs_without_a_setting_are_a_setting_of_their_own():
    table = summarize(frame_of({"optim.ema": None}, {"optim.ema": 0.9}, {"optim.ema": 0.9, "seed": 1}))
    assert sorted(zip(table["optim.ema"].fillna(0), table["n"], strict=True)) == [(0, 1), (0.9, 2)]


def test_a_knob_that_follows_the_seed_makes_no_other_setting():
    """Each seed draws its own probes: ``task.data.split_seed=${seed}``."""
    rows = [{"experiment": "e", "task": "t", "model": "m", "status": "finished", "seed": seed, "simulated": False} for seed in (0, 1, 2)]
    frame = pd.DataFrame([row | {"task.data.split_seed": row["seed"], "test/spearman": row["seed"] / 10} for row in rows])
    assert summarize(frame)["n"].tolist() == [3]
    assert summarize(frame.assign(**{"task.data.split_seed": [0, 1, 1]}))["n"].tolist() == [1, 2]
    other = pd.DataFrame([rows[0] | {"experiment": "f", "task.data.split_seed": 5}])
    assert summarize(pd.concat([frame, other]))["n"].tolist() == [3, 1]


def test_settings_stand_in_the_order_of_their_values():
    table = summarize(frame_of({"optim.lr": 0.01}, {"optim.lr": 0.0003}, {"optim.lr": 0.001}))
    assert list(table["optim.lr"]) == [0.0003, 0.001, 0.01]


def test_overlapping_folders_and_copies_count_once(trained_runs, runs):
    assert len(load_runs(runs, runs.parent, trained_runs)) == 4


def test_more_epochs_are_another_setting(runs, run):
    change(run / CONFIG, "trainer.max_epochs", 3)
    change(run / CONFIG, "trainer.progress_bar", True)  # how a run is shown is none
    assert [key for key in load_runs(runs) if "." in key] == ["model.softmax", "trainer.max_epochs"]


def test_the_table_names_unfinished_runs_and_leaves_them_out(runs, run, capsys):
    (run / RESULT).write_text('{"status": "running", "started": "2026-01-01T00:00:00+00:00"}')
    assert main(["table", str(runs)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert f"unfinished: {run}" in lines
    assert "(1)" in next(line for line in lines if " none " in line) and "± " in next(line for line in lines if " output " in line)
    shutil.copytree(run, runs.parent / "alone" / "run")
    with pytest.raises(UserError, match=r"no run below .*alone is finished"):
        main(["table", str(runs.parent / "alone")])


def test_each_experiment_has_a_table_of_its_own_and_pairs_are_in_one_of_their_task(runs, run, tmp_path, capsys):
    """A setting that differs between two tables only is in neither."""
    for model in ("cnn", "cnn_pool"):
        alone = shutil.copytree(run, runs / model)
        change(alone / RESULT, "experiment", f"digits/{model}")
        change(alone / RESULT, "model", model)
        change(alone / CONFIG, "trainer.max_epochs", 3)
    main(["table", str(runs), "--csv", str(tmp_path / "all.csv")])
    pairs, swept, _ = capsys.readouterr().out.split("\n\n")
    assert [line.split()[:2] for line in pairs.splitlines()[2:]] == [["digits/cnn", "cnn"], ["digits/cnn_pool", "cnn_pool"]]
    assert pairs.startswith("digits:\n") and swept.startswith("digits/softmax:\nmodel.softmax ") and "max_epochs" not in pairs + swept
    assert pd.read_csv(tmp_path / "all.csv")["trainer.max_epochs"].tolist() == [3, 3, 2, 2]


def test_what_is_asked_for_stands_in_every_table(runs, run, tmp_path, capsys):
    """As nothing where an experiment has not measured it."""
    alone = shutil.copytree(run, runs / "alone")
    change(alone / RESULT, "experiment", "digits/alone")
    change(alone / RESULT, "test", {"loss": 1.0})
    text = (alone / METRICS).read_text().replace("val/acc", "val/other")
    (alone / METRICS).write_text(text)
    main(["table", str(runs), "--metrics", "acc", "--passes", "val/acc=0.1", "--csv", str(tmp_path / "all.csv")])
    one, swept, _ = capsys.readouterr().out.split("\n\n")
    heads = [[line for line in part.splitlines() if "test/acc" in line and "val/epochs to acc=0.1" in line] for part in (one, swept)]
    assert one.startswith("digits/alone:\n") and all(len(head) == 1 for head in heads) and "- (0)" in one and "- (0)" not in swept


def test_the_command_prints_and_writes_without_torch(runs):
    code = "import sys; from dlhw.results.__main__ import main; main(sys.argv[1:]); sys.exit('torch' in sys.modules)"
    command = [sys.executable, "-c", code, "table", str(runs), "--metrics", "acc,last/loss"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[:3] == ["model.softmax", "test/acc", "last/loss"]
    summary, written = summarize(load_runs(runs)), pd.read_csv(runs / "table.csv")
    assert list(written) == list(summary)
    assert written["test/acc"].tolist() == summary["test/acc"].tolist()
    row = summary[summary["model.softmax"] == "none"].iloc[0]
    assert f"none {row['test/acc']:.4f} ± {row['test/acc sd']:.4f} (2) {row['last/loss']:.4f} ± " in done.stdout


@pytest.mark.parametrize("read", [0, 1], ids=["nothing is read", "one character is read"])
def test_a_reader_that_has_seen_enough_costs_nothing(runs, read):
    (runs / "table.csv").unlink(missing_ok=True)
    command = [sys.executable, "-m", "dlhw.results", "table", str(runs)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout and process.stderr
        process.stdout.read(read)
        process.stdout.close()
        said = process.stderr.read()
    assert not said and process.returncode in (0, 141)  # 0: all of it was in the pipe before
    assert (runs / "table.csv").exists()


def test_an_unknown_metric_lists_the_known(runs):
    with pytest.raises(UserError, match=r"test/accuracy was not measured; there are .*test/acc,"):
        main(["table", str(runs), "--metrics", "accuracy"])


def test_wrong_folders_are_named(tmp_path):
    with pytest.raises(UserError, match="there is no run"):
        load_runs(tmp_path)
    with pytest.raises(UserError, match="nowhere is no folder"):
        load_runs(tmp_path / "nowhere")


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"status": "finished", "task": "digits"}', "\x00"])
def test_a_damaged_result_is_named(runs, run, content):
    (run / RESULT).write_text(content)
    command = [sys.executable, "-m", "dlhw.results", "table", str(runs)]
    with pytest.raises(UserError, match=f"{RESULT} is "):
        load_runs(runs)
    if content == "{":
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 1 and done.stderr.startswith(f"error: {run / RESULT} is not readable JSON")


@pytest.mark.parametrize("content", ["task: [", "seed: 0", "- 1", "seed: zero", "other: 1"])
def test_a_damaged_configuration_is_named(runs, run, content):
    (run / CONFIG).write_text(content)
    with pytest.raises(UserError, match=f"{CONFIG} is not the configuration of a run"):
        load_runs(runs)


def test_a_run_is_loaded_without_its_data(run):
    change(run / CONFIG, "task.data", {"_target_": "dlhw.data.medmnist.MedMNISTData", "flag": "bloodmnist"})
    loaded = load_run(run)
    assert_same_tensors(loaded.task.state_dict(), weights(run, BEST))
    assert not loaded.task.training and loaded.result == result(run)
    assert spec_to_dict(loaded.spec) == spec_to_dict(loaded.task.spec)
    assert json.loads(json.dumps(spec_to_dict(loaded.spec))) == result(run)["spec"]


@pytest.mark.parametrize("target", ["os.system", "dlhw.hardware.os.system", "dlhw.models.cnn.Missing"])
def test_only_known_targets_are_called(run, target):
    change(run / CONFIG, "model", {"_target_": target, "_partial_": False, "command": f"touch {run / 'called'}"})
    with pytest.raises(UserError, match=f"model._target_={target} (is refused|does not exist)"):
        load_run(run)
    assert not (run / "called").exists()


def test_a_checkpoint_must_be_whole_and_fit(run):
    change(run / CONFIG, "model.hidden", [17])
    commit = result(run)["git"] or ""
    with pytest.raises(UserError, match=rf"best\.ckpt does not fit the network of .*train it again, or use the code .*{re.escape(commit)}"):
        load_run(run)
    data = bytearray((run / BEST).read_bytes())
    data[len(data) // 2] ^= 1
    (run / BEST).write_bytes(data)
    with pytest.raises(UserError, match=r"best\.ckpt is damaged"):
        load_run(run)


def test_results_without_weights_say_how_to_get_some(run):
    shutil.rmtree(run / "checkpoints")
    with pytest.raises(UserError, match=r"holds results without weights .*: train it again, with .*experiment=digits/softmax "):
        load_run(run)


def test_an_unfinished_run_and_no_run_are_refused(run):
    change(run / RESULT, "status", "running")
    with pytest.raises(UserError, match=r"is not finished \(status running\)"):
        load_run(run)
    with pytest.raises(UserError, match="is no run"):
        load_run(run.parent)


@pytest.mark.parametrize(("device", "why"), [("cuda:99", "."), ("gpu", "auto, cpu, cuda, cuda:1 or mps is right$")])
def test_a_device_that_is_not_there_is_named(trained_runs, device, why):
    with pytest.raises(UserError, match=f"device={device} cannot be used here: {why}"):
        load_run(next(trained_runs.iterdir()), device)
