"""Proteins that are never seen: who is held out, and what each split then knows."""

import gzip
import logging

import numpy as np
import pytest
from Bio.Align import PairwiseAligner, substitution_matrices
from harness import composed
from rbp_tables import read, table, write_table

from dlhw.data.protein_files import read_all, read_embeddings, read_fasta
from dlhw.data.rbp_sim import RbpSimUnseenData
from dlhw.data.rbp_table import Column
from dlhw.data.unseen import hold_out, measured_answers, shown
from dlhw.errors import UserError
from dlhw.protein_identity import STAND_INS, clusters, identity
from dlhw.specs import pack_vector, spec_from_dict, spec_to_dict, unpack_vector

NAMES = [f"P{number}" for number in range(10)]
ONE, LIKE_ONE, OTHER = "MKTAYIAKQRQISFVKSHFSRQ", "MKTAYIAKQRQISFVKWHFSRQ", "GGLPWDDNNCEEMVVTTYHPLA"
COLUMNS = [Column(name, name, name) for name in NAMES]
TWO = [Column(name, name, name) for name in "AB"]
BATCHES = {"batch_size": 64, "eval_batch_size": 512}


def world(**knobs) -> RbpSimUnseenData:
    data = RbpSimUnseenData(**{"probes": 200, "families": 5, "members": 4, "unseen": 0.2, **BATCHES, **knobs})
    data.setup()
    return data


def test_identity_is_the_share_of_the_shorter_sequence():
    assert identity(ONE, LIKE_ONE) == pytest.approx(21 / 22)
    assert identity(ONE, ONE[5:15]) == 1.0  # what hangs over costs nothing
    assert identity(ONE[:8] + ONE[11:], ONE) == 1.0  # nor do gaps count
    aligner = PairwiseAligner(mode="global", open_gap_score=-11, extend_gap_score=-1, end_gap_score=0)
    aligner.substitution_matrix = substitution_matrices.load("BLOSUM62")
    for a, b in ((ONE, OTHER), (LIKE_ONE, OTHER[:9]), ("ACDX", "ACDE")):
        assert identity(a, b) == aligner.align(a, b)[0].counts().identities / min(len(a), len(b))


def test_rare_amino_acids_count_as_the_common_ones_that_they_resemble():
    assert identity(ONE + "UOJ", ONE + "CKL") == 1.0
    assert clusters([ONE + "U", OTHER + "O", LIKE_ONE + "J"], 0.8) == [0, 1, 0]
    assert set("ABCDEFGHIJKLMNOPQRSTUVWXYZ".translate(STAND_INS)) <= set(substitution_matrices.load("BLOSUM62").alphabet)


def test_clusters_hang_together():
    """The first is like the second, the second like the third, so all three are one cluster though the first is unlike the third."""
    chain = ["A" * 10 + "C" * 10, "A" * 10 + "W" * 5 + "C" * 5, "A" * 10 + "W" * 10]
    assert identity(chain[0], chain[2]) < 0.7 <= min(identity(chain[0], chain[1]), identity(chain[1], chain[2]))
    assert clusters([OTHER, *chain, ONE], 0.7) == [0, 1, 1, 1, 2]
    assert clusters([ONE, LIKE_ONE, ONE], 1.0) == [0, 1, 0]


def test_a_share_is_held_out_for_the_test_and_as_much_to_validate():
    held = hold_out(COLUMNS, (), 0.2, "protein", 0.5, seed=0)
    assert sorted(held.values()) == ["test", "test", "val", "val"]
    assert held == hold_out(COLUMNS, (), 0.2, "protein", 0.5, seed=0) != hold_out(COLUMNS, (), 0.2, "protein", 0.5, seed=1)


def test_those_that_are_named_test():
    held = hold_out(COLUMNS, (), ["P3", "P7"], "protein", 0.5, seed=0)
    assert {name for name, split in held.items() if split == "test"} == {"P3", "P7"}
    assert list(held.values()).count("val") == 2


def test_clusters_are_never_torn_apart():
    sequences = [ONE, LIKE_ONE, OTHER, OTHER[:-1] + "G", ONE[::-1], LIKE_ONE[::-1], OTHER[::-1], ONE[1:] + "W", "W" * 20, "C" * 20]
    number = dict(zip(NAMES, clusters(sequences, 0.8), strict=True))
    assert len(set(number.values())) == 6
    for seed in range(8):
        held = hold_out(COLUMNS, sequences, 0.2, "cluster", 0.8, seed)
        assert len({(number[name], held.get(name)) for name in NAMES}) == 6  # one fate for each cluster
    held = hold_out(COLUMNS, sequences, ["P0"], "cluster", 0.8, 0)
    assert {name for name, split in held.items() if split == "test"} == {"P0", "P1", "P7"}  # its whole cluster


@pytest.mark.parametrize("identity_knob", [0.6, 0.75])
def test_no_held_out_protein_of_a_cluster_is_like_a_trained_one(identity_knob):
    """The experiment's data at two thresholds and several draws; held out protein by protein, some are."""

    def most_alike_pair(**knobs) -> float:
        spec = world(families=8, members=3, unseen=0.25, **knobs).spec
        of = dict(zip(spec.proteins, spec.amino_acids, strict=True))
        return max(identity(of[name], of[other]) for name in spec.unseen for other in set(spec.proteins) - set(spec.unseen))

    knobs = {**composed("experiment=rbp/unseen_cluster").task.data}
    assert knobs["unseen_by"] == "cluster"
    for seed in range(3):
        alike = most_alike_pair(unseen_by="cluster", identity=identity_knob, split_seed=seed)
        assert alike < identity_knob <= most_alike_pair(unseen_by="protein", split_seed=seed)
    assert len(set(clusters(world(families=20, members=6).spec.amino_acids, knobs["identity"]))) == 20  # its threshold parts the families


@pytest.mark.parametrize("by", ["protein", "cluster"])
def test_experiments_of_one_protein_are_never_torn_apart(by):
    """Ten proteins with two experiments each, whose amino acids, as those of two constructs, are not alike."""
    twins = [Column(f"{name}_{number}", name, f"{name}_{number}") for number in (1, 2) for name in NAMES]
    alike = [letter * 20 for letter in "ACDEFGHIKLMNPQRSTVWY"]
    for seed in range(5):
        held = hold_out(twins, alike, 0.2, by, 1.0, seed)
        assert len(held) == 8 and all(held.get(f"{name}_1") == held.get(f"{name}_2") for name in NAMES)
    for named in (["P3"], ["P3_2"], ["P3_1", "P3_2"]):
        held = hold_out(twins, alike, named, by, 1.0, 0)
        assert {name for name, split in held.items() if split == "test"} == {"P3_1", "P3_2"}


def test_a_protein_with_two_experiments_is_one_in_a_table_and_in_its_files(tmp_path):
    path = write_table(tmp_path / "norm_data.txt", table(200, experiments=4))
    (tmp_path / "metadata.csv").write_text("Motif_ID,Protein_name\nEXP1,RBFOX1\nEXP2,QKI\nEXP3,RBFOX1\nEXP4,PUM2\n")
    (tmp_path / "proteins.fasta").write_text(f">RBFOX1\n{ONE}\n>QKI\n{OTHER}\n>PUM2\n{OTHER}\n>EXP3\n{LIKE_ONE}\n")
    (tmp_path / "vectors.csv").write_text("name,x\nRBFOX1,1\nQKI,2\nPUM2,3\n")
    files = {"fasta": str(tmp_path / "proteins.fasta"), "embeddings": str(tmp_path / "vectors.csv")}
    data = read(path, tmp_path / "metadata.csv", unseen="RBFOX1", **files)
    assert data.spec.proteins == ("EXP1", "QKI", "EXP3", "PUM2")
    assert data.spec.amino_acids == (ONE, OTHER, LIKE_ONE, OTHER)  # a record of an experiment goes before its protein's
    assert [unpack_vector(text) for text in data.spec.embeddings] == [(1.0,), (2.0,), (1.0,), (3.0,)]
    there = {split: np.isfinite(part.targets).any(axis=0).tolist() for split, part in data.splits.items()}
    assert there["test"] == [True, False, True, False] and not there["train"][0] and not there["train"][2]


@pytest.mark.parametrize(
    ("knobs", "message"),
    [
        ({"unseen": ["P99"]}, "P99 is not among the proteins: P0, P1"),
        ({"unseen": 0.5}, r"task\.data\.unseen=0\.5 is out of range"),
        ({"unseen": NAMES[:5]}, "leaves nothing to learn from: of 10 proteins 5 would test"),
        ({"by": "family"}, r"task\.data\.unseen_by=family is not one of protein, cluster"),
        ({"by": "cluster"}, r"needs the proteins' amino acids: task=rbp_multi task\.data\.fasta=FILE"),
        ({"threshold": 0.0}, r"task\.data\.identity=0\.0 is out of range"),
    ],
)
def test_what_cannot_be_held_out(knobs, message):
    settings = {"unseen": 0.2, "by": "protein", "threshold": 0.5, **knobs}
    with pytest.raises(UserError, match=message):
        hold_out(COLUMNS, (), settings["unseen"], settings["by"], settings["threshold"], 0)


def test_a_split_knows_only_what_is_held_out_for_it():
    held = {"b": "val", "c": "test"}
    for split, column in (("train", 0), ("val", 1), ("test", 2)):
        assert shown(["a", "b", "c"], held, split).tolist() == [column == number for number in range(3)]
        assert shown(["a", "b", "c"], {}, split).all()


@pytest.mark.parametrize(("unseen", "told"), [(None, ["EXP1, EXP2"]), (["EXP2"], ["EXP2"]), (["EXP3"], [])])
def test_a_protein_without_labels_in_a_split_is_told(tmp_path, caplog, unseen, told):
    """Two proteins were measured on set A alone; where proteins are held out, only theirs are expected in set B."""
    frame = table(200, experiments=5)
    frame.loc[frame["Probe_Set"] == "SetB", ["EXP1", "EXP2"]] = np.nan
    with caplog.at_level(logging.WARNING, "dlhw"):
        data = read(write_table(tmp_path / "table.txt", frame), unseen=unseen)
    assert caplog.messages == [f"test: no probe was measured for {names}: mean correlations are over the other proteins" for names in told]
    assert len(data.splits["test"].inputs) == 100


def test_what_was_measured_of_trained_proteins_answers_for_the_others():
    """By hand: a and b are trained on, c is like b, d like a; b was not measured on the last probe, neither of them on the third."""
    nan = np.nan
    values = np.array([[1, 5, 7, 0], [2, 9, 8, 0], [nan, nan, 9, 0], [4, nan, 6, 0]], np.float32)
    sequences = [ONE, OTHER, OTHER[:-1] + "G", LIKE_ONE]
    answers = measured_answers(values, list("abcd"), sequences, {"c": "val", "d": "test"})
    np.testing.assert_array_equal(answers["nearest_protein"], [[nan, nan, 5, 1], [nan, nan, 9, 2], [nan] * 4, [nan, nan, nan, 4]])
    np.testing.assert_array_equal(answers["mean_protein"], [[nan, nan, 3, 3], [nan, nan, 5.5, 5.5], [nan] * 4, [nan, nan, 4, 4]])
    assert set(measured_answers(values, list("abcd"), (), {"c": "test"})) == {"mean_protein"}


def test_the_answers_of_other_proteins_are_of_the_probes_that_test():
    """What the nearest trained protein measured, on its own scale, is what its column of the test split would show."""
    data, open_data = world(), world(unseen=None)
    names, held = data.spec.proteins, set(data.spec.unseen)
    trained = [number for number, name in enumerate(names) if name not in held]
    for number in (names.index(name) for name in sorted(held)):
        alike = [identity(data.spec.amino_acids[number], data.spec.amino_acids[other]) for other in trained]
        nearest = trained[int(np.argmax(alike))]
        np.testing.assert_array_equal(data.answers["nearest_protein"][:, number], open_data.splits["test"].targets[:, nearest])
    expected = open_data.splits["test"].targets[:, trained].mean(axis=1)
    for name in held:
        np.testing.assert_allclose(data.answers["mean_protein"][:, names.index(name)], expected, atol=1e-6)
    assert np.isnan(data.answers["mean_protein"][:, trained]).all() and not open_data.answers


def test_the_labels_of_unseen_proteins_are_in_no_training_batch():
    data = world()
    known = {}
    for split, part in data.splits.items():
        there = np.isfinite(part.targets).any(axis=0)
        known[split] = {name for name, labelled in zip(data.spec.proteins, there, strict=True) if labelled}
    assert [len(known[split]) for split in ("train", "val", "test")] == [12, 4, 4]
    assert not known["train"] & known["val"] and not known["train"] & known["test"] and not known["val"] & known["test"]
    assert set(data.spec.unseen) == known["val"] | known["test"]


def test_a_table_with_fasta_and_embeddings(tmp_path):
    path = write_table(tmp_path / "norm_data.txt", table(200, experiments=3))
    metadata = tmp_path / "metadata.csv"
    metadata.write_text("Motif_ID,Protein_name\nEXP1,RBFOX1\nEXP2,QKI\n")
    fasta = tmp_path / "proteins.fasta"
    fasta.write_text(f">sp|EXP1|X_HUMAN one\n{ONE[:10].lower()}\n{ONE[10:]}*\n>QKI\n{OTHER}\n>EXP3\n{LIKE_ONE}\n>unused\nMK\n")
    np.savez(tmp_path / "vectors.npz", RBFOX1=np.array([1.0, 2.0]), EXP2=np.array([0.1, -3.0]), EXP3=np.array([0.0, 0.5]))
    data = read(path, metadata, fasta=str(fasta), embeddings=str(tmp_path / "vectors.npz"), unseen=["QKI"])
    assert data.spec.proteins == ("RBFOX1", "QKI", "EXP3")
    assert data.spec.amino_acids == (ONE, OTHER, LIKE_ONE)
    assert [unpack_vector(text) for text in data.spec.embeddings] == [(1.0, 2.0), (np.float32(0.1), -3.0), (0.0, 0.5)]
    assert set(data.checksums) == {"norm_data.txt", "metadata.csv", "proteins.fasta", "vectors.npz"}
    assert spec_from_dict(spec_to_dict(data.spec)) == data.spec
    assert len(data.spec.unseen) == 2 and "QKI" in data.spec.unseen


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f">A\n{ONE}\n", "has no record of B: one named by protein or experiment is right"),
        (f">A\n{ONE}\n>b\n{ONE}\n", "has no record of B: one named by protein or experiment is right for each; it has A, b"),
        (f"{ONE}\n>B\n{ONE}\n", "is no FASTA: it begins with 'MK.*', and a header is right there, such as >NAME"),
        (f">A\n{ONE}\n>B\n{ONE}\n>B\n{OTHER}\n", "has several records of B that differ"),
        (f">A\n{ONE}\n>B\n\n", "the sequence of B is empty"),
        (f">A\n{ONE}\n>B\nMK1T\n", "the sequence of B .*characters that are no letters"),
        (f">A\n{ONE}\n>B\nUGCAUGUGCAU\n", r"proteins\.fasta: the sequence of B is RNA or DNA"),
    ],
)
def test_wrong_fasta(tmp_path, text, message):
    (tmp_path / "proteins.fasta").write_text(text)
    with pytest.raises(UserError, match=message):
        read_fasta(tmp_path / "proteins.fasta", TWO)


def test_fasta_as_windows_and_gzip_write_it(tmp_path):
    text = f"; a comment\n>A\n{ONE}\n\n>B\n{OTHER}\n"
    (tmp_path / "marked.fasta").write_text(text.partition("\n")[2], encoding="utf-8-sig")
    (tmp_path / "proteins.fasta.gz").write_bytes(gzip.compress(text.encode()))
    for name in ("marked.fasta", "proteins.fasta.gz"):
        assert read_fasta(tmp_path / name, TWO) == (ONE, OTHER)
        assert list(read_all(tmp_path / name)) == ["A", "B"]


def test_a_short_peptide_of_amino_acids_that_are_bases_too_is_no_rna(tmp_path):
    (tmp_path / "proteins.fasta").write_text(">A\nGACGTNACGA\n>B\nGACGTNACGAK\n")
    assert read_fasta(tmp_path / "proteins.fasta", TWO) == ("GACGTNACGA", "GACGTNACGAK")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name,x,y\nA,1,2\n", "has no vector of B"),
        ("name,x,y\nA,1,2\nA,3,4\nB,1,1\n", "A stands in it more than once"),
        ("name,x,y\nA,1,2\nB,1,\n", "what stands there of B \\(2\\) is no vector of finite numbers as long as the others"),
        ("A,0.1,-2.5e-3\nB,1.0,2.5\n", "its first line holds values, and names of columns are right there"),
        ("name,x,y\nA,1,2\nB,1,two\n", "cannot be read as vectors"),
    ],
)
def test_wrong_embeddings(tmp_path, text, message):
    (tmp_path / "vectors.csv").write_text(text)
    with pytest.raises(UserError, match=message):
        read_embeddings(tmp_path / "vectors.csv", TWO)
    with pytest.raises(UserError, match="cannot be read as vectors"):
        read_embeddings(tmp_path / "none.npz", TWO)


def test_a_vector_survives_as_text():
    assert unpack_vector(pack_vector([0.5, -1e30, 3.25])) == (0.5, np.float32(-1e30), 3.25)
