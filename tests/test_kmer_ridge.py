"""Ridge regression on k-mers: the counts, the solution beside scikit-learn's, and its life as a run."""

from collections import Counter

import numpy as np
import pytest
import torch
from harness import result, weights
from sklearn.linear_model import Ridge

from dlhw.data.rna import encode, one_hot
from dlhw.errors import UserError
from dlhw.models.kmer_ridge import KmerRidge
from dlhw.specs import SequenceSpec

KMERS = ["A", "C", "G", "U", *(a + b for a in "ACGU" for b in "ACGU"), *(a + b + c for a in "ACGU" for b in "ACGU" for c in "ACGU")]
SMALL = ("task=rbp_sim", "model=kmer_ridge", "task.data.probes=1000", "model.longest=3", "trainer.accelerator=cpu", "optim.lr=0.001")


@pytest.fixture
def probes() -> tuple[list[str], torch.Tensor, torch.Tensor]:
    draw = np.random.default_rng(0)
    texts = ["".join(draw.choice(list("ACGU"), draw.integers(8, 21))) for _ in range(300)]
    measured = draw.normal(size=(300, 4)) + np.array([[text.count("GC"), len(text), 3.0, 0.0] for text in texts])
    measured[::5, 1] = np.nan
    measured[7, 2] = np.nan
    measured[:, 3] = np.nan
    return texts, torch.from_numpy(encode(texts, 21, "here")), torch.tensor(measured, dtype=torch.float32)


def solved(penalties: list[float], codes: torch.Tensor, measured: torch.Tensor, val: slice = slice(200, 300)) -> KmerRidge:
    net = KmerRidge(SequenceSpec(21, ("P1", "P2", "P3", "P4")), longest=3, penalties=penalties)
    train = [(*one_hot(codes[rows]), measured[rows]) for rows in (slice(0, 90), slice(90, 200))]
    net.solve(train, [(*one_hot(codes[val]), measured[val])])
    return net


def test_counts_are_those_of_the_text(probes):
    texts, codes, _ = probes
    net = KmerRidge(SequenceSpec(21, ("P1",)), longest=3)
    for text, counts in zip(texts[:20], net.counts(one_hot(codes[:20])[0]).tolist(), strict=True):
        expected = Counter(text[i : i + k] for k in (1, 2, 3) for i in range(len(text) - k + 1))
        assert dict(zip(KMERS, counts, strict=True)) == {kmer: expected[kmer] for kmer in KMERS}


def test_an_unknown_base_is_a_quarter_of_each():
    net = KmerRidge(SequenceSpec(5, ("P1",)), longest=2)
    counts = net.counts(one_hot(torch.from_numpy(encode(["GN"], 5, "here")))[0])[0].tolist()
    found = dict(zip(KMERS[:20], counts, strict=True))
    quarters = dict.fromkeys(("A", "C", "U", "GA", "GC", "GG", "GU"), 0.25)
    assert {kmer: n for kmer, n in found.items() if n} == {"G": 1.25, **quarters}


@pytest.mark.parametrize("penalty", [0.1, 30.0])
def test_the_solution_is_that_of_scikit_learn(probes, penalty):
    _, codes, measured = probes
    net = solved([penalty], codes, measured)
    counts = net.counts(one_hot(codes[:200])[0]).numpy().astype(float)
    for protein in range(3):
        there = ~np.isnan(measured[:200, protein].numpy())
        theirs = Ridge(penalty).fit(counts[there], measured[:200, protein].numpy()[there])
        assert net.weight[:, protein].numpy() == pytest.approx(theirs.coef_, abs=1e-5)
        assert float(net.bias[protein]) == pytest.approx(theirs.intercept_, abs=1e-4)
        assert net(*one_hot(codes[200:]))[:, protein].numpy() == pytest.approx(
            theirs.predict(net.counts(one_hot(codes[200:])[0]).numpy()), abs=1e-4
        )


def test_each_protein_takes_the_penalty_that_validates_best(probes):
    _, codes, measured = probes
    penalties = [0.01, 1.0, 100.0, 10000.0]
    net = solved(penalties, codes, measured)
    for protein in range(3):
        errors = []
        for penalty in penalties:
            predicted = solved([penalty], codes, measured)(*one_hot(codes[200:]))[:, protein]
            errors.append(float((predicted - measured[200:, protein]).square().nanmean()))
        assert float(net.penalty[protein]) == pytest.approx(penalties[int(np.argmin(errors))])
    assert len(set(net.penalty[:3].tolist())) > 1


def test_a_protein_without_a_value_stays_unsolved(probes):
    _, codes, measured = probes
    net = solved([1.0], codes, measured)
    assert not net.weight[:, 3].any() and torch.isnan(net.penalty[3])


def test_a_run_takes_no_gradient_steps_and_has_all_that_runs_have(shell):
    shell.run(*SMALL, "trainer.max_epochs=1")
    folder = shell.only_run()
    found = result(folder)
    assert (found["status"], found["epochs"], found["params"]) == ("finished", 1, (4 + 16 + 64 + 1) * 4)
    assert found["test"]["spearman"] > 0.3 and "spearman:SIM01" in found["test"]
    assert (folder / "predictions.npz").exists()
    before = weights(folder)
    shell.run(*SMALL, "trainer.max_epochs=2")  # goes on from what was solved
    assert torch.equal(weights(folder)["net.weight"], before["net.weight"])


def test_what_cannot_be_done_with_a_closed_form_is_refused(shell):
    assert "optim.ema averages over gradient steps" in shell.run(*SMALL, "optim.ema=0.9", status=1)


def test_unseen_proteins_are_refused():
    with pytest.raises(UserError, match=r"^model=kmer_ridge solves each protein from its own values.*task\.data\.unseen=null$"):
        KmerRidge(SequenceSpec(21, ("P1", "P2"), unseen=("P2",)))


@pytest.mark.parametrize(("knob", "value"), [("longest", 0), ("longest", 7), ("penalties", []), ("penalties", [0.0])])
def test_knobs_out_of_range(knob, value):
    with pytest.raises(UserError, match=rf"model\.{knob}="):
        KmerRidge(SequenceSpec(21, ("P1",)), **{knob: value})
