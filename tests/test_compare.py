"""Settings side by side, part by part and in pairs; epochs until a metric passes a value."""

import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from harness import ROOT, result
from scipy.stats import ttest_1samp

from dlhw.errors import UserError
from dlhw.results import load_runs
from dlhw.results.__main__ import main
from dlhw.results.compare import by_setting, differences, first_passing, parts_table, told

PARTS = {"A": (0.5, 0.1), "B": (0.6, 0.3), "C": (0.7, 0.75), "D": (0.2, 0.1)}  # of the models one and two


def runs(**more) -> pd.DataFrame:
    """Two seeds of two models, 0.01 around the values of ``PARTS``."""
    rows = []
    for number, model in enumerate(("one", "two")):
        for seed, shift in ((0, -0.01), (1, 0.01)):
            row = {"path": "p", "task": "rbp_multi", "model": model, "experiment": "e", "status": "finished", "seed": seed, "epochs": 1}
            row |= {"simulated": False}
            row |= {f"test/spearman:{part}": values[number] + shift for part, values in PARTS.items()}
            rows.append(row | {"test/spearman": 0.4 - 0.1 * number + shift * (number + 1)} | more)
    return pd.DataFrame(rows)


def settings_of(frame: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """The runs of each setting by its short name."""
    return {name.short: members for name, members in by_setting(frame).items()}


def test_parts_are_means_over_the_runs_and_the_last_row_over_the_parts():
    table = parts_table(settings_of(runs()), "spearman", without=["D"])
    assert table["one"].to_dict() == pytest.approx({"A": 0.5, "B": 0.6, "C": 0.7, "mean of 3": 0.6})
    assert table["two"].to_dict() == pytest.approx({"A": 0.1, "B": 0.3, "C": 0.75, "mean of 3": 1.15 / 3})


def test_a_setting_that_lacks_a_part_has_no_mean_that_looks_like_the_others():
    frame = runs()
    frame.loc[frame["model"] == "two", "test/spearman:D"] = math.nan
    table = parts_table(settings_of(frame), "spearman")
    assert math.isnan(table.loc["mean of 4", "two"]) and table.loc["mean of 4", "one"] == pytest.approx(0.5)
    [difference] = differences(settings_of(frame), "spearman")
    assert difference.estimate.n == 3


def test_the_best_setting_is_the_best_on_the_parts_that_all_have():
    frame = runs()
    frame.loc[frame["model"] == "one", ["test/spearman:B", "test/spearman:C"]] = math.nan  # left .5 and .2
    frame.loc[frame["model"] == "two", "test/spearman:A"] = math.nan  # left .3, .75 and .1, in the mean more
    [difference] = differences(settings_of(frame), "spearman")
    assert (difference.second, difference.estimate.n) == ("one", 1)


def test_a_setting_with_all_parts_is_the_one_to_compare_with():
    """Also where another, that left one out, is better on the rest."""
    frame = runs()
    frame.loc[frame["model"] == "one", "test/spearman:D"] = math.nan
    [difference] = differences(settings_of(frame), "spearman")
    assert (difference.second, difference.estimate.n) == ("two", 3)


def test_differences_are_paired_over_parts_with_an_interval():
    [difference] = differences(settings_of(runs()), "spearman")
    gains = [two - one for one, two in PARTS.values()]
    assert (difference.first, difference.second, difference.better, difference.estimate.n) == ("two", "one", 1, 4)
    assert difference.estimate.mean == pytest.approx(np.mean(gains))
    theirs = ttest_1samp(gains, 0).confidence_interval(0.95)
    assert (difference.estimate.low, difference.estimate.high) == pytest.approx(theirs)
    [difference] = differences(settings_of(runs()), "spearman", without=["A", "B"], against="two")
    assert difference.first == "one" and difference.estimate.n == 2 and difference.estimate.low is None
    assert told(difference) == "one minus two: +0.0250, better in 1 of 2 parts"


def single(experiment: str = "each", **more) -> pd.DataFrame:
    """One run of a third model for each part, 0.1 above the first model, on one protein each."""
    row = {
        "path": "p",
        "task": "rbp",
        "model": "one",
        "experiment": experiment,
        "status": "finished",
        "seed": 0,
        "epochs": 1,
        "simulated": False,
    }
    return pd.DataFrame(
        [
            row | {"task.data.protein": part, f"test/spearman:{part}": one + 0.1, "test/spearman": one + 0.1} | more
            for part, (one, _) in PARTS.items()
        ]
    )


def test_runs_on_one_protein_each_are_the_parts_of_one_setting():
    frame = pd.concat([runs(**{"task.data.protein": "all"}), single()], ignore_index=True)
    settings = settings_of(frame[frame["model"] == "one"])
    assert len(settings) == 2
    [difference] = differences(settings, "spearman", without=["D"])
    assert (difference.first, difference.second) == ("e", "each") and (difference.estimate.n, difference.estimate.over) == (3, "parts")
    assert difference.estimate.mean == pytest.approx(-0.1) and difference.better == 0
    assert len(settings_of(pd.concat([single(), single(**{"optim.lr": 0.1}).assign(seed=1)], ignore_index=True))) == 2


def test_runs_on_one_and_the_same_protein_are_compared_over_seeds():
    frame = runs(**{"task.data.protein": "A"}).drop(columns=[f"test/spearman:{part}" for part in "BCD"])
    [difference] = differences(settings_of(frame), "spearman")
    assert (difference.estimate.over, difference.estimate.n) == ("seeds", 2)


def test_settings_that_share_no_part_are_named():
    frame = runs()
    frame.loc[frame["model"] == "two", [f"test/spearman:{part}" for part in "ABC"]] = math.nan
    frame.loc[frame["model"] == "one", "test/spearman:D"] = math.nan
    [difference] = differences(settings_of(frame), "spearman")
    assert difference.estimate is None and told(difference) == "two and one share none of their parts, so they cannot be compared"


def test_simulated_data_is_named(monkeypatch, capsys, tmp_path):
    frame = pd.concat([runs(monitor="spearman"), runs(monitor="spearman").assign(simulated=True, experiment="sim")], ignore_index=True)
    for module in ("__main__", "table"):
        monkeypatch.setattr(f"dlhw.results.{module}.load_runs", lambda *folders: frame)
    assert main(["compare", "outputs"]) == 0
    assert "two simulated minus one:" in capsys.readouterr().out
    assert main(["table", "outputs", "--metrics", "spearman", "--csv", str(tmp_path / "t.csv")]) == 0
    assert capsys.readouterr().out.count(" simulated ") == 2 and pd.read_csv(tmp_path / "t.csv")["simulated"].tolist().count(True) == 2


def described(*settings: dict[str, object]) -> dict[str, str]:
    """Short names, with what they leave out, of runs with these settings."""
    row = {"task": "t", "model": "m", "experiment": "e", "status": "finished", "seed": 0, "epochs": 1, "simulated": False, "test/acc": 0.5}
    return {name.short: name.more for name in by_setting(pd.DataFrame([row | setting for setting in settings]))}


def test_names_are_the_fewest_words_that_tell_settings_apart():
    adam, muon = {"optim.lr": 0.001, "optim.clip_norm": None}, {"optim.lr": 0.03, "optim.clip_norm": 1.0}
    assert described({"model": "one", "experiment": "e/one", **adam}, {"model": "two", "experiment": "e/two", **muon}) == {
        "one": "e/one, lr=0.001, clip_norm=-",
        "two": "e/two, lr=0.03, clip_norm=1",
    }
    assert described({"experiment": "e/one", **adam}, {"experiment": "e/two", **muon}) == {
        "e/one": "lr=0.001, clip_norm=-",
        "e/two": "lr=0.03, clip_norm=1",
    }
    assert described(*({"model.a": a, "model.b": b} for a in (1, 2) for b in (1, 2))) == dict.fromkeys(
        ("a=1 b=1", "a=1 b=2", "a=2 b=1", "a=2 b=2"), ""
    )
    together = ({"optim.long_name": value, "optim.lr": value} for value in (0.1, 0.2))
    assert described(*together) == {"lr=0.1": "long_name=0.1", "lr=0.2": "long_name=0.2"}


def test_only_names_that_would_be_the_same_get_further_words():
    decoders = [{"model": "decoder", "model.attention": kind} for kind in ("dot", "none")]
    assert described(*decoders, {"model": "ctc", "experiment": "e/ctc"}) == {
        "decoder attention=dot": "e",
        "decoder attention=none": "e",
        "ctc": "e/ctc, attention=-",
    }
    rates = ({"experiment": "b", "optim.lr": rate} for rate in (1, 2))
    assert [*described({"experiment": "a"}, *rates)] == ["a", "b lr=1", "b lr=2"]


def test_names_say_what_is_simulated():
    assert [*described({}, {"simulated": True, "experiment": "sim"})] == ["e", "sim simulated"]
    several = [{"model": model, "simulated": made_up, "experiment": "b" if made_up else "a"} for made_up in (False, True) for model in "xy"]
    assert sorted(described(*several)) == ["x", "x simulated", "y", "y simulated"]
    assert [*described({"simulated": True})] == ["e simulated"]


def test_the_table_fits_a_terminal_and_tells_below_what_names_leave_out(monkeypatch, capsys, tmp_path):
    knobs = {"optim.optimizer._target_": "dlhw.muon.Muon", "optim.schedule": "onecycle", "trainer.max_epochs": 12}
    others = {"optim.optimizer._target_": "torch.optim.Adam", "optim.schedule": "constant", "trainer.max_epochs": 1}
    frame = runs(monitor="spearman")
    for key in knobs:
        frame[key] = frame["model"].map({"one": knobs[key], "two": others[key]})
    monkeypatch.setattr("dlhw.results.__main__.load_runs", lambda *folders: frame)
    assert main(["compare", "outputs", "--csv", str(tmp_path / "parts.csv")]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed[1].split() == ["one", "two"] and pd.read_csv(tmp_path / "parts.csv").columns.tolist() == ["part", "one", "two"]
    assert "one: _target_=dlhw.muon.Muon, schedule=onecycle, max_epochs=12" in printed[-2]
    assert "two: _target_=torch.optim.Adam, schedule=constant, max_epochs=1" in printed[-1]

    many = pd.concat([runs(monitor="spearman").assign(experiment=f"experiment/{number}") for number in range(4)], ignore_index=True)
    monkeypatch.setattr("dlhw.results.__main__.load_runs", lambda *folders: many)
    monkeypatch.setenv("COLUMNS", "80")
    assert main(["compare", "outputs"]) == 0
    table, _, _ = capsys.readouterr().out.partition("minus")
    rows = table.splitlines()[:-1]
    assert max(map(len, rows)) <= 80 and sum(row.startswith("mean of 4") for row in rows) > 1


def test_without_parts_differences_are_paired_over_seeds():
    frame = runs().drop(columns=[f"test/spearman:{part}" for part in PARTS])
    [difference] = differences(settings_of(frame), "spearman")
    assert difference.estimate.mean == pytest.approx(-0.1) and (difference.better, difference.estimate.n) == (0, 2)


def test_of_errors_the_lower_is_better():
    frame = runs().rename(columns=lambda name: name.replace("spearman", "loss"))
    [difference] = differences(settings_of(frame), "loss")
    assert difference.second == "two" and difference.better == 1  # one is better in C alone


def books() -> pd.DataFrame:
    """The runs as those of lines of four books: of the whole text model two makes fewer errors, of the mean book model one."""
    frame = runs(monitor="cer").rename(columns=lambda name: name.replace("spearman", "cer"))
    for column in (f"test/cer:{book}" for book in PARTS):
        frame[column] = 1 - frame[column]
    return frame


def test_error_rates_are_compared_over_seeds_and_not_over_books(monkeypatch, capsys, tmp_path):
    [difference] = differences(settings_of(books()), "cer")
    assert (difference.first, difference.second) == ("one", "two")
    assert (difference.estimate.over, difference.estimate.n, difference.better) == ("seeds", 2, 0)
    assert difference.estimate.mean == pytest.approx(0.1)
    monkeypatch.setattr("dlhw.results.__main__.load_runs", lambda *folders: books())
    assert main(["compare", "outputs"]) == 0
    told = capsys.readouterr().out.splitlines()
    assert told[0] == "one minus two: +0.1000, better in 0 of 2 seeds" and len(told) == 2
    for more in (["--csv", str(tmp_path / "parts.csv")], ["--without", "A"]):
        with pytest.raises(UserError, match=r"cer is compared over seeds alone; python -m dlhw\.results groups FOLDER tells it"):
            main(["compare", "outputs", *more])


def test_a_single_setting_without_parts_is_nothing_to_compare(monkeypatch, capsys):
    for frame in (books(), runs(monitor="spearman").drop(columns=[f"test/spearman:{part}" for part in PARTS])):
        monkeypatch.setattr("dlhw.results.__main__.load_runs", lambda *folders, frame=frame: frame[frame["model"] == "one"])
        with pytest.raises(UserError, match=r"there is nothing to compare: test/(cer|spearman) was measured in 1 settings"):
            main(["compare", "outputs"])
    monkeypatch.setattr("dlhw.results.__main__.load_runs", lambda *folders: runs(monitor="spearman")[:2])
    assert main(["compare", "outputs"]) == 0 and "mean of 4" in capsys.readouterr().out  # the table of the parts is something


def test_what_cannot_be_compared():
    settings = settings_of(runs())
    with pytest.raises(UserError, match="--without: E is no part; there are A, B, C, D"):
        parts_table(settings, "spearman", ["E"])
    with pytest.raises(UserError, match="no run has measured pearson on parts"):
        parts_table(settings, "pearson")
    with pytest.raises(UserError, match="--against=three is 0 of the settings"):
        differences(settings, "spearman", against="three")
    with pytest.raises(UserError, match="test/pearson was measured in 0 settings"):
        differences(settings, "pearson")


def test_the_command_compares_over_seeds_without_torch(trained_runs):
    code = "import sys; from dlhw.results.__main__ import main; main(sys.argv[1:]); sys.exit('torch' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code, "compare", str(trained_runs), "--metric", "loss"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    losses = load_runs(trained_runs).pivot(index="seed", columns="model.softmax", values="test/loss")
    gains = losses.iloc[:, 1] - losses.iloc[:, 0]
    assert f"{gains.abs().mean():.4f}" in done.stdout and "of 2 seeds" in done.stdout


def test_the_command_writes_the_parts(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("dlhw.results.__main__.load_runs", lambda *folders: runs(monitor="spearman"))
    assert main(["compare", "outputs", "--without", "D,A", "--csv", str(tmp_path / "parts.csv")]) == 0
    assert pd.read_csv(tmp_path / "parts.csv", index_col="part").loc["mean of 2", "one"] == pytest.approx(0.65)
    assert "two minus one" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("metric", "threshold", "expected"), [("val/spearman", 0.3, 2), ("val/spearman", 0.5, math.nan), ("val/loss", 0.8, 3)]
)
def test_the_first_epoch_that_passes(tmp_path, metric, threshold, expected):
    (tmp_path / "metrics.csv").write_text("epoch,val/loss,val/spearman\n0,1.0,\n1,0.9,0.3\n2,0.8,0.4\n3,0.7,0.2\n")
    assert first_passing(pd.DataFrame({"path": [str(tmp_path)]}), metric, threshold) == pytest.approx([expected], nan_ok=True)
    with pytest.raises(UserError, match="no run has recorded val/acc"):
        first_passing(pd.DataFrame({"path": [str(tmp_path)]}), "val/acc", 0.5)


def test_the_table_shows_when_a_metric_passes(trained_runs, tmp_path, capsys):
    reached = min(result(run)["last"]["loss"] for run in map(Path, load_runs(trained_runs)["path"]))
    assert main(["table", str(trained_runs), "--passes", f"val/loss={reached + 1e-6}", "--csv", str(tmp_path / "t.csv")]) == 0
    assert "val/epochs to loss=" in capsys.readouterr().out
    with pytest.raises(UserError, match=r"--passes=test/acc=0\.5: a metric of the validation split"):
        main(["table", str(trained_runs), "--passes", "test/acc=0.5"])
