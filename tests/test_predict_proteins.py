"""Predictions for proteins that a run never saw, from FASTA or vectors."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from harness import Shell, Starter
from rbp_tables import random_rna, table, write_table

from dlhw.errors import UserError
from dlhw.explain.command import main as explain
from dlhw.predict.command import main
from dlhw.run_folder import RESULT

MODELS = ("rbp_dual_encoder", "rbp_nearest", "rbp_mean", "rbp_cnn")


@pytest.fixture(scope="module")
def runs(starter: Starter, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A short run of each network on simulated proteins, some families of which are held out."""
    shell = Shell(starter, tmp_path_factory.mktemp("proteins"))
    small = ("task.data.probes=200", "task.data.families=4", "task.data.members=3", "trainer.accelerator=cpu", "trainer=smoke")
    families = ("task.data.unseen_by=cluster", "task.data.identity=0.6")
    shell.run("-m", "task=rbp_sim_unseen", f"model={','.join(MODELS)}", "optim.lr=0.01", "seed=0", *families, *small)
    return {json.loads((run / RESULT).read_text())["model"]: run for run in shell.runs()}


def predict(run: Path, proteins: Path, folder: Path, *more: str) -> pd.DataFrame:
    """Three probes, with ``proteins`` or for the run's own."""
    (folder / "probes.txt").write_text("\n".join(random_rna(np.random.default_rng(0), 3)))
    words = [f"run={run}", f"input={folder / 'probes.txt'}", f"output={folder / 'out.csv'}", "device=cpu", *more]
    assert main([*words, f"proteins={proteins}"] if proteins != run else words) == 0
    return pd.read_csv(folder / "out.csv")


def spec(run: Path) -> dict[str, list[str]]:
    return json.loads((run / RESULT).read_text())["spec"]


def fasta(path: Path, records: dict[str, str]) -> Path:
    path.write_text("".join(f">{name} a protein\n{letters[:30]}\n{letters[30:]}\n" for name, letters in records.items()))
    return path


@pytest.mark.parametrize("model", MODELS[:3])
def test_a_held_out_protein_under_another_name_gets_the_same_predictions(runs, tmp_path, model):
    """The run knows the held-out proteins by name: as new ones from a file they must be answered alike."""
    run = runs[model]
    told = spec(run)
    amino_acids = dict(zip(told["proteins"], told["amino_acids"], strict=True))
    renamed = {f"new-{name}": amino_acids[name] for name in told["unseen"]}
    found = predict(run, fasta(tmp_path / "new.fasta", renamed), tmp_path)
    own = predict(run, run, tmp_path)
    assert [*found.columns] == ["name", "start", "end", "sequence", *(f"{name} (simulated)" for name in renamed)]
    for name in told["unseen"]:
        np.testing.assert_allclose(found[f"new-{name} (simulated)"], own[f"{name} (simulated)"], atol=1e-5)
    if model == "rbp_dual_encoder":
        assert found.iloc[:, 4:].nunique(axis=1).min() > 1  # proteins differ


def test_what_is_said_of_a_protein_depends_on_its_amino_acids_alone(runs, tmp_path, capsys):
    """One of the trained proteins, under another name, is answered as itself by the nearest one, whatever else is in the file."""
    run = runs["rbp_nearest"]
    told = spec(run)
    place = next(number for number, name in enumerate(told["proteins"]) if name not in told["unseen"])
    twin = {"first": told["amino_acids"][-1], "twin": told["amino_acids"][place]}
    found = predict(run, fasta(tmp_path / "twin.fasta", twin), tmp_path, "bedgraph=twin")
    own = predict(run, run, tmp_path)
    np.testing.assert_allclose(found["twin (simulated)"], own[f"{told['proteins'][place]} (simulated)"], atol=1e-5)
    assert f"twin: of the proteins trained on {told['proteins'][place]} is the most alike, 100%" in capsys.readouterr().out
    assert (tmp_path / "out.twin.bedgraph").exists()


def test_vectors_of_new_proteins(starter, tmp_path):
    """A run that reads vectors: those of a trained protein give its predictions."""
    shell = Shell(starter, tmp_path)
    write_table(tmp_path / "norm_data.txt", table(200, experiments=3))
    (tmp_path / "vectors.csv").write_text("name,x,y\nEXP1,1,0\nEXP2,0,1\nEXP3,1,1\n")
    data = ("task=rbp_multi", "task.data.table=norm_data.txt", "task.data.metadata=null", "task.data.embeddings=vectors.csv")
    shell.run(*data, "model=rbp_dual_encoder", "model.encoder=embeddings", "trainer=smoke", "trainer.accelerator=cpu")
    (tmp_path / "new.csv").write_text("name,x,y\nA,0,1\nB,5,5\n")
    run = shell.only_run()
    found, own = predict(run, tmp_path / "new.csv", tmp_path), predict(run, run, tmp_path)
    np.testing.assert_allclose(found["A"], own["EXP2"], atol=1e-5)
    (tmp_path / "short.csv").write_text("name,x\nA,0\n")
    for name, message in (("short.csv", "vectors are not as long as those"), ("new.fasta", r"stands in vectors \(\.npz or \.csv\)$")):
        with pytest.raises(UserError, match=message):
            predict(run, tmp_path / name, tmp_path)


@pytest.mark.parametrize(
    ("model", "text", "message"),
    [
        ("rbp_cnn", ">new\nMK\n", "model=rbp_cnn has an output for each of its own proteins, so it says nothing of others; a run of"),
        ("rbp_mean", ">SIM001\nMK\n", "SIM001 is a protein of the run itself: leave it out, or give it another name"),
        ("rbp_dual_encoder", "", "holds no protein: FASTA, or vectors as"),
        ("rbp_dual_encoder", ">one\nMK1\n", "the sequence of one is empty or has characters that are no letters"),
        ("rbp_dual_encoder", ">one\nMK\n>one\nML\n", "several records of one that differ"),
        ("rbp_dual_encoder", ">one\nACGUUGCAUGN\n", r"new\.fasta: the sequence of one is RNA or DNA \(nothing but A, C, G, U, T, N\)"),
        ("rbp_mean", ">one\nMKLACGTACGTACG\n>two\nacgtnacgtacgt\n>three\nACGTACGTACGT\n", "the sequence of two is RNA or DNA"),
        ("rbp_dual_encoder", None, "cannot be read as FASTA"),
    ],
)
def test_wrong_files_leave_the_old_output(runs, tmp_path, model, text, message):
    (tmp_path / "out.csv").write_text("before")
    if text is not None:
        (tmp_path / "new.fasta").write_text(text)
    with pytest.raises(UserError, match=message):
        predict(runs[model], tmp_path / "new.fasta", tmp_path)
    assert (tmp_path / "out.csv").read_text() == "before"


@pytest.mark.slow
def test_a_baseline_is_explained_for_a_protein_that_it_never_saw(runs, tmp_path):
    name = spec(runs["rbp_nearest"])["unseen"][0]
    words = (f"protein={name}", "k=2", "probes=1", "backgrounds=5", f"output={tmp_path}", "device=cpu")
    assert explain([f"run={runs['rbp_nearest']}", *words]) == 0
    summary = json.loads((tmp_path / name / "summary.json").read_text())
    assert summary["network"] == f"{name} (simulated), rbp_nearest" and summary["kmers"]["network"]


def test_vectors_are_no_amino_acids(runs, tmp_path):
    with pytest.raises(UserError, match=r"what this run reads of a protein stands in FASTA$"):
        predict(runs["rbp_nearest"], tmp_path / "new.csv", tmp_path)
