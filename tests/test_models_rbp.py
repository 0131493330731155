"""Networks for RNA: their sizes, that padding means nothing to them, the function that they compute, and wrong knobs."""

import inspect

import pytest
import torch
from harness import composed
from hydra.utils import instantiate
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_sequence, pad_packed_sequence

from dlhw.data.rna import encode, one_hot
from dlhw.errors import UserError
from dlhw.models.rbp_bilstm import AttentionPool, RbpBiLSTM
from dlhw.models.rbp_cnn import RbpCNN
from dlhw.models.rbp_residual import RbpResidual
from dlhw.specs import ImageSpec, SequenceSpec, spec_from_dict, spec_to_dict

ONE = SequenceSpec(41, ("P1",))
THREE = SequenceSpec(41, ("P1", "P2", "P3"), ("MKTAYIAKQRQISFVKSHFSRQ", "MKVLLRNPWTEE", "MAAGGSTRKRKAAGLD"))
SEQUENCES = ["UGCAUG" * 6 + "ACGUA", "ACGNACGUAAUGCAUGUUCGAUCGACUGAU", "G", "CUUN"]
MANY = [
    ["model=rbp_cnn"],
    ["model=rbp_cnn", "model.pool=mean", "model.kernel=7"],
    ["model=rbp_cnn", "model.pool=max_mean", "model.hidden=[]", "model.dropout=0.5"],
    ["model=rbp_bilstm"],
    ["model=rbp_bilstm", "model.layers=2", "model.pool=max_mean", "model.filters=8", "model.dropout=0.2"],
    ["model=rbp_bilstm_attention"],
    ["model=rbp_bilstm_attention", "model.attention=multihead"],
    ["model=rbp_bilstm_attention", "model.attention=multihead", "model.filters=6", "model.heads=2", "model.pool=max"],
    ["model=rbp_multi"],
    ["model=rbp_multi", "model.dilations=[]", "model.pool=mean"],
    ["model=multirbp"],
    ["model=residualbind"],
    ["model=rbp_dual_encoder", "model.word=1"],
]


def network(words: list[str], spec: SequenceSpec = THREE) -> nn.Module:
    """The network of a command line, with batch statistics that are not 0 and 1."""
    torch.manual_seed(0)
    net: nn.Module = instantiate(composed("task=rbp", "task.data.protein=P1", *words).model)(spec)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            nn.init.normal_(module.running_mean)
            nn.init.uniform_(module.running_var, 0.5, 2)
    return net


def padded(length: int) -> tuple[Tensor, Tensor]:
    return one_hot(torch.from_numpy(encode(SEQUENCES, length, "here")))


def gradients(net: nn.Module, length: int) -> list[Tensor]:
    net.zero_grad()
    net(*padded(length)).square().mean().backward()
    return [weight.grad for weight in net.parameters() if weight.grad is not None]


@pytest.mark.parametrize("words", MANY, ids=" ".join)
def test_a_batch_of_one_probe_can_be_learnt_from(words):
    """What the last batch of an epoch may be."""
    net = network(words).train()
    bases, mask = padded(41)
    net(bases[:1], mask[:1]).square().sum().backward()
    assert all(weight.grad.isfinite().all() for weight in net.parameters())


@pytest.mark.parametrize("words", MANY, ids=" ".join)
def test_padding_changes_nothing(words):
    net = network(words).eval()
    with torch.no_grad():
        expected = net(*padded(41))
        assert expected.shape == (4, 3)
        assert (expected[0] - expected[1]).abs().max() > 1e-4  # it does read the sequences
        for length in (47, 80):
            torch.testing.assert_close(net(*padded(length)), expected, rtol=1e-5, atol=1e-6)
        for row, sequence in enumerate(SEQUENCES):
            alone = net(*one_hot(torch.from_numpy(encode([sequence], len(sequence), "here"))))
            torch.testing.assert_close(alone[0], expected[row], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("words", MANY, ids=" ".join)
def test_padding_changes_no_gradient(words):
    net = network(words).eval()  # batch statistics of the training do count the padding
    for short, long in zip(gradients(net, 41), gradients(net, 60), strict=True):
        torch.testing.assert_close(long, short, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("words", MANY, ids=" ".join)
def test_every_weight_is_trained(words):
    net = network(words).eval()
    assert len(gradients(net, 41)) == len(list(net.parameters()))


def size(net: nn.Module) -> int:
    return sum(weight.numel() for weight in net.parameters())


# By hand, for one protein: weights and biases of each layer.
R5 = (4 * 12 * 32 + 32) + (32 * 64 + 64) + (64 + 1)
R6 = 2 * 4 * 64 * (4 + 64 + 2) + (128 + 1)
R7 = R6 + (128 + 1)
RESIDUAL = (
    (4 * 32 * (5 + 7 + 9 + 11) + 4 * 32)  # first convolutions
    + 2 * 128
    + (128 * 64 + 2 * 64)
    + 4 * 2 * (64 * 64 * 7 + 2 * 64)  # blocks
    + (128 * 128 + 128)
    + (128 + 1)
)


@pytest.mark.parametrize(
    ("model", "parameters", "expected"),
    [("rbp_cnn", R5, 3_745), ("rbp_bilstm", R6, 35_969), ("rbp_bilstm_attention", R7, 36_098), ("rbp_multi", RESIDUAL, 259_841)],
)
def test_parameters(model, parameters, expected):
    assert size(network([f"model={model}"], ONE)) == parameters == expected


@pytest.mark.parametrize("kind", [RbpCNN, RbpResidual])
def test_the_names_of_the_last_layers_are_those_in_checkpoints(kind):
    """Dropout and ReLU count, so that weights of finished runs load."""
    weights = {name: list(weight.shape) for name, weight in kind(THREE, hidden=(5, 6)).state_dict().items() if name.startswith("head.")}
    assert list(weights) == [f"head.{number}.{part}" for number in (1, 4, 7) for part in ("weight", "bias")]
    assert [weights[f"head.{number}.weight"][0] for number in (1, 4, 7)] == [5, 6, 3]


def test_the_cnn_against_one_written_out():
    """A convolution of each sequence alone, ReLU, the maximum, two linear layers."""
    net = network(["model=rbp_cnn"], ONE)
    filters, first, last = net.motifs, net.head[1], net.head[4]
    x, mask = padded(41)
    for row, length in enumerate(mask.sum(dim=1).tolist()):
        bases = nn.functional.pad(x[row : row + 1, :, :length], (5, 6))
        pooled = nn.functional.conv1d(bases, filters.weight.squeeze(2), filters.bias).relu().amax(dim=2)
        expected = last(first(pooled).relu())
        torch.testing.assert_close(net(x, mask)[row : row + 1], expected)


def test_the_bilstm_against_torchs():
    net = network(["model=rbp_bilstm"], ONE)
    theirs = nn.LSTM(4, 64, batch_first=True, bidirectional=True)
    for direction, suffix in ((net.lstm.onward[0], ""), (net.lstm.reverse[0], "_reverse")):
        for name, value in direction.named_parameters():
            getattr(theirs, name + suffix).data.copy_(value.data)
    x, mask = padded(41)
    lengths = mask.sum(dim=1).tolist()
    packed = pack_sequence([x[row, :, :length].T for row, length in enumerate(lengths)], enforce_sorted=False)
    states, _ = pad_packed_sequence(theirs(packed)[0], batch_first=True)  # zeros beyond each sequence
    expected = net.head[1](states.sum(dim=1) / torch.tensor(lengths).unsqueeze(1))
    torch.testing.assert_close(net(x, mask), expected)


def test_attention_pooling():
    torch.manual_seed(0)
    layer = AttentionPool(6)
    x, mask = torch.randn(3, 5, 6), torch.arange(5) < torch.tensor([[5], [2], [1]])
    pooled, weights = layer(x, mask)
    torch.testing.assert_close(weights.sum(dim=1), torch.ones(3))
    assert (weights[mask] > 0).all() and not weights[~mask].any()
    for row, length in enumerate((5, 2, 1)):
        scores = torch.stack([layer.score(x[row, place])[0] for place in range(length)])
        expected = sum(weight * x[row, place] for place, weight in enumerate(scores.exp() / scores.exp().sum()))
        torch.testing.assert_close(pooled[row], expected)


@pytest.mark.parametrize("train", [True, False])  # torch takes another path in evaluation
def test_the_weights_of_attention_are_kept_for_a_look(train):
    x, mask = padded(41)
    net = network(["model=rbp_bilstm_attention"]).train(train)
    assert net.weights is None
    with torch.no_grad():
        net(x, mask)
    torch.testing.assert_close(net.weights.sum(dim=1), torch.ones(4))
    assert not net.weights[~mask].any()
    heads = network(["model=rbp_bilstm_attention", "model.attention=multihead"]).train(train)
    with torch.no_grad():
        heads(x, mask)
    torch.testing.assert_close(heads.weights.sum(dim=2), torch.ones(4, 41))  # of each position that asks, over those that it sees
    assert not heads.weights.transpose(1, 2)[~mask].any()


def test_multihead_attention_against_one_written_out():
    net = network(["model=rbp_bilstm_attention", "model.attention=multihead", "model.heads=2"], ONE).eval()
    seen: dict[str, Tensor] = {}
    net.attend.register_forward_hook(lambda module, inputs, outputs: seen.update(x=inputs[0], y=outputs[0]))
    x, mask = padded(41)
    net(x, mask)
    width = seen["x"].shape[2]
    for row, length in enumerate(mask.sum(dim=1).tolist()):
        states = seen["x"][row, :length]
        q, k, v = (states @ net.attend.in_proj_weight.T + net.attend.in_proj_bias).split(width, dim=1)
        heads = []
        for part in (slice(0, width // 2), slice(width // 2, width)):
            weights = (q[:, part] @ k[:, part].T / (width // 2) ** 0.5).softmax(dim=1)
            heads.append(weights @ v[:, part])
        torch.testing.assert_close(seen["y"][row, :length], net.attend.out_proj(torch.cat(heads, dim=1)), rtol=1e-4, atol=1e-6)


PROTEIN = "task.data.protein=P1"
EXPERIMENTS = [
    ["experiment=rbp/rbp_bilstm", PROTEIN, "task=rbp", "model=rbp_bilstm"],
    ["experiment=rbp/rbp_bilstm_attention", PROTEIN, "task=rbp", "model=rbp_bilstm_attention"],
    *(["experiment=rbp/attention", PROTEIN, f"model.attention={kind}"] for kind in ("none", "pool", "multihead")),
    ["experiment=rbp/single", PROTEIN],
    ["experiment=rbp/hidden", PROTEIN],
    ["experiment=rbp_sim/attention"],
]


WRONG = [
    (RbpCNN, {"filters": 0}, "model.filters=0"),
    (RbpCNN, {"hidden": (4, 0)}, r"model.hidden=\[4, 0\] is out of range: each at least 1"),
    (RbpCNN, {"kernel": 42}, "model.kernel=42 is out of range: 1 to 41, the length of the sequences"),
    (RbpCNN, {"pool": "sum"}, "model.pool=sum is not one of mean, max, max_mean"),
    (RbpCNN, {"dropout": 1.0}, "model.dropout=1.0 is out of range"),
    (RbpBiLSTM, {"hidden": 0}, "model.hidden=0 is out of range: at least 1"),
    (RbpBiLSTM, {"layers": 0}, "model.layers=0"),
    (RbpBiLSTM, {"attention": "all"}, "model.attention=all is not one of none, pool, multihead"),
    (RbpBiLSTM, {"attention": "multihead", "hidden": 5, "heads": 4}, "model.heads=4 does not divide 10, twice model.hidden"),
    (RbpBiLSTM, {"filters": 4, "kernel": 0}, "model.kernel=0 is out of range"),
    (RbpBiLSTM, {"filters": 4, "kernel": 42}, "model.kernel=42 is out of range"),
    (RbpBiLSTM, {"kernel": 12}, "model.kernel=12 changes nothing where model.filters=0: leave it at 8"),
    (RbpBiLSTM, {"heads": 2}, "model.heads=2 changes nothing where model.attention=none: leave it at 4"),
    (RbpBiLSTM, {"attention": "pool", "heads": 2}, "model.heads=2 changes nothing where model.attention=pool: leave it at 4"),
    (RbpBiLSTM, {"attention": "pool", "pool": "max"}, "model.pool=max changes nothing where model.attention=pool: leave it at mean"),
    (RbpResidual, {"kernels": (5, 0)}, r"model.kernels=\[5, 0\] is out of range"),
    (RbpResidual, {"kernel": 0}, r"model.kernel=0 is out of range: at least 1"),
    (RbpResidual, {"width": 0}, r"model.width=0 is out of range"),
    (RbpResidual, {"kernels": ()}, "model.kernels"),
]


@pytest.mark.parametrize(("kind", "knobs", "message"), WRONG)
def test_wrong_knobs(kind, knobs, message):
    with pytest.raises(UserError, match=message):
        kind(ONE, **knobs)


def test_what_no_layer_reads_is_refused_by_the_defaults_of_the_recipe():
    """Their files and the network name the same values, so every recipe can be built; a knob that is not read fits any sequence."""
    parameters = inspect.signature(RbpBiLSTM.__init__).parameters
    for model in ("rbp_bilstm", "rbp_bilstm_attention"):
        knobs = composed("task=rbp", "task.data.protein=P1", f"model={model}").model
        assert all(knobs[name] == parameters[name].default for name in ("kernel", "pool", "heads"))
    assert RbpBiLSTM(SequenceSpec(5, ("P1",))).motifs is None


@pytest.mark.parametrize("task_model", EXPERIMENTS, ids=" ".join)
def test_the_recurrent_recipes_can_be_built(task_model):
    net = instantiate(composed(*task_model).model)(ONE)
    assert isinstance(net, RbpBiLSTM)


@pytest.mark.parametrize("kind", [RbpCNN, RbpBiLSTM, RbpResidual])
def test_pictures_are_refused(kind):
    spec = ImageSpec(1, 8, 8, ("a", "b"), "multi-class", (0.5,), (0.5,))
    with pytest.raises(UserError, match=r"^rbp_\w+ wants SequenceSpec, got ImageSpec"):
        kind(spec)


def test_a_spec_survives_a_checkpoint():
    spec = SequenceSpec(41, ("A", "B"), ("MK", "ML"), ("B",))
    assert spec_from_dict(spec_to_dict(spec)) == spec


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"proteins": ()}, "at least one protein"),
        ({"proteins": ("A", "A")}, "must differ, got A, A"),
        ({"proteins": ("A", "B"), "amino_acids": ("MK",)}, "2 proteins need as many amino-acid sequences, got 1"),
        ({"proteins": ("A",), "unseen": ("B",)}, "B is not"),
    ],
)
def test_wrong_specs(fields, message):
    with pytest.raises(UserError, match=message):
        SequenceSpec(41, **fields)
