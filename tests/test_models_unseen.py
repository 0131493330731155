"""Networks that answer for proteins never seen, and their runs."""

import pytest
import torch
from harness import result

from dlhw.data.rna import one_hot
from dlhw.errors import UserError
from dlhw.layers.protein_encoder import common_words
from dlhw.models.rbp_dual_encoder import RbpDualEncoder
from dlhw.models.rbp_residual import RbpResidual
from dlhw.models.rbp_unseen import RbpUnseen
from dlhw.results.stored import from_predictions, unchecked
from dlhw.specs import SequenceSpec, pack_vector

ONE, LIKE_ONE, OTHER = "MKTAYIAKQRQISFVKSHFSRQ", "MKTAYIAKQRQISFVKWHFSRQ", "GGLPWDDNNCEEMVVTTYHPLA"
SPEC = SequenceSpec(20, ("P1", "P2", "P3", "P4"), (ONE, OTHER, LIKE_ONE, OTHER[:-2] + "WW"), unseen=("P3", "P4"))


def probes() -> tuple[torch.Tensor, torch.Tensor]:
    return one_hot(torch.randint(0, 4, (5, 20), generator=torch.Generator().manual_seed(0)))


@pytest.mark.parametrize(("answer", "expected"), [("nearest", [[0], [1], [0], [1]]), ("mean", [[0], [1], [0, 1], [0, 1]])])
def test_baselines_answer_with_the_predictions_for_others(answer, expected):
    net = RbpUnseen(SPEC, answer=answer).eval()
    own = RbpResidual.forward(net, *probes())
    answered = net(*probes())
    for column, others in enumerate(expected):
        assert answered[:, column].tolist() == pytest.approx(own[:, others].mean(dim=1).tolist(), abs=1e-6)
    with pytest.raises(UserError, match=r"model\.answer=nearest compares amino acids, .*: task=rbp_multi task\.data\.fasta=FILE is"):
        RbpUnseen(SequenceSpec(20, ("P1", "P2")))


@pytest.mark.parametrize("encoder", ["kmer", "conv"])
def test_the_dual_encoder_says_the_same_of_the_same_protein_wherever_it_stands(encoder):
    """A column depends on its protein alone, not on its place: so it can answer for one that had no label."""
    torch.manual_seed(0)
    texts = (ONE, OTHER, LIKE_ONE, OTHER[:-2] + "WW")
    specs = [SequenceSpec(20, tuple("abcd")[::way], texts[::way]) for way in (1, -1)]
    net, turned = (RbpDualEncoder(spec, encoder=encoder, word=2).eval() for spec in specs)
    turned.load_state_dict(net.state_dict())
    assert torch.allclose(net(*probes()).flip(1), turned(*probes()), atol=1e-6)
    assert not torch.allclose(net(*probes())[:, 0], net(*probes())[:, 1])


def test_words_that_cannot_be_learnt_from_do_not_count():
    """Words of one trained protein alone, of none, or of all tell nothing about others."""
    texts = ("MKLVAA", "MKLVCC", "MKLWAA", "MKLWDD", "MKPPPP")
    net = RbpDualEncoder(SequenceSpec(20, tuple("abcde"), texts, unseen=("e",)), word=2, common=0.0, encoder="kmer")
    assert net.proteins.words.tolist() == [[1, 1, 0], [0, 1, 0], [1, 0, 1], [0, 0, 1], [0, 0, 0]]  # AA, LV, LW


def test_filters_start_as_words_and_answer_with_their_strongest_place():
    """At first the words themselves; later the sum of the weights of a window's letters, here counted by hand at every place."""
    torch.manual_seed(0)
    spec = SequenceSpec(20, ("a", "b", "c"), ("MKAYW", "WYXMKA", "AYWY"))
    words, net = (RbpDualEncoder(spec, encoder=encoder, word=3).eval().proteins for encoder in ("kmer", "conv"))
    net.mix.load_state_dict(words.mix.state_dict())
    assert torch.allclose(net(), words(), atol=1e-6)
    torch.nn.init.normal_(net.filters.weight)
    weights, bias = net.filters.weight.unflatten(1, (3, 26)), net.filters.bias
    strongest = []
    for text in spec.amino_acids:
        windows = [text[place : place + 3] for place in range(len(text) - 2)]
        answers = [bias + sum(weights[:, at, ord(letter) - 65] for at, letter in enumerate(window)) for window in windows]
        strongest.append(torch.stack(answers).relu().amax(dim=0))
    assert torch.allclose(net(), net.mix(torch.stack(strongest)), atol=1e-5)


def test_of_too_many_words_those_stay_that_split_the_proteins_most_evenly():
    spec = SequenceSpec(20, tuple("abcde"), ("MKLV", "MKLV", "MKAA", "MKCC", "LVDD"))  # of five, MK is in four, LV in three, KL in two
    assert common_words(spec, 2, common=0.0, most=9) == ["KL", "LV", "MK"]
    assert common_words(spec, 2, common=0.0, most=2) == ["KL", "LV"]
    for encoder in ("kmer", "conv"):
        assert RbpDualEncoder(spec, encoder=encoder, word=2, most_words=2).proteins.mix.in_features == 2


def test_a_longer_protein_beside_changes_nothing():
    spec = SequenceSpec(20, ("a", "b", "c"), (ONE, OTHER, LIKE_ONE))
    net = RbpDualEncoder(spec, encoder="conv").eval()
    beside = RbpDualEncoder(spec.with_unseen(["long"], amino_acids=[ONE * 3]), encoder="conv").eval()
    beside.load_state_dict(net.state_dict())
    assert torch.allclose(beside(*probes())[:, :3], net(*probes()), atol=1e-5)


def test_embeddings_are_standardised_over_the_trained_proteins():
    vectors = [[1.0, 5.0], [3.0, 5.0], [100.0, 6.0]]
    spec = SequenceSpec(20, ("a", "b", "c"), unseen=("c",), embeddings=tuple(map(pack_vector, vectors)))
    net = RbpDualEncoder(spec, encoder="embeddings")
    assert net.proteins.vectors[:, 0].tolist() == [-1, 1, 98]
    assert net.proteins.vectors[:2, 1].tolist() == [0, 0]  # constant: no division by zero
    assert net(*probes()).shape == (5, 3)


@pytest.mark.parametrize(
    ("knobs", "message"),
    [
        ({"encoder": "bert"}, r"model\.encoder=bert is not one of kmer, conv, embeddings"),
        ({"encoder": "embeddings"}, r"model\.encoder=embeddings, and the data has none: task=rbp_multi task\.data\.embeddings=FILE"),
        ({"word": 9}, r"model\.word=9, model\.common=0\.1: no word of amino acids"),
        ({"most_words": 0}, r"model\.most_words=0 is out of range"),
        ({"word": 0}, r"model\.word=0 is out of range"),
        ({"common": 1.0}, r"model\.common=1\.0 is out of range"),
        ({"queries": 0}, r"model\.queries=0 is out of range"),
        ({"kernel": 21}, r"model\.kernel=21 is out of range: 1 to 20"),
        ({"protein_dropout": 1.0}, r"model\.protein_dropout=1\.0 is out of range"),
    ],
)
def test_wrong_knobs(knobs, message):
    with pytest.raises(UserError, match=message):
        RbpDualEncoder(SPEC, **{"word": 1, **knobs})


def test_a_run_scores_the_unseen_proteins_only(shell):
    small = ("task.data.probes=300", "task.data.families=5", "task.data.members=4", "trainer.max_epochs=1", "trainer.accelerator=cpu")
    shell.run("task=rbp_sim_unseen", "model=rbp_dual_encoder", *small)
    found = result(shell.only_run())
    scored = {name.partition(":")[2] for name in found["test"] if name.startswith("spearman:")}
    assert len(scored) == 4 and scored < set(found["spec"]["unseen"]) and len(found["spec"]["unseen"]) == 8
    for answer in ("nearest_protein", "mean_protein"):
        assert {name.partition(":")[2] for name in found["test"] if name.startswith(f"spearman_{answer}:")} == scored
        assert -1 < found["test"][f"spearman_{answer}"] < 1
    checks = {check.name: check for check in from_predictions(shell.only_run())}
    assert {f"test/spearman:{name}" for name in scored} | {"test/loss", "test/pearson"} < set(checks)
    assert all(check.within for check in checks.values())
    told = unchecked(shell.only_run(), checks.values())  # what was measured of trained proteins is not stored
    baselines = [f"{metric}_{answer}_protein" for metric in ("pearson", "spearman") for answer in ("mean", "nearest")]
    assert f"predictions: {', '.join(f'test/{name}' for name in baselines)}, 4 parts of test/{baselines[0]}, " in told


@pytest.mark.slow
def test_unseen_proteins_are_predicted_far_above_the_baselines(shell):
    """Simulated: their amino acids decide what they bind, so the dual encoder can know, and the baselines cannot."""
    for model in ("rbp_dual_encoder", "rbp_nearest", "rbp_mean"):
        shell.run("experiment=rbp/unseen", f"model={model}", "trainer.max_epochs=5", "trainer.accelerator=cpu", "trainer.threads=1")
    found = {result(run)["model"]: result(run)["test"] for run in shell.runs()}
    dual, nearest, mean = (found[name]["spearman"] for name in ("rbp_dual_encoder", "rbp_nearest", "rbp_mean"))
    assert dual > 0.6 and dual - max(nearest, mean) > 0.25
    assert dual - max(found["rbp_mean"][f"spearman_{other}_protein"] for other in ("nearest", "mean")) > 0.25  # what was measured of others
    proteins = [name for name in found["rbp_mean"] if name.startswith("spearman:")]
    for other in ("rbp_nearest", "rbp_mean"):
        wins = sum(found["rbp_dual_encoder"][name] > found[other][name] for name in proteins)
        assert wins >= 0.9 * len(proteins)
