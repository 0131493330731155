"""cnn and cnn_pool: their sizes, the function that they compute, and what is said about a wrong knob."""

from dataclasses import dataclass

import pytest
import torch
from harness import composed
from hydra.utils import instantiate
from torch import nn

from dlhw.errors import UserError
from dlhw.models.cnn import CNN
from dlhw.models.resnet_small import ResNetSmall
from dlhw.specs import ImageSpec, spec_from_dict, spec_to_dict

ACTIVATIONS = {"relu": nn.ReLU, "sigmoid": nn.Sigmoid, "tanh": nn.Tanh}
POOLS = {"none": nn.Identity(), "max": nn.MaxPool2d(2), "avg": nn.AvgPool2d(2)}


def pictures(side: int, classes: int, channels: int = 3, labels: str = "multi-class", width: int | None = None) -> ImageSpec:
    names = tuple(f"class {k}" for k in range(classes))
    return ImageSpec(channels, side, width or side, names, labels, (0.5,) * channels, (0.5,) * channels)


def size(net: nn.Module) -> int:
    return sum(p.numel() for p in net.parameters())


def composed_net(spec: ImageSpec, *words: str) -> nn.Module:
    """The network of a command line."""
    return instantiate(composed("task=bloodmnist", *words).model)(spec)


R10 = {"pool": "max", "hidden": (1024, 512), "dropout": 0.1}
R11 = {**R10, "batch_norm": "all", "global_pool": "avg"}


@pytest.mark.parametrize(
    ("spec", "knobs", "words", "parameters"),
    [
        (pictures(28, 8), {}, ["model=cnn"], 25_785_672),
        (pictures(28, 8), {"pool": "max"}, ["model=cnn_pool"], 390_472),
        (pictures(48, 6), R10, ["model=cnn_pool", "model.hidden=[1024,512]", "model.dropout=0.1"], 5_340_742),
        (
            pictures(48, 6),
            R11,
            ["model=cnn_pool", "model.hidden=[1024,512]", "model.dropout=0.1", "model.batch_norm=all", "model.global_pool=avg"],
            756_742,
        ),
    ],
    ids=["R1", "R3", "R10", "R11"],
)
def test_parameters_of_the_reports_networks(spec, knobs, words, parameters):
    with torch.device("meta"):  # shapes alone
        assert size(CNN(spec, **knobs)) == parameters
        assert size(composed_net(spec, *words)) == parameters


def test_parameters_of_resnet_small():
    assert size(ResNetSmall(pictures(28, 8))) == size(composed_net(pictures(28, 8), "model=resnet_small")) == 133_274


def test_pooling_saves_98_percent_of_the_first_fully_connected_layer():
    with torch.device("meta"):
        plain, pooled = (composed_net(pictures(28, 8), f"model={name}").classifier[0].weight.numel() for name in ("cnn", "cnn_pool"))
    assert 0.98 < 1 - pooled / plain < 0.99


class Flatten(nn.Module):
    """All channels of the first place, of the second ..."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat([x[:, :, row, column] for row in range(x.shape[2]) for column in range(x.shape[3])], dim=1)


def by_hand(net: CNN, pool: str, activation: str) -> nn.Sequential:
    """The blocks as the reports draw them, the pooling last, with the weights of ``net``."""
    blocks = [part for conv in net.features if isinstance(conv, nn.Conv2d) for part in (conv, ACTIVATIONS[activation](), POOLS[pool])]
    dense = [part for layer in net.classifier if isinstance(layer, nn.Linear) for part in (layer, ACTIVATIONS[activation]())]
    return nn.Sequential(*blocks, Flatten(), *dense[:-1])


@pytest.mark.parametrize("activation", [*ACTIVATIONS])
@pytest.mark.parametrize("pool", [*POOLS])
def test_the_function_is_that_of_layers_in_the_reports_order(pool, activation):
    torch.manual_seed(0)
    net = CNN(pictures(13, 5, width=18), channels=(6, 7), kernel=5, pool=pool, hidden=(9, 4), activation=activation)
    reference, x = by_hand(net, pool, activation), torch.randn(4, 3, 13, 18)
    assert len(reference) == 3 * 2 + 1 + 2 * 2 + 1
    torch.testing.assert_close(net(x), reference(x))
    weight = net.features[0].weight
    gradients = [torch.autograd.grad(f(x).square().sum(), weight)[0] for f in (net, reference)]
    torch.testing.assert_close(*gradients)


@pytest.mark.parametrize("pool", ["none", "max", "avg"])
def test_batch_normalization_comes_before_the_activation(pool):
    torch.manual_seed(0)
    net = CNN(pictures(8, 5), channels=(6,), pool=pool, hidden=(9,), batch_norm="all").train()
    conv, norm2d = net.features[0], nn.BatchNorm2d(6)
    first, norm1d, last = net.classifier[0], nn.BatchNorm1d(9), net.classifier[-1]
    reference = nn.Sequential(conv, norm2d, nn.ReLU(), POOLS[pool], Flatten(), first, norm1d, nn.ReLU(), last)
    for _ in range(3):
        x = torch.randn(7, 3, 8, 8)
        torch.testing.assert_close(net(x), reference(x))
    torch.testing.assert_close(net.eval()(x), reference.eval()(x))
    kinds = [type(layer).__name__ for layer in CNN(pictures(8, 5), batch_norm="conv").modules() if "BatchNorm" in type(layer).__name__]
    assert kinds == ["BatchNorm2d"] * 3


def test_a_training_batch_of_one_sample_is_normalized_by_the_running_statistics():
    torch.manual_seed(0)
    net = CNN(pictures(8, 5), channels=(6,), hidden=(9,), batch_norm="all").train()
    for _ in range(3):
        net(torch.randn(7, 3, 8, 8))
    norm = net.classifier[1]
    x, before = torch.randn(1, 9), norm.running_mean.clone()
    assert torch.isfinite(net(torch.randn(1, 3, 8, 8))).all()
    torch.testing.assert_close(norm(x), norm.eval()(x))
    assert torch.equal(norm.running_mean, before)


def test_global_pooling_averages_each_channel():
    torch.manual_seed(0)
    net = CNN(pictures(8, 5), channels=(6,), global_pool="avg", hidden=())
    x = torch.randn(4, 3, 8, 8)
    channels = net.features[0](x).relu().mean(dim=(2, 3))
    torch.testing.assert_close(net(x), channels @ net.classifier[0].weight.T + net.classifier[0].bias)


def test_dropout_follows_each_block_and_each_hidden_layer_in_training_alone():
    net = CNN(pictures(8, 5), hidden=(9, 9), dropout=0.25)
    assert [layer.p for layer in net.modules() if isinstance(layer, nn.Dropout)] == [0.25] * 5
    x = torch.randn(4, 3, 8, 8)
    assert not torch.equal(net.train()(x), net(x))
    assert torch.equal(net.eval()(x), net(x))


def test_softmax_output_gives_probabilities_of_the_same_logits():
    torch.manual_seed(0)
    logits = composed_net(pictures(8, 5), "model=cnn_pool").eval()
    both = composed_net(pictures(8, 5), "model=cnn_pool", "model.softmax=output").eval()
    both.load_state_dict(logits.state_dict())
    x = 50 * torch.randn(4, 3, 8, 8)
    torch.testing.assert_close(both(x), logits(x).softmax(dim=1))
    with torch.autocast("cpu", torch.bfloat16):
        assert both(x).dtype == torch.float32  # as on a GPU: bfloat16 knows nothing between 0.996 and 1
    torch.testing.assert_close(both(x).sum(dim=1), torch.ones(4))
    assert logits(x).min() < 0


@dataclass(frozen=True)
class TextSpec:
    """A spec that is none of pictures."""

    length: int = 3


@pytest.mark.parametrize(
    ("network", "spec", "knobs", "says"),
    [
        (CNN, pictures(28, 8), {"pool": "min"}, "model.pool=min is not one of none, max, avg"),
        (CNN, pictures(28, 8), {"activation": "gelu"}, "model.activation=gelu is not one of relu, sigmoid, tanh"),
        (CNN, pictures(28, 8), {"batch_norm": "fc"}, "model.batch_norm=fc is not one of none, conv, all"),
        (CNN, pictures(28, 8), {"softmax": "log"}, "model.softmax=log is not one of none, output"),
        (CNN, pictures(28, 8), {"global_pool": "max"}, "model.global_pool=max is not one of none, avg"),
        (CNN, pictures(28, 8, labels="multi-label"), {"softmax": "output"}, "do not exclude each other, so only none fits"),
        (CNN, pictures(28, 8), {"kernel": 4}, "model.kernel=4 must be odd"),
        (CNN, pictures(28, 8), {"kernel": -1}, "model.kernel=-1 must be odd"),
        (CNN, pictures(28, 8), {"dropout": 1.0}, "model.dropout=1.0 is out of range: 0 to below 1"),
        (CNN, pictures(28, 8), {"channels": [8, 0]}, r"model.channels=\[8, 0\] is out of range: each at least 1"),
        (CNN, pictures(28, 8), {"hidden": [-1]}, r"model.hidden=\[-1\] is out of range: each at least 1"),
        (CNN, pictures(7, 8), {"pool": "max"}, "model.pool=max: after 3 poolings nothing is left of 7x7 pictures"),
        (CNN, pictures(28, 8, width=3), {"pool": "avg"}, "model.pool=avg: after 2 poolings nothing is left of 28x3 pictures"),
        (CNN, TextSpec(), {}, "cnn wants ImageSpec, got TextSpec: choose another model"),
        (ResNetSmall, TextSpec(), {}, "resnet_small wants ImageSpec, got TextSpec"),
        (ResNetSmall, pictures(28, 8), {"symmetry": "mirror"}, "model.symmetry=mirror is not one of none, rotations, dihedral"),
        (ResNetSmall, pictures(28, 8), {"widths": [48, 96]}, r"model.blocks=\[0, 1, 1\] must have one value for each stage"),
        (ResNetSmall, pictures(28, 8), {"widths": [], "blocks": []}, r"model.widths=\[\] and .* must have one value for each stage"),
        (ResNetSmall, pictures(28, 8), {"widths": [48, 96, 100]}, r"must be at least 1 and divisible by 8 \(model.symmetry=dihedral\)"),
        (ResNetSmall, pictures(28, 8), {"widths": [0, 8, 8]}, r"model.widths=\[0, 8, 8\] must be at least 1"),
        (ResNetSmall, pictures(28, 8), {"blocks": [0, -1, 1]}, r"model.blocks=\[0, -1, 1\] is out of range: each 0 or more"),
        (ResNetSmall, pictures(28, 8), {"stem": 4}, "model.stem=4 must be odd"),
        (ResNetSmall, pictures(28, 8), {"stem": -1}, "model.stem=-1 must be odd"),
        (ResNetSmall, pictures(28, 8), {"dropout": 1.5}, "model.dropout=1.5 is out of range: 0 to below 1"),
        (ResNetSmall, pictures(3, 8), {}, "3x3 pictures are too small for so many stages"),
    ],
)
def test_a_wrong_knob_is_refused(network, spec, knobs, says):
    with pytest.raises(UserError, match=says):
        network(spec, **knobs)


def test_the_smallest_pictures_that_fit():
    assert CNN(pictures(8, 5), pool="max")(torch.randn(2, 3, 8, 8)).shape == (2, 5)
    assert ResNetSmall(pictures(4, 5)).eval()(torch.randn(2, 3, 4, 4)).shape == (2, 5)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"labels": "binary"}, "labels='binary' is not one of multi-class, binary-class, ordinal-regression, multi-label"),
        ({"mean": (0.5,)}, "mean and std need 3 values, one per channel; got 1 and 3"),
        ({"classes": ("one",)}, r"classification needs at least two classes, got \['one'\]"),
    ],
)
def test_a_wrong_spec_is_refused(change, says):
    right = spec_to_dict(pictures(8, 2))
    assert spec_from_dict(right) == pictures(8, 2)
    with pytest.raises(UserError, match=says):
        spec_from_dict({**right, **change})
