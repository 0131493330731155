"""Each augmentation against a slow one of a single picture, and the draws as a function of (seed, epoch, index)."""

import math

import numpy as np
import pytest
import torch
from scipy import ndimage, stats

from dlhw.data.augment import Augment, dihedral, relight, shift, turn
from dlhw.errors import UserError

ALL = {"dihedral": True, "translate": 2, "rotate": 30.0, "zoom": 0.2, "brightness": 0.2, "contrast": 0.3, "colour": 0.1}
N = 12
PICTURES = torch.rand(N, 3, 9, 9, generator=torch.Generator().manual_seed(0))
INDEX = torch.arange(100, 100 + N)


def eight_views(picture: np.ndarray) -> list[np.ndarray]:
    """(C, H, H) and its quarter turns, then those of its mirror image."""
    return [np.rot90(flipped, turns, axes=(1, 2)) for flipped in (picture, picture[:, :, ::-1]) for turns in range(4)]


def which(picture: torch.Tensor, options: list[np.ndarray]) -> int:
    """The position of the one option that the picture is."""
    [one] = [k for k, option in enumerate(options) if np.array_equal(option, picture.numpy())]
    return one


def test_the_eight_elements_are_the_flips_and_quarter_turns():
    elements = torch.arange(8)
    for picture in PICTURES[:2]:
        got = dihedral(picture.expand(8, -1, -1, -1), elements)
        assert sorted(which(one, eight_views(picture.numpy())) for one in got) == [*range(8)]
        assert torch.equal(got[0], picture)
    mixed = dihedral(PICTURES[:8], elements.flip(0))
    for position in range(8):
        assert torch.equal(mixed[position], dihedral(PICTURES[position : position + 1], elements.flip(0)[position : position + 1])[0])


def test_dihedral_takes_all_eight_alike():
    picture = torch.arange(4.0).view(1, 1, 2, 2).expand(4000, -1, -1, -1)
    got = Augment(dihedral=True)(picture, seed=0, epoch=3, index=torch.arange(4000))
    counts = np.bincount([which(one, eight_views(picture[0].numpy())) for one in got], minlength=8)
    assert stats.chisquare(counts).pvalue > 0.01


@pytest.mark.parametrize("shape", [(9, 9), (6, 11)])
def test_translations_are_cuts_from_the_mirrored_border(shape):
    border, pictures = 3, torch.rand(200, 3, *shape)
    got = Augment(translate=border)(pictures, seed=0, epoch=0, index=torch.arange(200))
    seen = []
    for picture, one in zip(pictures.numpy(), got, strict=True):
        padded = np.pad(picture, ((0, 0), (border, border), (border, border)), mode="reflect")
        cuts = [padded[:, y : y + shape[0], x : x + shape[1]] for y in range(2 * border + 1) for x in range(2 * border + 1)]
        seen.append(divmod(which(one, cuts), 2 * border + 1))
    assert {y for y, _ in seen} == {x for _, x in seen} == set(range(2 * border + 1))  # both ends
    assert len(set(seen)) > 40  # of 49: each axis has its own draw
    offset = torch.tensor([[border, border]]).expand(200, 2)
    assert torch.equal(shift(pictures, offset, border), pictures)


def turned(picture: np.ndarray, angle: float, zoom: float) -> np.ndarray:
    """(H, W) turned anticlockwise about its centre and enlarged, by scipy."""
    centre = (np.array(picture.shape) - 1) / 2
    source = np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]]) / zoom  # of (row, column)
    return ndimage.affine_transform(picture, source, centre - source @ centre, order=1, mode="reflect")


@pytest.mark.parametrize("shape", [(12, 12), (9, 15)])
@pytest.mark.parametrize("precision", ["float32", "under autocast"])
def test_turns_are_those_of_scipy(shape, precision):
    rng = np.random.default_rng(0)
    pictures = rng.random((5, 2, *shape)).astype(np.float32)
    angles, zooms = np.array([0.0, 0.4, -1.0, 0.2, math.pi / 2]), np.array([1.3, 1.0, 0.8, 1.1, 1.0])
    with torch.autocast("cpu", torch.bfloat16, enabled=precision == "under autocast"):
        got = turn(torch.from_numpy(pictures), torch.tensor(angles).float(), torch.tensor(zooms).float()).numpy()
    assert got.dtype == np.float32
    for picture, one, angle, zoom in zip(pictures, got, angles, zooms, strict=True):
        for channel, result in zip(picture, one, strict=True):
            np.testing.assert_allclose(result, turned(channel, angle, zoom), atol=2e-5)


def test_a_turn_by_a_right_angle_is_a_quarter_turn():
    got = turn(PICTURES, torch.full((N,), math.pi / 2), torch.ones(N))
    np.testing.assert_allclose(got, np.rot90(PICTURES, axes=(2, 3)), atol=1e-5)


def test_a_share_of_the_pictures_is_turned_up_to_the_limits():
    n, limit, zoom = 3000, 40.0, 0.3
    y, x = np.mgrid[-10:11, -10:11].astype(np.float32)
    ramps = torch.from_numpy(np.stack([x, y])).expand(n, -1, -1, -1)  # the value of a pixel is its place
    got = Augment(rotate=limit, zoom=zoom, affine_share=0.3)(ramps, seed=1, epoch=2, index=torch.arange(n)).numpy()
    right = got[:, :, 10, 12] / 2  # where the pixel two to the right of the centre comes from, as (x, y)
    lengths, angles = np.hypot(*right.T), np.degrees(np.arctan2(right[:, 1], right[:, 0]))
    moved = np.abs(right - [1, 0]).max(axis=1) > 1e-4
    assert moved.mean() == pytest.approx(0.3, abs=0.03)
    for values, most in ((angles[moved], limit), (-np.log(lengths[moved]), zoom)):
        assert stats.kstest(values, stats.uniform(-most, 2 * most).cdf).pvalue > 0.01
    assert abs(np.corrcoef(angles[moved], lengths[moved])[0, 1]) < 0.1


def test_light_is_changed_by_hand():
    rng = np.random.default_rng(0)
    brightness, contrast, colour = rng.uniform(0.8, 1.2, N), rng.uniform(0.5, 1.5, N), rng.uniform(-0.1, 0.1, (N, 3))
    got = relight(PICTURES, *(torch.tensor(knob).float() for knob in (brightness, contrast, colour)))
    for k, picture in enumerate(PICTURES.double().numpy()):
        mean = picture.mean()
        expected = mean * brightness[k] + contrast[k] * (picture - mean) + colour[k][:, None, None]
        np.testing.assert_allclose(got[k], expected, atol=1e-6)


def test_the_changes_of_light_are_uniform_up_to_their_limits():
    n = 3000
    pictures = torch.tensor([[0.2, 0.6], [0.2, 0.6], [0.2, 0.6]]).view(1, 3, 1, 2).expand(n, -1, -1, -1)
    lit = Augment(brightness=0.2, contrast=0.3)(pictures, seed=0, epoch=0, index=torch.arange(n))
    brightness, contrast = lit.mean(dim=(1, 2, 3)) / 0.4, (lit[..., 1] - lit[..., 0]).mean(dim=(1, 2)) / 0.4
    colour = (Augment(colour=0.1)(pictures, seed=0, epoch=0, index=torch.arange(n)) - pictures).mean(dim=(2, 3))
    for values, middle, most in ((brightness, 1, 0.2), (contrast, 1, 0.3), *((channel, 0, 0.1) for channel in colour.T)):
        assert stats.kstest(values.numpy(), stats.uniform(middle - most, 2 * most).cdf).pvalue > 0.01
    between = np.corrcoef([brightness.numpy(), contrast.numpy(), *colour.T.numpy()])
    assert np.abs(between - np.eye(5)).max() < 0.1


def test_the_augmentation_of_a_picture_does_not_depend_on_its_batch():
    augment = Augment(**ALL, affine_share=1.0)
    together = augment(PICTURES, seed=1, epoch=2, index=INDEX)
    order = torch.randperm(N, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(augment(PICTURES[order], seed=1, epoch=2, index=INDEX[order]), together[order])
    for k in range(N):
        torch.testing.assert_close(augment(PICTURES[k : k + 1], seed=1, epoch=2, index=INDEX[k : k + 1]), together[k : k + 1])
    torch.rand(3)  # torch's own generator has no part in it
    assert torch.equal(augment(PICTURES, seed=1, epoch=2, index=INDEX), together)


@pytest.mark.parametrize("knob", [*ALL])
@pytest.mark.parametrize("change", [{"seed": 2}, {"epoch": 3}, {"index": INDEX + N}], ids=["seed", "epoch", "index"])
def test_it_differs_with_seed_epoch_and_index(knob, change):
    augment = Augment(**{knob: ALL[knob]}, affine_share=1.0)
    place = {"seed": 1, "epoch": 2, "index": INDEX}
    first, other = augment(PICTURES, **place), augment(PICTURES, **(place | change))
    same = [torch.equal(a, b) for a, b in zip(first, other, strict=True)]
    assert sum(same) < N / 2


def test_without_knobs_nothing_changes():
    assert torch.equal(Augment()(PICTURES, seed=0, epoch=0, index=INDEX), PICTURES)
    none_chosen = Augment(rotate=30.0, zoom=0.2, affine_share=0.0)(PICTURES, seed=0, epoch=0, index=INDEX)
    torch.testing.assert_close(none_chosen, PICTURES)


@pytest.mark.parametrize(
    ("knobs", "says"),
    [
        *(({name: -1}, f"task.module.augment.{name}=-1 is out of range: 0 or more") for name in ALL if name != "dihedral"),
        ({"translate": 1.5}, "task.module.augment.translate=1.5 must be a whole number of pixels"),
        ({"affine_share": 1.5}, "task.module.augment.affine_share=1.5 is out of range: 0 to 1"),
    ],
)
def test_a_wrong_knob_is_refused(knobs, says):
    with pytest.raises(UserError, match=says):
        Augment(**knobs)
