"""The committed results: what is copied, that nothing is lost in the compact form, and the README's table."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import confusion_matrix

from dlhw.errors import UserError
from dlhw.results.reference import (
    BEGIN,
    COMPACT,
    END,
    confusion,
    keep,
    read_compact,
    read_predictions,
    readme_table,
    write_compact,
    write_readme,
)


def test_compact_predictions_come_back_bit_for_bit(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    arrays = {
        "probabilities": random.random((50, 3), dtype=np.float32) ** 20,
        "targets": random.integers(0, 3, 50),
        "index": np.arange(50),
        "score": np.where(np.arange(100).reshape(50, 2) % 7, -random.random((50, 2), dtype=np.float32), np.float32(-np.inf)),
        # what a reader of CSV could take for a number, for nothing, or for more than one cell
        "reference": np.array(["café", "NA", "", "12", "1.50", "nan", "a,b", 'say "so"', " x ", "true"] * 5),
        "hypothesis": np.array([["null", "æ\n\r"], ["-inf", "\ufffd"]] * 25),
        "one": np.array([["a"], ["b"]] * 25),
    }
    write_compact(tmp_path / COMPACT, arrays)
    first = (tmp_path / COMPACT).read_bytes()
    back = read_compact(tmp_path / COMPACT)
    assert back.keys() == arrays.keys()
    for name, array in arrays.items():
        assert back[name].dtype == array.dtype
        np.testing.assert_array_equal(back[name], array)
    write_compact(tmp_path / COMPACT, arrays)
    assert (tmp_path / COMPACT).read_bytes() == first  # no time stamp


def test_finished_runs_are_kept_without_checkpoints(trained_runs: Path, tmp_path: Path) -> None:
    folders = keep([trained_runs], tmp_path)
    assert folders
    for folder in folders:
        assert sorted(path.name for path in folder.iterdir()) == [
            "config.yaml",
            "confusion.csv",
            "intervals.json",
            "metrics.csv",
            "most_wrong.png",
            COMPACT,
            "result.json",
        ]
        result = json.loads((folder / "result.json").read_text())
        predictions = read_compact(folder / COMPACT)
        right = predictions["probabilities"].argmax(axis=1) == predictions["targets"]
        assert right.mean() == pytest.approx(result["test"]["acc"], abs=1e-6)
        exact = confusion_matrix(predictions["targets"], predictions["probabilities"].argmax(axis=1))
        (folder / COMPACT).unlink()  # as where the answers are not ours to keep
        np.testing.assert_array_equal(confusion(folder), exact)


def test_what_is_not_ours_is_not_kept(trained_runs: Path, tmp_path: Path) -> None:
    """A run on data from elsewhere leaves its predictions, not the answers; large ones are left out."""
    source = min(trained_runs.iterdir())
    spec = {"spec": "SequenceSpec", "length": 41, "proteins": ["RBP01"]}
    for name, samples in (("small", 1000), ("large", 300_000)):
        run = shutil.copytree(source, tmp_path / "runs" / name)
        result = json.loads((run / "result.json").read_text()) | {"task": "rbp", "finished": name, "spec": spec}
        (run / "result.json").write_text(json.dumps(result))
        values = np.random.default_rng(0).normal(size=(samples, 1)).astype(np.float32)
        np.savez(run / "predictions.npz", predicted=values, measured=values, index=np.arange(samples))
    lines = shutil.copytree(source, tmp_path / "runs" / "lines")
    (lines / "result.json").write_text(json.dumps(result | {"task": "ocr", "finished": "lines", "spec": {"spec": "LineSpec"}}))
    texts = {"hypothesis": np.array([["read"]]), "reference": np.array(["red"])}
    np.savez(lines / "predictions.npz", score=np.zeros((1, 1)), index=np.zeros(1, int), **texts)
    keep([tmp_path / "runs"], tmp_path / "kept")
    assert set(read_predictions(tmp_path / "kept" / "digits" / "softmax" / "lines")) == {"score", "index"}
    small = read_predictions(tmp_path / "kept" / "digits" / "softmax" / "small")
    assert set(small) == {"predicted", "index"}
    exact = np.random.default_rng(0).normal(size=(1000, 1))
    np.testing.assert_allclose(small["predicted"], exact, rtol=6e-3)
    assert all(float(f"{value:.3g}") == pytest.approx(value, rel=1e-7) for value in small["predicted"][:, 0].tolist())
    assert read_predictions(tmp_path / "kept" / "digits" / "softmax" / "large") == {}


def test_made_up_data_is_marked_and_what_was_found_in_a_network_is_kept(trained_runs: Path, tmp_path: Path) -> None:
    """Of real data only what is no part of it: neither sequences nor their k-mers."""
    source = min(trained_runs.iterdir())
    for name, task in (("made-up", "rbp_sim"), ("measured", "rbp")):
        run = shutil.copytree(source, tmp_path / "runs" / name)
        notes = {"simulated": task == "rbp_sim"}
        result = json.loads((run / "result.json").read_text()) | {"task": task, "notes": notes, "experiment": f"{task}/a"}
        (run / "result.json").write_text(json.dumps(result))
        (run / "explain" / "SIM01").mkdir(parents=True)
        for file in ("summary.json", "filters.csv", "filters.meme", "positions.csv", "kmers.csv", "probe-1.png"):
            (run / "explain" / "SIM01" / file).write_text(name)
    keep([tmp_path / "runs"], tmp_path / "kept")
    found = {task: {path.name for path in (tmp_path / "kept" / task).rglob("explain/SIM01/*")} for task in ("rbp", "rbp_sim")}
    assert found["rbp"] == {"summary.json", "filters.csv", "filters.meme"}
    assert found["rbp_sim"] == found["rbp"] | {"positions.csv", "kmers.csv"}
    parts = readme_table(tmp_path / "kept").split("**rbp_sim/a**")
    assert "simulated" not in parts[0] and "| experiment | data |" in parts[1] and "| rbp_sim/a | simulated |" in parts[1]


def test_the_readme_gets_the_table_of_the_kept_runs(trained_runs: Path, tmp_path: Path) -> None:
    keep([trained_runs], tmp_path / "reference")
    readme = tmp_path / "README.md"
    readme.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n", encoding="utf-8")
    write_readme(readme, tmp_path / "reference")
    text = readme.read_text(encoding="utf-8")
    assert text.startswith("before\n")
    assert text.endswith("\nafter\n")
    assert "old" not in text
    assert readme_table(tmp_path / "reference") in text
    readme.write_text("no marks", encoding="utf-8")
    with pytest.raises(UserError, match="marks"):
        write_readme(readme, tmp_path / "reference")
