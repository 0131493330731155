"""Peers of the many-protein network: built as their papers have them. That padding means nothing to them is in test_models_rbp.py."""

import pytest
import torch
from torch import nn

from dlhw.errors import UserError
from dlhw.models.multirbp import MultiRBP
from dlhw.models.residualbind import ResidualBind
from dlhw.specs import SequenceSpec

SPEC = SequenceSpec(41, ("P1", "P2", "P3"))


def parameters(net: nn.Module) -> int:
    return sum(weight.numel() for weight in net.parameters())


def test_multirbp_has_kernels_side_by_side():
    found = [(96, 5), (96, 7), (96, 9), (96, 11), (32, 25)]
    assert [(m.out_channels, m.kernel_size[1]) for m in MultiRBP(SPEC).motifs] == [*found, (32, 5)]
    assert [m.kernel_size[1] for m in MultiRBP(SPEC, long_filters=0, kernels=[3]).motifs] == [3, 5]
    convolutions = sum(4 * k * n + n for n, k in [*found, (32, 5)])
    dense = (416 + 1) * 512 + (512 + 1) * 256 + (32 + 1) * 64
    assert parameters(MultiRBP(SPEC)) == convolutions + dense + (64 + 256 + 416 + 512 + 1) * 3


def test_multirbps_output_sees_every_path():
    """Each of the four parts that the authors' network concatenates changes the output on its own, and what is negative leaks."""
    net = MultiRBP(SPEC).eval()
    bases, mask = torch.eye(4)[torch.randint(4, (5, 41))].mT, torch.ones(5, 41, dtype=torch.bool)
    with torch.no_grad():
        before = net(bases, mask)
        for part in net.head.weight.split([64, 256, 416, 512], dim=1):
            kept = part.clone()
            part.zero_()
            assert not torch.allclose(net(bases, mask), before)
            part.copy_(kept)
        net.head.weight.zero_()
        net.head.bias.copy_(torch.tensor([1.0, -1.0, 0.0]))
        assert torch.allclose(net(bases, mask), torch.tensor([1.0, -0.3, 0.0]).expand(5, 3))


def test_multirbp_sees_whether_a_motif_is_there_not_where():
    net = MultiRBP(SPEC, kernels=[3], long_filters=0).eval()
    bases = torch.zeros(2, 4, 41)
    for row, start in enumerate((10, 25)):
        bases[row, [3, 2, 1], [start, start + 1, start + 2]] = 1
    one, other = net(bases, torch.ones(2, 41, dtype=torch.bool))
    assert torch.allclose(one, other, atol=1e-6)


def test_residualbind_is_as_large_as_the_papers_network():
    """Its layers in Keras: convolution, batch normalisations, four convolutions of 3, dense layers of 4 bins x 96 and of 256."""
    convolutions = 4 * 11 * 96 + 4 * (96 * 96 * 3)
    normalisations = 2 * (96 + 4 * 96 + 256)
    assert parameters(ResidualBind(SPEC)) == convolutions + normalisations + 4 * 96 * 256 + (256 + 1) * 3


def test_residualbind_averages_as_a_pooling_layer_does():
    net, x = ResidualBind(SPEC), torch.randn(2, 96, 41)
    whole = torch.ones(2, 41, dtype=torch.bool)
    assert torch.allclose(net.averaged(x, whole), nn.functional.avg_pool1d(x, 10), atol=1e-6)
    short = torch.arange(41).expand(2, 41) < 13
    averaged = net.averaged(x, short)
    assert torch.allclose(averaged[:, :, 1], x[:, :, 10:13].mean(dim=2), atol=1e-6)  # of the positions that are there
    assert not averaged[:, :, 2:].any()


@pytest.mark.parametrize(
    ("network", "knobs", "message"),
    [
        (MultiRBP, {"kernels": [0]}, r"model\.kernels=\[0\] is out of range"),
        (MultiRBP, {"long_filters": -1}, r"model\.long_filters=-1 is out of range: 0 or more"),
        (MultiRBP, {"kernels": []}, r"one kernel at least"),
        (MultiRBP, {"hidden": [8]}, r"model\.hidden=\[8\].*two widths are right"),
        (MultiRBP, {"dropout": 1.0}, r"model\.dropout=1\.0 is out of range"),
        (ResidualBind, {"bin_size": 42}, r"model\.bin_size=42 is out of range: 1 to 41"),
        (ResidualBind, {"dropouts": [0.1, 0.2]}, r"model\.dropouts=\[0\.1, 0\.2\] is out of range: three shares"),
        (ResidualBind, {"dilations": [0]}, r"model\.dilations=\[0\] is out of range"),
    ],
)
def test_wrong_knobs(network, knobs, message):
    with pytest.raises(UserError, match=message):
        network(SPEC, **knobs)
