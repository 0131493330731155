"""RNA is read in one direction: neither the data nor a network takes a probe for its reverse complement."""

from collections import Counter

import numpy as np
import pytest
import torch
from rbp_tables import MOTIF, random_rna, read, table, write_table
from test_models_rbp import MANY, ONE, THREE, network

from dlhw.data.rna import decode, encode, one_hot
from dlhw.models.kmer_ridge import KmerRidge


def reverse_complement(sequence: str) -> str:
    return sequence[::-1].translate(str.maketrans("ACGU", "UGCA"))


def predicted(net: torch.nn.Module, sequences: list[str]) -> np.ndarray:
    with torch.no_grad():
        return net.eval()(*one_hot(torch.from_numpy(encode(sequences, 41, "here")))).numpy()


@pytest.mark.parametrize("words", MANY, ids=" ".join)
def test_a_network_tells_a_probe_from_its_reverse_complement(words):
    """The means over the proteins would hide a network that reads both and takes the larger, so each probe and protein is looked at."""
    probes = random_rna(np.random.default_rng(0), 20)
    net = network(words, THREE)
    given, turned = (predicted(net, sequences) for sequences in (probes, [*map(reverse_complement, probes)]))
    assert (np.abs(given - turned) > 1e-5).mean() > 0.9


def test_ridge_learns_a_motif_and_not_its_reverse_complement(tmp_path):
    data = read(write_table(tmp_path / "norm_data.txt", table(1200)))
    net = KmerRidge(ONE, longest=6)
    batches = {
        split: [(*one_hot(torch.from_numpy(data.splits[split].inputs)), torch.from_numpy(data.splits[split].targets))]
        for split in ("train", "val")
    }
    net.solve(batches["train"], batches["val"])
    assert reverse_complement(MOTIF) != MOTIF
    plain, bound, turned = predicted(net, ["A" * 12 + site + "A" * 12 for site in ("A" * 6, MOTIF, reverse_complement(MOTIF))])[:, 0]
    assert bound - plain > 1 and abs(turned - plain) < 0.5 * (bound - plain)


def test_what_is_learnt_from_are_the_probes_as_they_stand(tmp_path):
    """An epoch of batches, as a network gets them, and the other splits: each probe of the table once, letter by letter, and no other."""
    frame = table(300)
    data = read(write_table(tmp_path / "norm_data.txt", frame))
    epoch = [codes.numpy() for several in data.train_dataloader() for codes, _, _ in several]
    learnt = decode(np.concatenate(epoch))
    of = {name: Counter(frame["RNA_Seq"][frame["Probe_Set"] == name]) for name in ("SetA", "SetB")}
    assert Counter(learnt) + Counter(decode(data.splits["val"].inputs)) == of["SetA"]
    assert Counter(decode(data.splits["test"].inputs)) == of["SetB"]
    assert not {*map(reverse_complement, learnt)} & {*frame["RNA_Seq"]}
