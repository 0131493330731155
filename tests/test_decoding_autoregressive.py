"""Greedy, beam search and nucleus sampling, against enumeration of every text that a small network can write."""

import itertools
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from dlhw.decoding import Decode
from dlhw.decoding.autoregressive import decode, in_nucleus
from dlhw.errors import UserError
from dlhw.randomness import uniform
from dlhw.specs import BOS, EOS, FIRST, PAD

SYMBOLS, LONGEST = 3, 4
IDS = FIRST + SYMBOLS


class Table:
    """Writes by a table: the logits of the next symbol depend on the input, the last symbol and how many there are."""

    def __init__(self, inputs: int, seed: int = 0, sharp: float = 2.0) -> None:
        self.table = torch.randn(inputs, LONGEST + 1, IDS, IDS, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) * sharp

    def encode(self, inputs: Tensor) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
        return (inputs,), (torch.zeros_like(inputs),)

    def step(self, previous: Tensor, state: tuple[Tensor, ...], memory: tuple[Tensor, ...]) -> tuple[Tensor, tuple[Tensor, ...], None]:
        return self.table[memory[0], state[0], previous], (state[0] + 1,), None

    def score(self, number: int, text: tuple[int, ...]) -> float:
        """Log-probability of a text, symbol by symbol."""
        total = 0.0
        for step, (before, symbol) in enumerate(itertools.pairwise((BOS, *text))):
            logits = self.table[number, step, before]
            possible = [EOS, *range(FIRST, IDS)]
            total += float(logits[symbol] - logits[possible].logsumexp(0))
        return total

    def every_text(self, number: int) -> list[tuple[float, tuple[int, ...]]]:
        """All texts that end or are cut at LONGEST symbols, the most probable first."""
        symbols = range(FIRST, IDS)
        ended = [(*text, EOS) for n in range(LONGEST) for text in itertools.product(symbols, repeat=n)]
        cut = list(itertools.product(symbols, repeat=LONGEST))
        return sorted(((self.score(number, text), text) for text in ended + cut), reverse=True)


def text(row: Tensor) -> tuple[int, ...]:
    return tuple(number for number in row.tolist() if number != PAD)


@pytest.fixture(scope="module")
def net() -> Table:
    return Table(50)


INPUTS = torch.arange(50)


@pytest.mark.parametrize("power", [0.0, 1.0])
def test_a_beam_that_is_wide_enough_finds_the_best_texts(net: Table, power: float) -> None:
    found = decode(net, INPUTS, Decode("beam", width=200, k=5, length_power=power, max_symbols=LONGEST))
    for number in range(len(INPUTS)):
        every = net.every_text(number)  # those that were cut come behind those that end
        ranked = sorted(every, key=lambda scored: (scored[1][-1] == EOS, scored[0] / len(scored[1]) ** power), reverse=True)[:5]
        assert [text(row) for row in found.ids[number]] == [best for _, best in ranked]
        assert found.scores[number].tolist() == pytest.approx([score for score, _ in ranked])


def test_a_beam_of_one_is_greedy(net: Table) -> None:
    greedy = decode(net, INPUTS, Decode("greedy", max_symbols=LONGEST))
    narrow = decode(net, INPUTS, Decode("beam", width=1, k=1, max_symbols=LONGEST))
    assert torch.equal(greedy.ids, narrow.ids)
    torch.testing.assert_close(greedy.scores, narrow.scores, check_dtype=False)
    torch.testing.assert_close(greedy.confidence, narrow.confidence, check_dtype=False)


def test_wider_beams_find_no_worse_texts_on_average() -> None:
    net = Table(50)
    net.table[:, LONGEST - 1, :, FIRST:] -= 1e4  # every text ends in time
    means = [float(decode(net, INPUTS, Decode("beam", width=w, k=1, max_symbols=LONGEST)).scores.mean()) for w in (1, 2, 5, 100)]
    assert means == sorted(means)
    assert means[0] < means[-1]


@pytest.mark.parametrize("settings", [Decode("greedy"), Decode("beam", width=6), Decode("nucleus", p=0.9, k=4)])
def test_texts_stop_at_their_end_and_hold_no_special_symbols(net: Table, settings: Decode) -> None:
    found = decode(net, INPUTS, replace(settings, max_symbols=LONGEST))
    for number, row, score in zip(
        INPUTS.repeat_interleave(found.ids.shape[1]).tolist(), found.ids.flatten(0, 1), found.scores.flatten().tolist(), strict=True
    ):
        written = text(row)
        assert row[: len(written)].tolist() == list(written)  # padding comes last
        assert EOS not in written[:-1]
        assert written[-1] == EOS or len(written) == LONGEST
        assert all(symbol >= FIRST for symbol in written if symbol != EOS)
        assert score == pytest.approx(net.score(number, written))


@pytest.mark.parametrize("settings", [Decode("greedy"), Decode("beam", width=6, k=2), Decode("nucleus", k=2)])
def test_confidence_is_the_probability_of_each_symbol_of_the_answer(net: Table, settings: Decode) -> None:
    found = decode(net, INPUTS, replace(settings, max_symbols=LONGEST))
    for number in range(len(INPUTS)):
        answer = text(found.ids[number, 0])
        scores = [net.score(number, answer[: n + 1]) for n in range(len(answer))]
        factors = torch.tensor([0.0, *scores]).diff().exp()
        torch.testing.assert_close(found.confidence[number, : len(answer)].float(), factors, atol=1e-5, rtol=1e-4)
        assert not found.confidence[number, len(answer) :].any()


def test_fewer_texts_than_asked_for_are_told_by_their_score() -> None:
    found = decode(Table(1), torch.zeros(1, dtype=torch.long), Decode("beam", width=8, k=8, max_symbols=1))
    exists = found.scores.isfinite()
    assert exists.sum() == SYMBOLS + 1  # one symbol or none
    assert not found.ids[~exists].any()
    assert found.ids[0, 0].tolist() == [EOS]  # all others were cut


def smallest_set(p: list[float], share: float) -> set[int]:
    """By trying every subset."""
    sets = [c for n in range(1, len(p) + 1) for c in itertools.combinations(range(len(p)), n) if sum(p[i] for i in c) >= share]
    fewest = min(map(len, sets))
    return set(max((c for c in sets if len(c) == fewest), key=lambda c: sum(p[i] for i in c)))


@pytest.mark.parametrize("share", [0.1, 0.5, 0.8, 0.99, 1.0])
def test_the_nucleus_is_the_smallest_set(share: float) -> None:
    p = torch.randn(100, 6, generator=torch.Generator().manual_seed(1), dtype=torch.float64).mul(1.5).softmax(dim=1)
    symbols, kept = in_nucleus(p, share)
    for row in range(len(p)):
        chosen = {int(s) for s, probability in zip(symbols[row], kept[row], strict=True) if probability > 0}
        if share < 1:  # rounding decides whether the last symbols are needed for a sum of 1
            assert chosen == smallest_set(p[row].tolist(), share)
        assert kept[row].sum() >= share - 1e-12
        assert all(float(probability) in (0.0, float(p[row, s])) for s, probability in zip(symbols[row], kept[row], strict=True))


def test_a_sum_that_is_just_enough_needs_no_further_symbol() -> None:
    symbols, kept = in_nucleus(torch.tensor([[0.25, 0.5, 0.25]], dtype=torch.float64), 0.75)
    assert symbols.tolist() == [[1, 0, 2]]
    assert kept.tolist() == [[0.5, 0.25, 0.0]]


def test_draws_follow_the_nucleus() -> None:
    """First symbols of many inputs with the same table: shares as in the nucleus, within five standard errors."""
    net, n = Table(1, seed=3, sharp=1.0), 20_000
    found = decode(net, torch.zeros(n, dtype=torch.long), Decode("nucleus", p=0.8, k=1, max_symbols=1))
    logits = net.table[0, 0, BOS]
    p = torch.zeros(IDS, dtype=torch.float64)
    possible = [EOS, *range(FIRST, IDS)]
    p[possible] = logits[possible].softmax(0)
    kept = smallest_set(p[possible].tolist(), 0.8)
    expected = torch.zeros_like(p)
    for place in kept:
        expected[possible[place]] = p[possible[place]]
    expected /= expected.sum()
    shares = torch.bincount(found.ids[:, 0, 0], minlength=IDS) / n
    assert len(kept) > 1
    assert not shares[expected == 0].any()
    assert ((shares - expected).abs() <= 5 * (expected * (1 - expected) / n).sqrt()).all()


def test_draws_depend_on_the_seed_and_the_number_of_the_input_alone(net: Table) -> None:
    settings = Decode("nucleus", p=0.95, k=3, max_symbols=LONGEST)
    whole = decode(net, INPUTS, settings, INPUTS)
    assert torch.equal(whole.ids, decode(net, INPUTS, settings, INPUTS).ids)
    part = torch.tensor([41, 7])
    alone = decode(net, part, settings, part).ids
    assert torch.equal(whole.ids[part][..., : alone.shape[2]], alone)
    assert not torch.equal(whole.ids, decode(net, INPUTS, replace(settings, seed=1), INPUTS).ids)
    first = whole.ids[:, :, 0]
    assert (first[:, 0] != first[:, 1]).any()  # the k draws of an input are not one
    assert uniform(0, 0, INPUTS, 3).unique().numel() == 150


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"method": "viterbi"}, r"task\.decode\.method=viterbi .*one of greedy, beam, nucleus"),
        ({"validation": "best"}, r"task\.decode\.validation=best"),
        ({"width": 0}, r"task\.decode\.width=0"),
        ({"method": "beam", "width": 2, "k": 3}, r"task\.decode\.k=3 .*width of the beam, 2"),
        ({"p": 0.0}, r"task\.decode\.p=0\.0"),
        ({"p": 1.1}, r"task\.decode\.p=1\.1"),
        ({"max_symbols": 0}, r"task\.decode\.max_symbols=0"),
        ({"length_power": -1.0}, r"task\.decode\.length_power=-1\.0"),
    ],
)
def test_settings_out_of_range(settings: dict[str, object], told: str) -> None:
    with pytest.raises(UserError, match=told):
        Decode(**settings)  # type: ignore[arg-type]
