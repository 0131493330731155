"""Augmentation of lines: a function of (seed, epoch, index), blind to the padding, and of nothing but paper on paper."""

import pytest
import torch

from dlhw.data.line_augment import LineAugment
from dlhw.errors import UserError

ALL = {"shear": 0.2, "zoom": 0.1, "squeeze": 0.1, "shift": 1.5, "elastic": 1.0, "weight": 0.5, "noise": 0.05, "fade": 0.2}
WIDTHS = torch.tensor([70, 41, 13, 55])
INDEX = torch.tensor([3, 9, 1, 7])


def lines(width: int = 70, height: int = 20) -> torch.Tensor:
    """Four lines of random smooth ink, paper beyond their widths and on a border."""
    ink = torch.rand(4, 1, height // 4, 20, generator=torch.Generator().manual_seed(0))
    ink = torch.nn.functional.interpolate(ink, (height, 70), mode="bilinear")
    ink[:, :, :4] = ink[:, :, -4:] = 0
    inside = torch.arange(70) < WIDTHS[:, None]
    return torch.nn.functional.pad(ink * inside[:, None, None, :], (0, width - 70))


@pytest.mark.parametrize("knob", [*ALL, "all"])
def test_the_draws_are_a_function_of_seed_epoch_and_index(knob):
    augment = LineAugment(**(ALL if knob == "all" else {knob: ALL[knob]}))
    first = augment(lines(), WIDTHS, 5, 2, INDEX)
    torch.rand(3)
    assert torch.equal(augment(lines(), WIDTHS, 5, 2, INDEX), first)
    for other in (augment(lines(), WIDTHS, 6, 2, INDEX), augment(lines(), WIDTHS, 5, 3, INDEX), augment(lines(), WIDTHS, 5, 2, INDEX + 1)):
        assert (other - first).abs().mean() > 1e-4
    assert first.min() >= 0 and first.max() <= 1 + 1e-6 and first.shape == lines().shape


def test_a_line_is_augmented_alike_in_a_wider_batch():
    augment = LineAugment(**ALL)
    narrow = augment(lines(70), WIDTHS, 0, 0, INDEX)
    wide = augment(lines(131), WIDTHS, 0, 0, INDEX)
    assert torch.allclose(wide[..., :70], narrow, atol=1e-4) and not wide[..., 70:].any()
    alone = augment(lines()[1:2, :, :, :41], WIDTHS[1:2], 0, 0, INDEX[1:2])
    assert torch.allclose(alone, narrow[1:2, :, :, :41], atol=1e-4)
    for line, width in enumerate(WIDTHS.tolist()):
        assert not narrow[line, :, :, width:].any()


def test_nothing_is_done_without_knobs():
    assert torch.equal(LineAugment()(lines(), WIDTHS, 0, 0, INDEX), lines())


def test_each_knob_does_what_it_says():
    """On a line with one upright stroke in the middle."""
    ink, widths, index = torch.zeros(64, 1, 21, 41), torch.full((64,), 41), torch.arange(64)
    ink[:, :, 3:18, 20] = 1
    columns = torch.arange(41.0)

    def centre(row: torch.Tensor) -> torch.Tensor:
        return (row * columns).sum(dim=-1) / row.sum(dim=-1)

    sheared = LineAugment(shear=0.5)(ink, widths, 0, 0, index)[:, 0]
    lean = centre(sheared[:, 14]) - centre(sheared[:, 6])  # over 8 rows
    assert 3.0 < lean.abs().max() <= 4.01 and lean.min() < 0 < lean.max()
    assert torch.allclose(centre(sheared[:, 10]), torch.tensor(20.0), atol=1e-3)

    shifted = LineAugment(shift=2.0)(ink, widths, 0, 0, index)[:, 0].sum(dim=2)
    rows = (shifted * torch.arange(21.0)).sum(dim=1) / shifted.sum(dim=1)
    assert 1.5 < (rows - 10).abs().max() <= 2.01

    heights = LineAugment(zoom=0.2)(ink, widths, 0, 0, index)[:, 0].sum(dim=(1, 2)) / 15
    assert 0.8 < heights.min() < 0.9 and 1.1 < heights.max() < 1.25

    squeezed = centre(LineAugment(squeeze=0.2)(ink, widths, 0, 0, index)[:, 0].sum(dim=1))
    assert 15.5 < squeezed.min() < 17.5 and 19 < squeezed.max() <= 20.01

    weighed = LineAugment(weight=1.0)(ink, widths, 0, 0, index)[:, 0].sum(dim=(1, 2))
    assert weighed.min() < 5 and weighed.max() > 40  # 15 before
    assert LineAugment(fade=0.3)(ink, widths, 0, 0, index).amax(dim=(1, 2, 3)).min() < 0.75
    noise = LineAugment(noise=0.2)(torch.full_like(ink, 0.5), widths, 0, 0, index).flatten(1).std(dim=1)
    assert 0.15 < noise.max() < 0.21 and noise.min() < 0.05


@pytest.mark.parametrize("knobs", [{"shear": -0.1}, {"squeeze": 0.6}, {"weight": 1.5}, {"fade": float("nan")}])
def test_knobs_out_of_range(knobs):
    with pytest.raises(UserError, match=r"task\.module\.augment\.\w+=.* is out of range: 0"):
        LineAugment(**knobs)
