"""Simulated probes: what is in them, that they are called simulated, and that their known motif is found again."""

import itertools
import json
import logging
import math

import numpy as np
import pytest
import torch
from harness import composed, result
from hydra.utils import instantiate

from dlhw.correlation import spearman
from dlhw.data.rbp_sim import SHORTEST, RbpSimData, RbpSimUnseenData
from dlhw.data.recognition_code import CODE, SITES
from dlhw.data.rna import PADDING, decode, encode, one_hot
from dlhw.data.simulate import ONSET, affinity, motif, plant, random_probes
from dlhw.errors import UserError
from dlhw.results import load_run

SIZES = {"batch_size": 64, "eval_batch_size": 512}


def simulated(kind: type = RbpSimData, **knobs) -> RbpSimData:
    data = kind(**SIZES, **knobs)
    data.setup()
    return data


def test_a_motif_is_log_odds():
    weights = motif("GC", [0.7, 0.25])
    assert np.exp(weights).sum(axis=1) / 4 == pytest.approx([1, 1])
    assert weights[0] == pytest.approx(np.log(np.array([0.1, 0.1, 0.7, 0.1]) * 4))
    assert weights[1] == pytest.approx(0)  # no base is preferred


def test_affinity_is_the_sum_over_all_places_within_the_probe():
    weights = [motif("UGC", [0.9, 0.8, 0.7]), motif("AAA", [0.5, 0.9, 0.5])]
    texts = ["UGCAUGCAA", "UG", "AAAA"]
    found = affinity(encode(texts, 12, "here"), weights, chunk=2)
    for row, text in enumerate(texts):
        for column, table in enumerate(weights):
            places = range(len(text) - 2)
            scores = [sum(table[i]["ACGU".index(text[place + i])] for i in range(3)) for place in places]
            expected = math.log1p(sum(math.exp(score - table.max(axis=1).sum() + ONSET) for score in scores))
            assert found[row, column] == pytest.approx(expected, rel=1e-5)


def test_sites_are_planted_whole_into_a_share_of_the_probes():
    random = np.random.default_rng(0)
    codes = random_probes(random, 4000, 30, 41)
    lengths = (codes != PADDING).sum(axis=1)
    assert lengths.min() == 30 and lengths.max() == 41
    before = codes.copy()
    plant(random, codes, [motif("UGCAUGUGCAUG", [1 - 1e-9] * 12)], share=0.25)
    assert ((codes == PADDING) == (before == PADDING)).all()
    there = ["UGCAUGUGCAUG" in text for text in decode(codes)]
    assert np.mean(there) == pytest.approx(0.25, abs=0.03)


def test_everything_says_that_it_is_simulated(caplog):
    with caplog.at_level(logging.INFO, "dlhw"):
        data = simulated(probes=500, proteins=3)
    assert data.spec.proteins == ("SIM01", "SIM02", "SIM03")
    assert list(data.checksums) == ["simulated probes"] and data.notes["simulated"] is True
    assert data.notes["motifs"]["SIM01"][1:7] == "UGCAUG"
    assert "simulated" in caplog.text
    json.dumps(data.notes)  # goes into result.json


def test_the_world_is_a_function_of_its_seed():
    one, same, other = simulated(probes=300), simulated(probes=300), simulated(probes=300, world_seed=1)
    assert one.checksums == same.checksums != other.checksums
    assert simulated(probes=300, split_seed=5).checksums == one.checksums
    assert {len(split.inputs) for split in one.splits.values()} == {240, 60, 300}


def test_the_ceiling_is_that_of_the_binding_without_noise():
    data = simulated(probes=1000, proteins=2)
    bound = affinity(data.splits["test"].inputs, [protein.motif for protein in data.proteins])
    expected = spearman(bound, data.splits["test"].targets)
    ceiling = list(data.notes["spearman of the simulated binding without noise"].values())
    assert ceiling == pytest.approx(expected, abs=0.002)  # the highest intensities were clipped since
    exact = simulated(probes=1000, proteins=2, noise=0.0)
    assert list(exact.notes["spearman of the simulated binding without noise"].values()) == pytest.approx([1, 1])


def test_the_amino_acids_ask_for_the_motif():
    data = simulated(RbpSimUnseenData, probes=100, families=3, members=2)
    assert len(data.spec.proteins) == len(set(data.spec.amino_acids)) == 6
    for protein in data.proteins:
        places = [protein.amino_acids.index(left) + len(left) for left, _ in SITES]
        assert places == sorted(places)
        asked = ["".join(base for base, acid in CODE.items() if acid == protein.amino_acids[place]) for place in places]
        assert "".join("ACGU"[base] for base in protein.motif.argmax(axis=1)) == "".join(asked)


@pytest.mark.parametrize(
    "knobs", [{"probes": 9}, {"planted": 1.1}, {"noise": -0.1}, {"world_seed": -1}, {"proteins": 0}, {"length": SHORTEST - 1}]
)
def test_knobs_out_of_range(knobs):
    [(name, value)] = knobs.items()
    with pytest.raises(UserError, match=rf"task\.data\.{name}={value} is out of range"):
        simulated(**knobs)


def top_kmers(net: torch.nn.Module, outputs: int, count: int = 20) -> list[str]:
    """For each output the 6-mer that raises the mean prediction most when it is written into random probes."""
    probes = random_probes(np.random.default_rng(1), count, 41, 41)
    kmers = np.array(list(itertools.product(range(4), repeat=6)), np.uint8)
    means = []
    with torch.no_grad():
        for chunk in np.array_split(kmers, 16):
            written = np.repeat(probes[None], len(chunk), axis=0)  # (k-mers, probes, 41)
            written[:, :, 17:23] = chunk[:, None]
            predicted = net(*one_hot(torch.from_numpy(written.reshape(-1, 41))))
            means.append(predicted.view(len(chunk), count, outputs).mean(dim=1))
    return decode(kmers[torch.cat(means).argmax(dim=0).numpy()])


def test_the_known_motif_is_found():
    data = simulated(probes=5000, proteins=1, planted=0.3)
    torch.manual_seed(0)
    net = instantiate(composed("task=rbp_sim", "model=rbp_cnn").model)(data.spec)
    optimizer = torch.optim.Adam(net.parameters(), lr=0.005)
    codes, measured = (torch.from_numpy(part) for part in (data.splits["train"].inputs, data.splits["train"].targets))
    for _ in range(3):
        for rows in torch.randperm(len(codes)).split(64):
            loss = (net(*one_hot(codes[rows])) - measured[rows]).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    assert top_kmers(net.eval(), 1) == ["UGCAUG"]


@pytest.mark.slow
def test_all_known_motifs_are_found_by_a_run(shell):
    shell.run(
        "task=rbp_sim", "model=rbp_cnn", "task.data.probes=8000", "optim.lr=0.005", "trainer.max_epochs=10", "trainer.accelerator=cpu"
    )
    run = load_run(shell.only_run())
    notes = result(shell.only_run())["notes"]
    found = top_kmers(run.task.evaluated, len(run.spec.proteins))
    assert found == [letters[1:7] for letters in notes["motifs"].values()]
    ceiling = np.mean(list(notes["spearman of the simulated binding without noise"].values()))
    assert result(shell.only_run())["test"]["spearman"] > 0.8 * ceiling
