"""Batches of lines: every line once with its own picture and target, little padding, the order a function of (seed, epoch)."""

import numpy as np
import pytest
import torch

from dlhw.data.line_batches import LineBatches, LineTensors
from dlhw.data.line_pictures import LineSplit

N, H = 53, 9
_random = np.random.default_rng(0)
LINES = [_random.integers(0, 255, (int(width), H), dtype=np.uint8) for width in _random.integers(3, 90, N)]
SPLIT = LineSplit.of(LINES, np.arange(2 * N, dtype=np.int16).reshape(N, 2))


def loader(batch_size: int = 4, **options: object) -> LineBatches:
    return LineBatches(LineTensors.of(SPLIT, torch.device("cpu")), batch_size, **options)


def batches_of(batches: LineBatches, epoch: int = 0) -> list[tuple[tuple[torch.Tensor, torch.Tensor], torch.Tensor, torch.Tensor]]:
    batches.set_epoch(epoch)
    return [batch for several in batches for batch in several]


def indices(batches: LineBatches, epoch: int = 0) -> list[list[int]]:
    return [index.tolist() for _, _, index in batches_of(batches, epoch)]


@pytest.mark.parametrize("seed", [None, 0])
@pytest.mark.parametrize("batch_size", [1, 4, 100])
def test_every_line_comes_once_as_it_is_and_white_beyond(seed, batch_size):
    got = batches_of(loader(batch_size, seed=seed))
    assert sorted(i for _, _, index in got for i in index.tolist()) == list(range(N))
    for (pictures, widths), targets, index in got:
        assert pictures.shape == (len(index), H, int(widths.max())) and pictures.dtype == torch.uint8
        for picture, width, target, i in zip(pictures, widths.tolist(), targets, index.tolist(), strict=True):
            assert torch.equal(picture[:, :width], torch.from_numpy(LINES[i].T)) and torch.equal(target, torch.from_numpy(SPLIT.targets[i]))
            assert (picture[:, width:] == 255).all()


def test_lines_of_like_width_come_together():
    def padded(batches: LineBatches) -> float:
        got = batches_of(batches)
        return sum(pictures.shape[0] * pictures.shape[2] for (pictures, _), _, _ in got) / SPLIT.widths.sum()

    assert padded(loader(seed=0, pool=8)) < 1.25 < padded(loader(seed=0, pool=1))
    assert padded(loader()) < 1.1


def test_the_order_is_a_function_of_seed_and_epoch():
    first, again = loader(seed=7), loader(seed=7)
    indices(first, 0), torch.rand(3)
    assert indices(first, 3) == indices(again, 3) != indices(again, 4)
    assert indices(again, 3) != indices(loader(seed=8), 3)
    assert indices(loader(), 3) == indices(loader(), 4)
    widest_first = [max(SPLIT.widths[batch]) for batch in indices(again, 3)]
    assert widest_first not in (sorted(widest_first), sorted(widest_first, reverse=True))  # pools and widths are mixed


@pytest.mark.parametrize("world", [2, 3])
def test_the_ranks_share_an_epoch(world):
    shuffled = [loader(seed=0, rank=rank, world=world) for rank in range(world)]
    drawn = [indices(batches, epoch=2) for batches in shuffled]
    assert len({len(batches) for batches in shuffled}) == 1 and len({len(share) for share in drawn}) == 1
    assert {i for share in drawn for batch in share for i in batch} == set(range(N))
    kept = [i for rank in range(world) for batch in indices(loader(rank=rank, world=world)) for i in batch]
    assert sorted(kept) == list(range(N))


@pytest.mark.parametrize("steps_per_call", [1, 3, 50])
@pytest.mark.parametrize("step", [0, 1, 5, 14])
def test_a_resumed_epoch_takes_exactly_the_remaining_batches(steps_per_call, step):
    whole = loader(seed=0)
    resumed = loader(seed=0, steps_per_call=steps_per_call, start=(1, step))
    assert len(resumed) == len(list(resumed)) == -(-14 // steps_per_call)
    assert indices(resumed, 1) == indices(whole, 1)[step:]
    assert indices(resumed, 2) == indices(whole, 2)


def test_an_epoch_may_end_early():
    assert indices(loader(seed=0, steps=2)) == indices(loader(seed=0))[:2]
