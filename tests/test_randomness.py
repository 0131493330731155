"""Random numbers that are functions of where a run is: the same on every machine, and random enough."""

import numpy as np
import pytest
import torch
from scipy import stats

from dlhw.randomness import derive, permutation, reseed, uniform

MASK = (1 << 64) - 1


def splitmix64(state: int) -> int:
    """The output of splitmix64 for a state that has been advanced already, as Vigna writes it in C."""
    z = state & MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
    return z ^ (z >> 31)


GOLDEN = 0x9E3779B97F4A7C15


def uniform_by_hand(seed: int, epoch: int, index: int, draw: int) -> float:
    sample = splitmix64(index * GOLDEN + derive("sample", seed, epoch))
    return (splitmix64(sample + (draw + 1) * GOLDEN) >> 40) / 2**24


def test_the_reference_is_splitmix64() -> None:
    """The first outputs for seed 1234567, as published with the generator."""
    expected = [6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431, 16408922859458223821]
    assert [splitmix64(1234567 + n * GOLDEN) for n in range(1, 6)] == expected


def test_uniform_is_splitmix64() -> None:
    index = torch.tensor([0, 1, 7, 123456789, 2**40])
    values = uniform(3, 5, index, draws=4)
    assert values.shape == (5, 4)
    assert values.dtype == torch.float32
    assert values.tolist() == [[uniform_by_hand(3, 5, int(i), draw) for draw in range(4)] for i in index]


def test_uniform_does_not_depend_on_the_batch() -> None:
    index = torch.arange(1000)
    whole = uniform(0, 0, index, 3)
    shuffled = index[torch.randperm(1000, generator=torch.Generator().manual_seed(0))]
    assert torch.equal(uniform(0, 0, shuffled, 3), whole[shuffled])
    assert torch.equal(uniform(0, 0, index[17:18], 3), whole[17:18])
    assert torch.equal(uniform(0, 0, index, 2), whole[:, :2])


@pytest.mark.parametrize(("seed", "epoch"), [(0, 0), (0, 1), (7, 0)])
def test_uniform_is_uniform(seed: int, epoch: int) -> None:
    values = uniform(seed, epoch, torch.arange(50_000), 2).double().numpy()
    assert values.min() >= 0
    assert values.max() < 1
    for column in values.T:
        assert stats.kstest(column, "uniform").pvalue > 1e-3
    neighbours = (values[1:, 0], values[:-1, 0]), (values[:, 0], values[:, 1])
    for one, other in neighbours:
        assert abs(np.corrcoef(one, other)[0, 1]) < 5 / np.sqrt(len(one))


def test_seed_and_epoch_matter() -> None:
    index = torch.arange(100)
    draws = [uniform(seed, epoch, index, 1) for seed, epoch in ((0, 0), (0, 1), (1, 0))]
    assert not torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])
    assert not torch.equal(draws[1], draws[2])


def test_derive_is_frozen() -> None:
    """A run of last year must draw the same today."""
    assert derive("order", 0, 0) == 6413763137694573220
    assert derive(1, 23) != derive(12, 3)
    assert all(0 <= derive("x", n) < 2**63 for n in range(1000))


def test_permutation_is_frozen() -> None:
    assert permutation(10, 0, 0).tolist() == [1, 7, 2, 8, 0, 5, 3, 4, 6, 9]
    assert sorted(permutation(1000, 1, 2).tolist()) == list(range(1000))
    assert not torch.equal(permutation(1000, 1, 2), permutation(1000, 1, 3))
    assert not torch.equal(permutation(1000, 1, 2), permutation(1000, 2, 2))


def test_permutation_leaves_the_global_generator_alone() -> None:
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    permutation(10, 0, 0)
    assert torch.equal(torch.rand(1), expected)


def test_reseed() -> None:
    def draw(*place: int) -> float:
        reseed(*place, torch.device("cpu"))
        return float(torch.rand(1, dtype=torch.float64))

    places = [(0, 0, 0, 0), (1, 0, 0, 0), (0, 1, 0, 0), (0, 0, 1, 0), (0, 0, 0, 1)]
    draws = [draw(*place) for place in places]
    assert len(set(draws)) == len(places)
    assert [draw(*place) for place in places] == draws
