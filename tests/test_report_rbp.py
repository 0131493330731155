"""What chapter B shows: tuning tables, systems protein by protein, what was found in networks, and sentences made of results."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from matplotlib.text import Text

from dlhw.config import CONF
from dlhw.explain.sequences_motifs import Filter, meme, read_filters
from dlhw.report.build import build
from dlhw.report.chapters import plans
from dlhw.report.claims import load_claims
from dlhw.report.document import Chapter, Document
from dlhw.report.parts.grid import grid
from dlhw.report.parts.motifs import attention, attention_on, logos
from dlhw.report.parts.proteins import by_protein, kmers
from dlhw.report.parts.rbp_findings import ATTENTION, EACH, SIM_ATTENTION, SIM_FILTERS, findings, many
from dlhw.report.runs import Record, own_task

PLAN = plans()["rbp"]


def record(experiment: str, folder: Path = Path("none"), **given: Any) -> Record:
    """A finished run with one metric for each protein; what has a dot in its name is a setting."""
    settings = {"task.data.protein": "RBP04", "task.data.batch_size": 64, "optim.optimizer._target_": "torch.optim.Adam"} | {
        key: value for key, value in given.items() if "." in key
    }
    test = {f"spearman:{name}": value for name, value in given.get("proteins", {}).items()}
    test |= {"spearman": float(np.mean([*test.values()])) if test else given.get("spearman", 0.5), "pearson": 0.5} | given.get("test", {})
    result = {
        "experiment": experiment,
        "task": given.get("task", own_task(experiment)),
        "model": given.get("model", "rbp_cnn"),
        "seed": given.get("seed", 0),
        "epochs": 10,
        "params": 1,
        "train_seconds": 1.0,
        "device": "cpu",
        "precision": "32-true",
        "data": {"table": "0" * 64},
        "test": test,
        "val": {"spearman": given.get("val", test["spearman"])},
        "spec": {"spec": "SequenceSpec", "proteins": [*given.get("proteins", {"RBP04": 0})]},
        "notes": given.get("notes", {}),
    }
    return Record(folder, result, settings)


def test_a_grid_has_a_mean_for_each_pair_and_the_choice_of_validation() -> None:
    def run(kernel: int, filters: int, seed: int, spearman: float, val: float) -> Record:
        return record("rbp/filters", seed=seed, spearman=spearman, val=val, **{"model.kernel": kernel, "model.filters": filters})

    runs = [run(12, 32, seed, 0.7 + 0.01 * seed, 0.75) for seed in range(3)] + [run(6, 32, 0, 0.8, 0.6), run(12, 128, 0, 0.9, 0.7)]
    runs.append(record("rbp/hidden", spearman=0.99))
    axes = ("model.kernel", "kernel"), ("model.filters", "filters")
    [table] = grid("t", "Tuning.", runs, {"experiment": "rbp/filters"}, *axes)
    assert list(table.columns) == ["kernel \\ filters", "32", "128"]
    assert table.rows == [["6", "0.8000 (1)", "not run"], ["12", "0.7100 [0.6852, 0.7348] (3)", "0.9000 (1)"]]  # numbers in their order
    assert "Validation would choose kernel 12, filters 32 (0.7500)" in table.notes[0] and table.caption == "Tuning."
    assert grid("t", "Tuning.", runs, {"experiment": "rbp/none"}, *axes) == []
    made_up = [record("rbp/filters", notes={"simulated": True}, **{"model.kernel": 6, "model.filters": 16})]
    assert grid("t", "Tuning.", made_up, {"experiment": "rbp/filters"}, *axes)[0].caption == "Tuning. (simulated)"


def test_systems_protein_by_protein() -> None:
    alone = [record("rbp/each", proteins={name: value}) for name, value in (("RBP01", 0.2), ("RBP04", 0.8))]
    whole = [
        record("rbp_multi/rbp_multi", proteins={"RBP01": 0.1, "RBP04": value, "RBP07": 0.5}, seed=seed)
        for seed, value in ((0, 0.9), (1, 0.7))
    ]
    systems = {"alone": EACH, "all": {"experiment": "rbp_multi/rbp_multi"}, "peer": {"experiment": "none"}}
    [table] = by_protein("t", "Proteins.", alone + whole, systems, ["RBP01"])
    assert table.rows == [
        ["RBP01", "0.2000 +", "0.1000", "not run"],
        ["RBP04", "0.8000 +", "0.8000 +", "not run"],
        ["RBP07", "not run", "0.5000", "not run"],
        ["mean (3)", "not run", "0.4667", "not run"],
        ["mean without RBP01 (2)", "not run", "0.6500", "not run"],
    ]
    assert "alone 1, all 2, peer 0" in table.notes[0]
    [table] = by_protein("t", "Proteins.", [*alone, record("rbp/each", proteins={"RBP04": 0.8}, seed=1)], systems, [])
    assert "alone 1 to 2, all 0" in table.notes[0]
    alone[1].result["test"] |= {"spearman_second_measurement:RBP04": 0.85, "spearman_measured_twice:RBP04": 0.86}
    [table] = by_protein("t", "Proteins.", alone + whole, systems, ["RBP01"])
    assert [row[-1] for row in table.rows] == ["-", "0.8500", "-", "-", "-"] and table.columns[-1] == "second measurement"
    told = "a Spearman's correlation of 0.850, the network for one protein with 0.860 (mean over 1 protein). As good"
    assert any(told in sentence and "they agree by, 0.922." in sentence for sentence in findings(alone))  # the root of 0.85
    assert by_protein("t", "Proteins.", [], systems, []) == []


@pytest.fixture
def explained(tmp_path: Path) -> Path:
    """What dlhw.explain has written of a network: two filters of which one never speaks, and a probe with UGCAUG."""
    folder = tmp_path / "run" / "explain"
    folder.mkdir(parents=True)
    counts = np.array([[8.0, 1, 1, 0], [0, 10, 0, 0], [2.5, 2.5, 2.5, 2.5]])
    found = [Filter(0, 3, 10, counts, 0.7), Filter(1, 0, 0, np.zeros((3, 4)), 0.0)]
    (folder / "filters.meme").write_text(meme(found[:1]))
    pd.DataFrame([{"convolution": f.convolution, "filter": f.number, "effect": f.effect} for f in found]).to_csv(folder / "filters.csv")
    sequence = "AAUUGCAUGCCCCCCCCCCC"
    weights = np.where((np.arange(20) >= 2) & (np.arange(20) < 10), 0.1, 0.2 / 12)
    table = pd.DataFrame({"probe": 1, "base": list(sequence), "integrated_gradient": 0.1, "attention": weights})
    table[[f"change_to_{base}" for base in "ACGU"]] = 0.0
    table.to_csv(folder / "positions.csv")
    told = {"network": "SIM01 (simulated), rbp_cnn", "kmers": {"network": "UGCAU", "measured": "GCAUG", "shared": 9, "spearman": 0.8}}
    (folder / "summary.json").write_text(json.dumps(told))
    return folder


def test_filters_come_back_from_their_files(explained: Path) -> None:
    [found] = read_filters(explained)
    np.testing.assert_allclose(found.counts, [[8.0, 1, 1, 0], [0, 10, 0, 0], [2.5, 2.5, 2.5, 2.5]], atol=1e-4)
    assert (found.convolution, found.number, found.sites, found.effect) == (0, 3, 10, 0.7)
    assert found.consensus == "ACn"


def test_only_simulated_sequences_are_shown(explained: Path) -> None:
    proteins = {"SIM01": 0.8}
    notes = {"simulated": True, "motifs": {"SIM01": "AUGCAUGA"}}
    real = [record(where["experiment"], explained.parent, proteins=proteins) for where in (SIM_FILTERS, SIM_ATTENTION)]
    assert not logos("l", real, SIM_FILTERS) and not attention("a", real, SIM_ATTENTION) and not attention_on("UGCAUG", real, SIM_ATTENTION)
    made_up = [record(where["experiment"], explained.parent, proteins=proteins, notes=notes) for where in (SIM_FILTERS, SIM_ATTENTION)]
    [figure] = logos("l", made_up, SIM_FILTERS)
    assert "simulated; the motif that was planted is AUGCAUGA" in figure.caption
    assert [figure.name for figure in attention("a", made_up, SIM_ATTENTION)] == ["a-1"]
    told = attention_on("UGCAUG", made_up, SIM_ATTENTION)
    assert "that hold UGCAUG (1 was looked at), 83 % of the attention" in told and "would put 50 %" in told
    assert attention_on("GGGGGG", made_up, SIM_ATTENTION) == ""
    for unit, short in (("standard deviations", "sd"), ("normal scores", "normal scores")):
        figures = [logos("l", made_up, SIM_FILTERS), attention("a", made_up, SIM_ATTENTION)]
        texts = [{text.get_text() for text in figure.drawing.findobj(Text)} for [figure] in figures]
        assert f"SIM01 (simulated), rbp_cnn: effects in {unit}" in texts[0]
        assert {f"integrated\ngradients\n({short})", f"change\n({short})"} <= texts[1]
        summary = explained / "summary.json"
        summary.write_text(json.dumps(json.loads(summary.read_text()) | {"unit": "normal scores"}))
    [table] = kmers("k", "K-mers.", made_up, [SIM_FILTERS])
    assert table.rows == [["SIM01 (simulated), rbp_cnn", "UGCAU", "GCAUG", "9", "0.800"]]


def unseen(name: str, **test: float) -> Record:
    return record(name, task="rbp_sim_unseen", model="rbp_dual_encoder", notes={"simulated": True}, spearman=0.8, test=test)


MANY = {"task.data.exclude": "[]", "task.data.normal_scores": True}


def runs_of_a_part() -> list[Record]:
    """Some of the chapter's runs."""
    course = {"model.kernel": 12, "model.filters": 32, "optim.lr": 0.001}
    return [
        record("rbp/filters", spearman=0.7, **course),
        record("rbp/hidden", spearman=0.75, model="rbp_bilstm", **{"model.hidden": 64, "optim.lr": 0.001}),
        *(record("rbp/each", proteins={name: 0.5}) for name in ("RBP01", "RBP04", "RBP07")),
        record("rbp_multi/rbp_multi", proteins={"RBP01": 0.1, "RBP04": 0.6, "RBP07": 0.45, "RBP35": 0.05}, **MANY),
        unseen("rbp/unseen", spearman_nearest_protein=0.2, spearman_mean_protein=0.1),
        unseen("rbp/unseen_cluster"),
    ]


def test_sentences_are_made_of_the_runs_that_there_are() -> None:
    told = " ".join(findings(runs_of_a_part()))
    assert "those here are of RBP04. So the two cannot be compared" in told
    assert "trained for 10 epochs (the course: 50) and has a test Spearman of 0.750." in told
    assert "The Bi-LSTM against the single convolution, in test Spearman: +0.050 at the course's settings." in told
    assert "but RBP01 and RBP35: +0.025 against each alone (-0.0500 to +0.1000 by protein, better on 1 of 2)." in told
    assert "3 of the 3 networks for one protein were trained with one seed." in told and "were taught by" not in told
    assert (
        "single proteins held out the dual encoder reaches 0.800; what was measured of the nearest protein 0.200, of the mean protein"
        in told
    )
    assert "With whole families held out the dual encoder reaches 0.800." in told and "simulated proteins only" in told
    assert "Some systems are taught normal scores of the intensities." in told
    assert "normal scores" not in " ".join(findings([record("rbp/each"), record("rbp/single")]))
    assert "A1CF" not in told and "Started from" not in told and "attention pooling" not in told
    assert len(findings([])) == 1


def test_how_the_networks_for_one_protein_differ_from_the_one_for_all_is_told() -> None:
    again = record("rbp/each", proteins={"RBP04": 0.512}, seed=1)
    for_all = record("rbp_multi/rbp_multi", proteins={"RBP04": 0.6}, **MANY, **{"task.data.batch_size": 256})
    told = " ".join(findings([*(run for run in runs_of_a_part() if not run.has({"experiment": "rbp_multi/rbp_multi"})), again, for_all]))
    assert "by Adam for 10 epochs of batches of 64, the one for all by Adam for 10 epochs of batches of 256." in told
    assert (
        "2 of the 3 networks for one protein were trained with one seed; where there are several seeds, they differ by up to 0.0120."
        in told
    )


def test_the_optimizer_of_the_peers_is_told_as_it_was() -> None:
    for target, is_told in (("dlhw.muon.Muon", True), ("torch.optim.Adam", False)):
        peer = record("rbp_multi/multirbp", proteins={"RBP04": 0.5}, **MANY, **{"optim.optimizer._target_": target})
        assert ("learn the same targets by the same optimizer, Muon" in " ".join(findings([*runs_of_a_part(), peer]))) == is_told


def test_the_chapter_is_whole_with_a_part_of_its_runs() -> None:
    chapter: Chapter = build(PLAN, runs_of_a_part(), load_claims())
    tables = {table.name: table for table in Document("", [chapter]).tables}
    assert all(len(row) == len(table.columns) and all(cell.strip() for cell in row) for table in tables.values() for row in table.rows)
    by_row = {(row[0], row[2]): row for row in tables["rbp-results"].rows}
    assert by_row["R5", "Spearman"][4] == "0.7000" and by_row["R5", "Spearman"][-1] == "not comparable"
    assert by_row["R8 nearest", "Spearman"][1].endswith("(simulated)") and by_row["R8 nearest", "Spearman"][4] == "0.2000"
    assert by_row["R8", "Spearman"][4] == "0.8000" and by_row["many", "Spearman"][4] == "0.3000"
    assert not [row for row in tables["rbp-more"].rows if row[0] == "R8 nearest"]  # it would show the dual encoder's validation
    verdicts = {row[0].removesuffix(" +"): row for row in tables["rbp-claims"].rows}
    assert verdicts["B14"][5] == "0.0250" and verdicts["B14"][2].startswith("undecided (2 parts")
    assert many("rbp_multi")["experiment"] == "rbp_multi/rbp_multi" and "rbp-proteins" in tables
    assert by_row["many", "Pearson of normal scores"][4] == "0.5000" and by_row["R5", "Pearson"][4] == "0.5000"


def test_a_run_of_intensities_is_none_of_normal_scores() -> None:
    plain = record("rbp_multi/rbp_multi", proteins={"RBP04": 0.6}, **MANY | {"task.data.normal_scores": False})
    [table] = [table for table in Document("", [build(PLAN, [plain], [])]).tables if table.name == "rbp-results"]
    assert {row[4] for row in table.rows if row[0] == "many"} == {"not run"}


def of_scores(experiment: str) -> bool:
    """Whether an experiment's file, or one that it builds on, has normal scores learnt."""
    settings = yaml.safe_load((CONF / "experiment" / f"{experiment}.yaml").read_text())
    own = settings.get("task", {}).get("data", {}).get("normal_scores")
    bases = [base for base in settings.get("defaults", []) if isinstance(base, str) and base != "_self_"]
    return any(map(of_scores, bases)) if own is None else own


def test_what_is_measured_on_another_scale_is_called_so_and_drawn_apart() -> None:
    by_id = {row.id: of_scores(row.where["experiment"]) for row in PLAN.rows}
    assert {True, False} == {*by_id.values()}
    for row in PLAN.rows:
        labels = [metric.label for metric in row.metrics or PLAN.metrics if "pearson" in metric.quantity]
        assert labels in ([], ["Pearson of normal scores" if by_id[row.id] else "Pearson"]), row.id
    for curves in PLAN.curves:
        if any("loss" in column for column, _ in curves.columns):
            assert len({by_id[name] for name in curves.rows}) == 1, curves.name
    assert all("own scale" in metric.label for metric in PLAN.more if "loss" in metric.quantity)


CURVES = {
    "passes 0.70 after 2.5 epochs and ends": [[0.1, 0.7, 0.8], [0.1, 0.2, 0.8]],
    "passes 0.70 after 2.0 epochs in 1 of 2 runs, never in the others, and ends": [[0.1, 0.7, 0.8], [0.1, 0.2, 0.3]],
    "never passes 0.70 and ends": [[0.1, 0.6], [0.1, 0.2]],
    "ends": [[], []],
}


@pytest.mark.parametrize("said", CURVES)
def test_when_attention_passes_a_level(said: str, tmp_path: Path) -> None:
    runs = []
    for seed, curve in enumerate(CURVES[said]):
        folder = tmp_path / f"seed-{seed}"
        folder.mkdir()
        pd.DataFrame({"val/spearman": curve}).to_csv(folder / "metrics.csv", index=False)
        runs.append(record(ATTENTION["experiment"], folder, seed=seed, spearman=0.75, **{"model.attention": "pool"}))
    assert f"over the seeds, attention pooling {said} at a test Spearman of 0.750." in " ".join(findings(runs))
