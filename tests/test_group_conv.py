"""Group convolutions against loops over turned filters, and resnet_small against turned pictures."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from dlhw.layers.group_conv import SYMMETRIES, GroupBatchNorm2d, GroupConv2d
from dlhw.models.resnet_small import ResNetSmall
from dlhw.specs import ImageSpec

# Each element of the group as quarter turns after an optional mirror image, in the order of the channels.
ELEMENTS = [(mirror, turns) for mirror in (False, True) for turns in range(4)]


def view(picture: np.ndarray, mirror: bool, turns: int) -> np.ndarray:
    """A turned or mirrored view, by numpy, of the last two axes."""
    return np.rot90(picture[..., ::-1] if mirror else picture, turns, axes=(-2, -1))


def views(x: torch.Tensor) -> list[torch.Tensor]:
    return [torch.from_numpy(view(x.numpy(), *element).copy()) for element in ELEMENTS]


def then(first: tuple[bool, int], second: tuple[bool, int]) -> tuple[bool, int]:
    """The one element that does what the two do one after the other."""
    probe = np.arange(9).reshape(3, 3)
    both = view(view(probe, *first), *second)
    [one] = [element for element in ELEMENTS if np.array_equal(view(probe, *element), both)]
    return one


@pytest.mark.parametrize("symmetry", ["none", "rotations", "dihedral"])
@pytest.mark.parametrize("kernel", [1, 3, 5])
def test_lifting_convolves_with_every_view_of_the_filters(symmetry, kernel):
    torch.manual_seed(0)
    conv, x = GroupConv2d(3, 4, kernel, symmetry, lifting=True), torch.randn(2, 3, 9, 9)
    filters = conv.weight.detach().numpy().reshape(4, 3, kernel, kernel)
    turned = [torch.from_numpy(view(filters, *element).copy()) for element in ELEMENTS[: SYMMETRIES[symmetry]]]
    reference = torch.cat([F.conv2d(x, bank, padding=kernel // 2) for bank in turned], dim=1)
    torch.testing.assert_close(conv(x), reference, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("symmetry", ["none", "rotations", "dihedral"])
@pytest.mark.parametrize("kernel", [1, 3])
def test_a_group_convolution_turns_the_filters_and_permutes_their_orientations(symmetry, kernel):
    torch.manual_seed(0)
    elements = ELEMENTS[: SYMMETRIES[symmetry]]
    order, inputs, outputs = len(elements), 2, 3
    conv, x = GroupConv2d(inputs, outputs, kernel, symmetry), torch.randn(2, order * inputs, 8, 8)
    filters = conv.weight.detach().numpy().reshape(outputs, inputs, order, kernel, kernel)
    parts = []
    for g in elements:
        # (g psi)(h) = g psi(g^-1 h): the filter of orientation h is that of the k with g after k = h, turned by g.
        source = {then(k, g): position for position, k in enumerate(elements)}
        bank = np.stack([view(filters[:, :, source[h]], *g) for h in elements], axis=1)  # (outputs, order, inputs, k, k)
        bank = torch.from_numpy(bank.reshape(outputs, order * inputs, kernel, kernel).copy())
        parts.append(F.conv2d(x, bank, padding=kernel // 2))
    torch.testing.assert_close(conv(x), torch.cat(parts, dim=1), rtol=1e-4, atol=1e-5)


def test_without_symmetry_it_is_a_plain_convolution():
    torch.manual_seed(0)
    plain, x = nn.Conv2d(5, 7, 3, padding=1, bias=False), torch.randn(2, 5, 9, 6)
    for lifting in (False, True):
        conv = GroupConv2d(5, 7, 3, "none", lifting)
        conv.weight.data = plain.weight.data.reshape(7, 5, 9)
        torch.testing.assert_close(conv(x), plain(x))


def test_filters_start_with_the_variance_that_keeps_that_of_the_signal():
    torch.manual_seed(0)
    for lifting, weights in ((True, 16 * 9), (False, 8 * 16 * 9)):
        assert GroupConv2d(16, 64, 3, "dihedral", lifting).weight.var().item() == pytest.approx(2 / weights, rel=0.05)


def trained(norm: nn.Module, channels: int, batches: int = 3) -> nn.Module:
    torch.manual_seed(1)
    for _ in range(batches):
        norm.train()(2 * torch.randn(6, channels, 5, 5) + torch.arange(float(channels)).view(-1, 1, 1))
    return norm.eval()


def test_batch_normalization_without_symmetry_is_torchs():
    ours, torchs = GroupBatchNorm2d(4, "none"), nn.BatchNorm2d(4)
    for norm in (ours, torchs):
        norm.weight.data, norm.bias.data = torch.tensor([1.0, 2.0, -1.0, 0.5]), torch.arange(4.0)
    x = torch.randn(3, 4, 5, 5)
    torch.testing.assert_close(ours.train()(x), torchs.train()(x))
    trained(ours, 4), trained(torchs, 4)
    torch.testing.assert_close(ours.running_mean, torchs.running_mean)
    torch.testing.assert_close(ours.running_var, torchs.running_var)
    torch.testing.assert_close(ours(x), torchs(x))


@pytest.mark.parametrize("symmetry", ["rotations", "dihedral"])
def test_the_running_statistics_of_a_field_are_those_over_all_its_orientations(symmetry):
    order = SYMMETRIES[symmetry]
    norm = GroupBatchNorm2d(3, symmetry, momentum=1.0)
    norm.weight.data, norm.bias.data = torch.tensor([2.0, -1.0, 0.5]), torch.tensor([1.0, 0.0, -3.0])
    weight, bias = norm.weight.view(3, 1, 1), norm.bias.view(3, 1, 1)
    x = torch.randn(6, order * 3, 5, 5) * torch.arange(1.0, order * 3 + 1).view(-1, 1, 1) + torch.arange(order * 3.0).view(-1, 1, 1)
    y = norm.train()(x)
    fields = x.unflatten(1, (order, 3))
    torch.testing.assert_close(norm.running_mean, fields.mean(dim=(0, 1, 3, 4)))
    torch.testing.assert_close(norm.running_var, fields.var(dim=(0, 1, 3, 4), correction=0), rtol=0.01, atol=0)
    by_orientation = F.batch_norm(x, None, None, training=True).unflatten(1, (order, 3))  # so a training batch is normalized
    torch.testing.assert_close(y, (by_orientation * weight + bias).flatten(1, 2))
    centred = (fields - norm.running_mean.view(3, 1, 1)) / (norm.running_var.view(3, 1, 1) + 1e-5).sqrt()
    torch.testing.assert_close(norm.eval()(x), (centred * weight + bias).flatten(1, 2))


def spec(side: int) -> ImageSpec:
    return ImageSpec(3, side, side, tuple("abcde"), "multi-class", (0.5,) * 3, (0.5,) * 3)


@pytest.mark.parametrize("side", [8, 28])
@pytest.mark.parametrize(("symmetry", "blind_to"), [("none", 1), ("rotations", 4), ("dihedral", 8)])
def test_logits_are_the_same_for_the_views_of_the_symmetry_and_for_no_others(symmetry, blind_to, side):
    torch.manual_seed(0)
    net = ResNetSmall(spec(side), widths=(16, 16, 32), blocks=(1, 0, 1), symmetry=symmetry)
    for _ in range(2):  # running statistics of their own
        net.train()(torch.randn(8, 3, side, side))
    x = torch.randn(3, 3, side, side)
    with torch.no_grad():
        logits = [net.eval()(turned) for turned in views(x)]
    for position, of_view in enumerate(logits):
        assert torch.allclose(of_view, logits[0], rtol=1e-3, atol=1e-4) == (position < blind_to)


def test_training_is_blind_to_the_views_as_well():
    torch.manual_seed(0)
    net = ResNetSmall(spec(8), widths=(16, 16), blocks=(0, 1), symmetry="dihedral").train()
    x = torch.randn(4, 3, 8, 8)
    gradients = [torch.autograd.grad(net(turned).square().sum(), net.features[0][0].weight)[0] for turned in views(x)]
    for gradient in gradients:
        torch.testing.assert_close(gradient, gradients[0], rtol=1e-3, atol=1e-3)


def test_without_symmetry_it_is_a_plain_residual_network():
    torch.manual_seed(0)
    net = ResNetSmall(spec(9), widths=(4, 6), blocks=(1, 1), stem=5, symmetry="none").eval()

    def conv(layers: nn.Sequential, x: torch.Tensor) -> torch.Tensor:
        weight = layers[0].weight
        side = round((weight.shape[2]) ** 0.5)
        x = F.conv2d(x, weight.unflatten(2, (side, side)), padding=side // 2)
        return F.batch_norm(x, layers[1].running_mean, layers[1].running_var, layers[1].weight, layers[1].bias)

    stem, first, block, pool, second, last_block = net.features
    x = torch.randn(2, 3, 9, 9)
    y = conv(first, conv(stem, x).relu()).relu()
    y = (y + conv(block.second, conv(block.first, y).relu())).relu()
    y = conv(second, F.max_pool2d(y, 2)).relu()
    y = (y + conv(last_block.second, conv(last_block.first, y).relu())).relu()
    y = torch.cat([y.mean(dim=(2, 3)), y.amax(dim=(2, 3))], dim=1)
    torch.testing.assert_close(net(x), net.classifier[1](y))
    assert isinstance(pool, nn.MaxPool2d)
