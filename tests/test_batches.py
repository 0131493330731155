"""Batches: every sample once, the order a function of (seed, epoch), the same batches after a resumption and from a mapped file."""

import numpy as np
import pytest
import torch

from dlhw.data.batches import Batches

N = 23
INPUTS = torch.arange(N * 4, dtype=torch.uint8).reshape(N, 2, 2, 1)
TARGETS = torch.arange(N) % 5


def batches_of(batches: Batches, epoch: int = 0) -> list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
    """The batches of one epoch, whatever lists they come in."""
    batches.set_epoch(epoch)
    return [batch for several in batches for batch in several]


def indices(batches: Batches, epoch: int = 0) -> list[list[int]]:
    return [index.tolist() for _, _, index in batches_of(batches, epoch)]


@pytest.mark.parametrize("seed", [None, 0])
@pytest.mark.parametrize("batch_size", [1, 4, 23, 100])
def test_every_sample_comes_once_with_its_own_target(seed, batch_size):
    got = batches_of(Batches(INPUTS, TARGETS, batch_size, seed=seed))
    assert sorted(i for _, _, index in got for i in index.tolist()) == list(range(N))
    for inputs, targets, index in got:
        assert torch.equal(inputs, INPUTS[index]) and torch.equal(targets, TARGETS[index])
    assert [len(index) for _, _, index in got[:-1]] == [min(batch_size, N)] * (len(got) - 1)


@pytest.mark.parametrize("world", [2, 3, 5])
def test_the_ranks_share_an_epoch(world):
    shuffled = [Batches(INPUTS, TARGETS, 4, seed=0, rank=rank, world=world) for rank in range(world)]
    drawn = [[i for index in indices(batches, epoch=2) for i in index] for batches in shuffled]
    assert len({len(batches) for batches in shuffled}) == 1 and len({len(share) for share in drawn}) == 1
    seen = sorted(i for share in drawn for i in share)
    assert set(seen) == set(range(N)) and len(seen) == N + -N % world  # filled up so that all take the same number of steps

    kept = [i for rank in range(world) for index in indices(Batches(INPUTS, TARGETS, 4, rank=rank, world=world)) for i in index]
    assert sorted(kept) == list(range(N))


def test_the_order_is_a_function_of_seed_and_epoch():
    first, again = Batches(INPUTS, TARGETS, 4, seed=7), Batches(INPUTS, TARGETS, 4, seed=7)
    indices(first, 0), torch.rand(3)
    assert indices(first, 3) == indices(again, 3)
    assert indices(again, 3) != indices(again, 4)
    assert indices(again, 3) != indices(Batches(INPUTS, TARGETS, 4, seed=8), 3)
    assert indices(Batches(INPUTS, TARGETS, 4), 3) == indices(Batches(INPUTS, TARGETS, 4), 4)


@pytest.mark.parametrize("steps_per_call", [1, 2, 3, 6, 50])
def test_the_length_of_the_lists_does_not_change_the_batches(steps_per_call):
    batches = Batches(INPUTS, TARGETS, 4, seed=0, steps_per_call=steps_per_call)
    lists = list(batches)
    assert len(lists) == len(batches) == -(-6 // steps_per_call)
    assert [index.tolist() for several in lists for _, _, index in several] == indices(Batches(INPUTS, TARGETS, 4, seed=0))
    assert all(len(several) == steps_per_call for several in lists[:-1])


@pytest.mark.parametrize("steps_per_call", [1, 2, 4])
@pytest.mark.parametrize("step", range(7))
def test_a_resumed_epoch_takes_exactly_the_remaining_batches(steps_per_call, step):
    whole = Batches(INPUTS, TARGETS, 4, seed=0, steps_per_call=steps_per_call)
    resumed = Batches(INPUTS, TARGETS, 4, seed=0, steps_per_call=steps_per_call, start=(1, step))
    assert len(resumed) == len(whole) == len(list(resumed))  # Lightning counts the lists that come out empty
    assert indices(resumed, 1) == indices(whole, 1)[step:]
    assert indices(resumed, 2) == indices(whole, 2)


def test_an_epoch_may_end_early():
    assert indices(Batches(INPUTS, TARGETS, 4, seed=0, steps=2)) == indices(Batches(INPUTS, TARGETS, 4, seed=0))[:2]
    assert len(indices(Batches(INPUTS, TARGETS, 4, seed=0, steps=99))) == 6


@pytest.mark.parametrize("seed", [None, 0])
def test_a_mapped_file_gives_what_a_tensor_gives(tmp_path, seed):
    np.save(tmp_path / "inputs.npy", INPUTS.numpy())
    mapped = np.load(tmp_path / "inputs.npy", mmap_mode="r")
    for one, other in zip(
        batches_of(Batches(mapped, TARGETS, 4, seed=seed, steps_per_call=2, start=(0, 1))),
        batches_of(Batches(INPUTS, TARGETS, 4, seed=seed, steps_per_call=2, start=(0, 1))),
        strict=True,
    ):
        assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))
