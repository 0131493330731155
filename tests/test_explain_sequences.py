"""What is said of networks that read RNA, against networks whose motif is known and against the definitions."""

import warnings
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from rbp_tables import MOTIF, random_rna
from scipy.stats import entropy
from torch import nn

from dlhw.data.arrays import Split
from dlhw.data.rna import decode, encode
from dlhw.errors import UserError
from dlhw.explain import sequences_kmers as kmers
from dlhw.explain.sequences import Options, Report, about, explain_kmers
from dlhw.explain.sequences_filters import find_filters
from dlhw.explain.sequences_motifs import meme
from dlhw.explain.sequences_network import Network
from dlhw.layers.masked import BatchNorm
from dlhw.models.kmer_ridge import KmerRidge
from dlhw.models.multirbp import MultiRBP
from dlhw.models.rbp_bilstm import RbpBiLSTM
from dlhw.models.rbp_cnn import RbpCNN
from dlhw.models.rbp_dual_encoder import RbpDualEncoder
from dlhw.models.rbp_residual import RbpResidual
from dlhw.models.residualbind import ResidualBind
from dlhw.specs import SequenceSpec

SPEC = SequenceSpec(41, ("P1", "P2"))
KINDS: dict[str, Any] = {
    "cnn": RbpCNN,
    "bilstm": RbpBiLSTM,
    "attention": lambda spec: RbpBiLSTM(spec, attention="pool", filters=6),
    "multihead": lambda spec: RbpBiLSTM(spec, attention="multihead"),
    "residual": RbpResidual,
    "multirbp": MultiRBP,
    "residualbind": ResidualBind,
}


def asked(net: nn.Module, column: int = 1, batch_size: int = 64) -> Network:
    """A network as :mod:`dlhw.explain` asks it."""
    return Network(SimpleNamespace(evaluated=net, device=torch.device("cpu")), column, batch_size)  # type: ignore[arg-type]


def untrained(kind: str) -> Network:
    torch.manual_seed(0)
    return asked(KINDS[kind](SPEC))


def planted(motif: str = MOTIF, bias: float = -5.0) -> RbpCNN:
    """A CNN whose second of three filters answers 1 to ``motif`` alone, the others nothing; the prediction is twice that."""
    net = RbpCNN(SPEC, filters=3, kernel=len(motif), hidden=())
    with torch.no_grad():
        for weight in net.parameters():
            weight.zero_()
        for place, code in enumerate(encode([motif], len(motif), "motif")[0]):
            net.motifs.weight[1, code, 0, place] = 1.0
        net.motifs.bias[1] = bias
        net.head[1].weight[1, 1] = 2.0
    return net


@pytest.fixture
def codes() -> np.ndarray:
    """Random probes; the first 20 hold the motif once."""
    sequences = random_rna(np.random.default_rng(0), 300)
    sequences = [sequence.replace(MOTIF, "A" * 6) for sequence in sequences]
    return encode([MOTIF.join((s[:7], s[13:])) if row < 20 else s for row, s in enumerate(sequences)], 41, "here")


def test_the_filter_of_a_known_motif(codes):
    filters = find_filters(asked(planted()), codes, codes[:100])
    first = filters[0]
    assert first.number == 1
    assert first.consensus == MOTIF and first.sites == 20
    assert first.counts.tolist() == (20 * np.eye(4)[encode([MOTIF], 6, "")[0]]).tolist()
    with_one_more = np.array([20.25, 0.25, 0.25, 0.25]) / 21  # a site of which nothing is known
    assert first.bits == pytest.approx(np.full(6, 2 - entropy(with_one_more, base=2)))
    assert first.effect == pytest.approx(2 * np.sqrt(0.2), abs=1e-6)  # 20 of 100 predictions of 2 fall to 0
    assert [found.sites for found in filters[1:]] == [0, 0] and [found.effect for found in filters[1:]] == [0, 0]


@pytest.mark.parametrize("kind", ["cnn", "attention", "residual", "multirbp", "residualbind"])
def test_sites_are_found_by_brute_force_too(kind, codes):
    """Each filter laid on each place that it has room for; what is above 0 after the batch normalisation, where there is one."""
    network = untrained(kind)
    norms = [layer for layer in network.net.modules() if isinstance(layer, BatchNorm)]
    for values in (values for layer in norms for values in (layer.weight, layer.bias, layer.running_mean)):
        torch.nn.init.normal_(values)
    scale, shift, done = torch.ones(1), torch.zeros(1), 0
    if norms:  # the first is that of the convolutions over the bases, side by side
        ones, zeros = torch.ones(1, norms[0].num_features, 1), torch.zeros(1, norms[0].num_features, 1)
        shift = norms[0](zeros).detach().flatten()
        scale = norms[0](ones).detach().flatten() - shift
    found = {(one.convolution, one.number): one for one in find_filters(network, codes[:40], codes[:5])}
    assert len(found) == sum(conv.out_channels for conv in network.convolutions()) > 0
    for place, conv in enumerate(network.convolutions()):
        weight = conv.weight.detach().squeeze(2).numpy().astype(float)
        bias = 0.0 if conv.bias is None else conv.bias[0].item()
        windows = [s[at : at + weight.shape[2]] for s in decode(codes[:40]) for at in range(len(s) - weight.shape[2] + 1)]
        said = [bias + sum(weight[0, "ACGU".index(base), k] for k, base in enumerate(window)) for window in windows]
        said = [float(scale[done]) * value + float(shift[done]) for value in said]
        done += conv.out_channels if norms else 0
        sites = [window for window, value in zip(windows, said, strict=True) if value > 0 and value > max(said) / 2]
        counts = [[sum(site[k] == base for site in sites) for base in "ACGU"] for k in range(weight.shape[2])]
        assert found[place, 0].sites == len(sites) and found[place, 0].counts.tolist() == counts


@pytest.mark.parametrize(
    ("build", "lengths"),
    [
        (lambda: RbpResidual(SPEC, kernels=(5, 7), filters=4, width=4, dilations=(1,), kernel=3), [5, 7]),
        (lambda: RbpDualEncoder(SequenceSpec(41, tuple("ABC"), ("MKTA", "MKLV", "MALV")), channels=4, kernel=9, depth=2, word=1), [9]),
        (lambda: RbpBiLSTM(SPEC), []),
        (lambda: KmerRidge(SPEC, longest=2), []),
    ],
    ids=["residual", "dual_encoder", "bilstm", "kmer_ridge"],
)
def test_filters_are_those_that_read_the_bases_whatever_the_widths_behind_them(build, lengths, codes):
    """Inner convolutions of four channels read no bases."""
    network = asked(build(), column=0)
    assert [conv.kernel_size[1] for conv in network.convolutions()] == lengths
    assert {len(found.counts) for found in find_filters(network, codes[:20], codes[:5])} == set(lengths)


def test_meme_files_hold_probabilities(codes):
    text = meme(find_filters(asked(planted()), codes, codes[:20])[:1])
    assert (
        "ALPHABET= ACGU" in text and "MOTIF convolution_0_filter_1 UGCAUG\nletter-probability matrix: alength= 4 w= 6 nsites= 20\n" in text
    )
    rows = np.array([line.split() for line in text.splitlines()[-6:]], float)
    assert rows.sum(axis=1) == pytest.approx(np.ones(6), abs=1e-5) and rows.argmax(axis=1).tolist() == [3, 2, 1, 0, 3, 2]


@pytest.mark.parametrize("kind", KINDS)
def test_mutagenesis_is_prediction_again(kind):
    network = untrained(kind)
    [sequence] = random_rna(np.random.default_rng(1), 1, (33, 33))
    [reference] = network(encode([sequence], 41, ""))
    changes = network.mutations(encode([sequence], 41, "")[0])
    assert changes.shape == (33, 4)
    for place in (0, 1, 17, 32):
        for column, base in enumerate("ACGU"):
            [value] = network(encode([sequence[:place] + base + sequence[place + 1 :]], 41, ""))
            assert changes[place, column] == pytest.approx(value - reference, abs=1e-6)
    assert all(changes[place, "ACGU".index(base)] == pytest.approx(0, abs=1e-6) for place, base in enumerate(sequence))
    assert np.abs(changes).max() > 1e-5


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("kind", KINDS)
def test_integrated_gradients_add_up(kind):
    network = untrained(kind)
    codes = encode([*random_rna(np.random.default_rng(2), 1, (30, 30)), "N" * 30], 41, "")
    contributions, missing = network.integrated_gradients(codes[0])
    sequence, unknown = network(codes)
    assert contributions.shape == (30,)
    assert abs(sequence - unknown) > 1e-4
    assert contributions.sum() == pytest.approx(sequence - unknown, abs=max(0.02 * abs(sequence - unknown), 1e-3))
    assert contributions.sum() - (sequence - unknown) == pytest.approx(missing, abs=1e-5)


def test_integrated_gradients_of_a_sum():
    """Of a network that is linear in the bases, each contributes its weight less the mean weight of the four."""
    net = RbpCNN(SPEC, filters=1, kernel=1, pool="mean", hidden=())
    with torch.no_grad():
        net.motifs.weight[0, :, 0, 0] = torch.tensor([1.0, 2.0, 3.0, 6.0])
        net.motifs.bias.zero_()
        net.head[1].weight.fill_(5.0)
        net.head[1].bias.fill_(7.0)
    contributions, missing = asked(net).integrated_gradients(encode(["ACGUN"], 41, "")[0])
    assert contributions == pytest.approx(np.array([1 - 3, 2 - 3, 0, 6 - 3, 0]) * 5 / 5, abs=1e-5)
    assert missing == pytest.approx(0, abs=1e-5)


def test_contributions_stand_where_the_motif_is():
    net = planted(bias=-1.0)  # speaks on the way from N to the motif too
    sequence = "A" * 10 + MOTIF + "A" * 15
    contributions, _ = asked(net).integrated_gradients(encode([sequence], 41, "")[0])
    assert set(np.argsort(-contributions)[:6]) == set(range(10, 16))
    changes = asked(net).mutations(encode([sequence], 41, "")[0])
    assert (changes.min(axis=1) < -1).nonzero()[0].tolist() == list(range(10, 16))


def test_attention_over_the_positions_of_the_sequence():
    codes = encode(random_rna(np.random.default_rng(3), 1, (31, 31)), 41, "")[0]
    for kind, weights in {kind: untrained(kind).attention(codes) for kind in KINDS}.items():
        if kind in ("attention", "multihead"):
            assert weights is not None and weights.shape == (31,) and weights.sum() == pytest.approx(1, abs=1e-5) and (weights > 0).all()
        else:
            assert weights is None


def test_the_number_of_sequences_at_once_changes_nothing(codes):
    torch.manual_seed(0)
    net = RbpResidual(SPEC)
    assert asked(net, batch_size=7)(codes) == pytest.approx(asked(net, batch_size=300)(codes), abs=1e-5)
    assert asked(net)(codes[:0]).shape == (0,)


def test_kmers_in_their_order():
    every = kmers.all_kmers(3)
    assert every.shape == (64, 3) and kmers.names(every)[:5] == ["AAA", "AAC", "AAG", "AAU", "ACA"]
    assert len({*kmers.names(every)}) == 64


def test_importance_of_a_planted_motif(codes):
    every = kmers.all_kmers(5)
    values = kmers.importance(asked(planted("GCAUG", -4.0)), codes[20:60], every)
    names = kmers.names(every)
    assert names[int(values.argmax())] == "GCAUG"
    assert values.max() == pytest.approx(2, abs=0.2)  # the prediction of 2, but for backgrounds that hold it already


def test_importance_is_the_mean_change_of_what_is_written(monkeypatch):
    """Against the definition written out, and in chunks."""
    backgrounds = ["ACGUACGUACG", "GGGGGGG", "UUUUUUUUUUUUUUUUU"]
    weights = np.random.default_rng(0).normal(size=(6, 20))

    def predict(codes):
        return weights[codes, np.arange(20)].sum(axis=1)  # every place counts differently

    expected = []
    for kmer in ("AAA", "GCU", "UUU"):
        changes = []
        for background in backgrounds:
            for share in (0.25, 0.5, 0.75):
                at = int(np.round(share * (len(background) - 3)))
                written = background[:at] + kmer + background[at + 3 :]
                changes.append(predict(encode([written], 20, ""))[0] - predict(encode([background], 20, ""))[0])
        expected.append(np.mean(changes))
    some = encode(["AAA", "GCU", "UUU"], 3, "")
    for chunk in (1, 7, 100):
        monkeypatch.setattr(kmers, "CHUNK", chunk)
        assert kmers.importance(predict, encode(backgrounds, 20, ""), some) == pytest.approx(expected)


def test_enrichment_against_one_written_out(codes):
    draw = np.random.default_rng(0)
    intensities = draw.normal(size=300)
    with_unknown = codes.copy()
    with_unknown[5, 3] = 4  # N is in no k-mer
    z, counts = kmers.enrichment(with_unknown, intensities, 3)
    sequences, means = decode(with_unknown), []
    for number, name in enumerate(kmers.names(kmers.all_kmers(3))):
        values = np.sort([value for sequence, value in zip(sequences, intensities, strict=True) if name in sequence])
        assert counts[number] == len(values)
        cut = int(0.1 * len(values))
        means.append(values[cut : len(values) - cut].mean() if len(values) >= kmers.FEWEST else np.nan)
    expected = (means - np.nanmean(means)) / np.nanstd(means)
    np.testing.assert_allclose(z, expected, atol=1e-12)


def test_kmers_of_few_probes_have_no_score():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        z, counts = kmers.enrichment(encode(["AAC"] * 6 + ["GGU"] * 4 + ["AAG"] * 5, 4, ""), np.arange(15.0), 2)
    names = kmers.names(kmers.all_kmers(2))
    there = {name: count for name, count in zip(names, counts.tolist(), strict=True) if count}
    assert there == {"AA": 11, "AC": 6, "GG": 4, "GU": 4, "AG": 5}
    assert {name for name, value in zip(names, z, strict=True) if not np.isnan(value)} == {"AA", "AC", "AG"}


def test_kmers_that_all_probes_hold_have_no_score():
    assert np.isnan(kmers.enrichment(encode(["ACGU"] * 9, 5, ""), np.arange(9.0), 1)[0]).all()


def test_agreement():
    names = kmers.names(kmers.all_kmers(2))
    important, z = np.arange(16.0), np.arange(16.0)
    z[15] = np.nan  # nothing was measured of the last one
    assert kmers.agreement(names, important, z) == kmers.Agreement("UG", "UG", 10, pytest.approx(1))
    assert kmers.agreement(names, important, z[::-1]) == kmers.Agreement("UU", "AC", 6 - 1, pytest.approx(-1))


@pytest.mark.parametrize(("notes", "told"), [({"simulated": True}, "P2 (simulated), rbp_cnn"), ({}, "P2, rbp_cnn")])
def test_data_is_simulated_where_the_result_says_so(notes, told):
    """Not where a class of some name has read it."""
    config = SimpleNamespace(task=SimpleNamespace(data=SimpleNamespace(_target_="my.own.Data" if notes else "dlhw.data.rbp_sim.Other")))
    run = SimpleNamespace(spec=SPEC, config=config, result={"model": "rbp_cnn", "notes": notes})
    assert about(run, 1) == told  # type: ignore[arg-type]


def test_too_long_kmers(tmp_path):
    probes = Split(encode(random_rna(np.random.default_rng(0), 40), 41, ""), np.ones((40, 1), np.float32))
    with pytest.raises(UserError, match=r"^k=8: no 8-mer stands in 5 measured test probes, so none has a score; take a smaller k$"):
        explain_kmers(asked(planted()), probes, 0, Options(tmp_path, k=8), Report(tmp_path, "", ""))
