"""The networks that read lines: what a line says depends on nothing beyond its width, shapes are what they are said to be."""

import pytest
import torch

from dlhw.errors import UserError
from dlhw.models.crnn import CRNN
from dlhw.models.ocr_seq2seq import OCRSeq2Seq
from dlhw.specs import BOS, ImageSpec, LineSpec

SPEC = LineSpec(20, tuple("abcde "), 7)
SMALL = {"channels": (4, 6, 8), "pools": ((2, 2), (2, 2), (2, 1)), "hidden": 10, "layers": 2}
WIDTHS = torch.tensor([61, 48, 33, 7, 3])


def trained(net: torch.nn.Module) -> torch.nn.Module:
    """With running statistics that are not those of an untouched network, in eval mode."""
    generator = torch.Generator().manual_seed(1)
    for layer in net.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.running_mean.uniform_(-0.5, 0.5, generator=generator)
            layer.running_var.uniform_(0.5, 2, generator=generator)
            torch.nn.init.uniform_(layer.bias, -0.5, 0.5, generator=generator)
    return net.eval()


def ink(width: int) -> torch.Tensor:
    """Five lines of random ink with paper beyond their widths."""
    inside = torch.arange(61) < WIDTHS[:, None]
    drawn = torch.rand(5, 1, 20, 61, generator=torch.Generator().manual_seed(0)) * inside[:, None, None, :]
    return torch.nn.functional.pad(drawn, (0, width - 61))


def test_ctc_does_not_see_the_padding():
    torch.manual_seed(0)
    net = trained(CRNN(SPEC, **SMALL))
    with torch.no_grad():
        logits, lengths = net((ink(61), WIDTHS))
        assert logits.shape == (5, 15, 7) and lengths.tolist() == [15, 12, 8, 1, 1] == net.steps(WIDTHS).tolist()
        wider, same = net((ink(103), WIDTHS))
        assert wider.shape == (5, 25, 7) and torch.equal(same, lengths)
        for line, length in enumerate(lengths.tolist()):
            assert torch.allclose(wider[line, :length], logits[line, :length], atol=1e-5)
            alone, _ = net((ink(61)[line : line + 1, :, :, : WIDTHS[line]], WIDTHS[line : line + 1]))
            assert torch.allclose(alone[0, :length], logits[line, :length], atol=1e-5)


@pytest.mark.parametrize("attention", ["none", "bahdanau", "dot"])
def test_the_attention_decoder_does_not_see_the_padding(attention):
    torch.manual_seed(0)
    net = trained(OCRSeq2Seq(SPEC, attention=attention, decoder=12, **SMALL))
    previous = torch.randint(BOS, SPEC.outputs, (5, 9), generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        logits = net((ink(61), WIDTHS), previous)
        assert logits.shape == (5, 9, SPEC.outputs)
        assert torch.allclose(net((ink(103), WIDTHS), previous), logits, atol=1e-5)
        memory, state = net.encode((ink(61), WIDTHS))
        for place in range(9):  # one symbol after the other gives what all at once gave
            one, state, weights = net.step(previous[:, place], state, memory)
            assert torch.allclose(one, logits[:, place], atol=1e-5)
            if attention != "none":
                assert torch.allclose(weights.sum(dim=1), torch.ones(5)) and not weights[1, 12:].any()


def test_lines_as_narrow_as_a_column_are_read():
    net = trained(CRNN(SPEC, **SMALL))
    logits, lengths = net((torch.rand(1, 1, 20, 1), torch.tensor([1])))
    assert lengths.tolist() == [1] and logits.isfinite().all()


@pytest.mark.parametrize("network", [CRNN, OCRSeq2Seq])
@pytest.mark.parametrize(
    ("knobs", "message"),
    [
        ({"channels": (4,), "pools": ((2, 2), (2, 2))}, "one pair for each of model.channels"),
        ({"pools": ((2, 2), (2, 2), (8, 1))}, "leave nothing of the height"),
        ({"pools": ((2, 2), (2, 2), (0, 1))}, "pairs of height and width"),
        ({"hidden": 0}, "model.hidden=0 is out of range"),
        ({"layers": 0}, "model.layers=0 is out of range"),
        ({"dropout": 1.0}, "model.dropout=1.0 is out of range"),
    ],
)
def test_knobs_out_of_range(network, knobs, message):
    with pytest.raises(UserError, match=message):
        network(SPEC, **(SMALL | knobs))


def test_other_data_is_refused():
    pictures = ImageSpec(1, 8, 8, ("a", "b"), "multi-class", (0.5,), (0.5,))
    for network in (CRNN, OCRSeq2Seq):
        with pytest.raises(UserError, match="wants LineSpec, got ImageSpec"):
            network(pictures)
