"""A network of many proteins, adapted to another with few probes; the figure."""

from pathlib import Path

import pytest
from harness import composed, result

from dlhw.errors import UserError
from dlhw.report.few_shot import ADAPTED, SCRATCH, Scores, few_shot, main, scores
from dlhw.report.runs import Record, load_records
from dlhw.run_files import read_config

SMALL = ("task.data.probes=1000", "model.filters=8", "model.width=8", "model.hidden=[8]", "trainer.accelerator=cpu", "trainer.max_epochs=1")


@pytest.mark.slow
def test_a_sweep_from_scratch_and_from_a_network_of_others(shell, capsys):
    shell.run("task=rbp_sim", "model=rbp_multi", "task.data.exclude=[SIM02]", *SMALL)
    many = shell.only_run()
    assert result(many)["spec"]["proteins"] == ["SIM01", "SIM03", "SIM04"]
    start = many.relative_to(shell.folder)
    grid = ("experiment=rbp/few_shot", "task=rbp_sim", "task.data.protein=SIM02", f"warm_start=null,{start}")
    text = shell.run("-m", *grid, "task.data.train_probes=50,150", "seed=0", *SMALL)
    assert "4 runs: 4 trained" in text
    assert text.count("warm start: ") == 2 and "net.head.4.weight" in text  # the last layer is new
    assert "4 runs: 0 trained, 4 skipped" in shell.run("-m", *grid, "task.data.train_probes=50,150", "seed=0", *SMALL)
    folder = shell.folder / "outputs" / "rbp" / "few_shot"
    assert len([*folder.iterdir()]) == 4
    assert scores(load_records(folder)).title == "SIM02 (simulated)"
    found = scores(load_records(folder)).values
    assert {way: sorted(values) for way, values in found.items()} == {SCRATCH: [50, 150], ADAPTED: [50, 150]}
    adapted = [result(run)["test"]["spearman"] for run in folder.iterdir() if read_config(run).warm_start]
    assert sorted(found[ADAPTED][50] + found[ADAPTED][150]) == sorted(adapted) and len(adapted) == 2
    assert main([str(folder)]) == 0
    assert (folder / "few_shot.svg").read_text().startswith("<?xml")
    assert "adapted, 150 probes: " in capsys.readouterr().out
    with pytest.raises(UserError, match=r"few_shot\.doc: a name that ends in \.svg"):
        main([str(folder), "--output", str(folder / "few_shot.doc")])


def test_the_figure_shows_the_means_and_the_spread():
    values = {SCRATCH: {100: [0.1, 0.3], 1000: [0.5]}, ADAPTED: {100: [0.4, 0.4], 1000: [0.6, 0.7]}}
    [axes] = few_shot(Scores(values, "SIM02 (simulated)")).axes
    assert (axes.get_title(), axes.get_xlabel()) == ("SIM02 (simulated)", "probes trained on (as many again validate)")
    assert [line.get_label() for line in axes.lines] == [SCRATCH, ADAPTED]
    assert [line.get_ydata() for line in axes.lines] == [pytest.approx([0.2, 0.5]), pytest.approx([0.4, 0.65])]
    assert axes.get_xscale() == "log" and [text.get_text() for text in axes.get_xticklabels()] == ["100", "1,000"]
    band = axes.collections[0].get_paths()[0].vertices[:, 1]
    assert (band.min(), band.max()) == pytest.approx((0.1, 0.5))


def test_runs_that_are_no_few_shot_are_refused(trained_runs):
    with pytest.raises(UserError, match=r"no finished run has task\.data\.train_probes, as many .* test/spearman"):
        scores(load_records(trained_runs))


def of_settings(*settings: dict[str, object]) -> list[Record]:
    """Finished runs with these settings beside a number of probes."""
    alike = {"task.data.train_probes": 10, "task.data.val_probes": 10, "task.data.protein": "RBP04"}
    return [Record(Path("none"), {"task": "rbp", "test": {"spearman": 0.5}}, alike | changed) for changed in settings]


def test_several_networks_to_start_from_are_refused():
    with pytest.raises(UserError, match=r"started from several networks \(a, b\)"):
        scores(of_settings({"warm_start": "a"}, {"warm_start": "b"}))


def test_runs_that_differ_in_more_than_probes_and_seed_are_no_seeds_of_each_other():
    found = scores(of_settings({"seed": 0, "task.data.split_seed": 0}, {"seed": 1, "task.data.split_seed": 1, "warm_start": "a"}))
    assert found.title == "RBP04" and found.values == {SCRATCH: {10: [0.5]}, ADAPTED: {10: [0.5]}}
    with pytest.raises(UserError, match=r"differ in optim\.lr \(0\.1, 0\.2\); task\.data\.protein \(RBP04, RBP07\): a figure"):
        scores(of_settings({"optim.lr": 0.1}, {"optim.lr": 0.2, "task.data.protein": "RBP07"}))
    patient = {"trainer.patience": 100}, {"trainer.patience": 10, "task.data.train_probes": 20, "task.data.val_probes": 20}
    assert scores(of_settings(*patient)).values[SCRATCH] == {10: [0.5], 20: [0.5]}
    with pytest.raises(UserError, match=r"differ in trainer\.patience of 10 probes \(10, 100\): a figure"):
        scores(of_settings(*patient, {"trainer.patience": 10, "warm_start": "a"}))
    with pytest.raises(UserError, match=r"as many task\.data\.val_probes"):
        scores(of_settings({"task.data.val_probes": 500}))


def test_each_seed_draws_its_own_probes():
    words = ("experiment=rbp/few_shot", "task.data.protein=RBP04")
    assert [composed(*words, f"seed={seed}").task.data.split_seed for seed in (0, 2)] == [0, 2]
