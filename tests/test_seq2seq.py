"""Networks from phones to letters: their size by hand, padding that changes nothing, and steps that equal the whole."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dlhw.errors import UserError
from dlhw.layers.attention import BahdanauAttention, DotAttention
from dlhw.models.ensemble import Ensemble
from dlhw.models.p2g_best import MonotonicSeq2Seq
from dlhw.models.seq2seq import Seq2Seq
from dlhw.specs import BOS, EOS, PAD, ImageSpec, TextSpec
from dlhw.tasks.heads.autoregressive import Autoregressive

SPEC = TextSpec(tuple("abcdef"), tuple("uvwxyz"), 9, 9)
COURSE = TextSpec(tuple(map(str, range(103))), tuple(map(str, range(89))), 39, 49)
NETS: dict[str, Any] = {
    "none": lambda: Seq2Seq(SPEC, hidden=16, attention="none"),
    "bahdanau": lambda: Seq2Seq(SPEC, hidden=16, attention="bahdanau"),
    "dot": lambda: Seq2Seq(SPEC, hidden=16, attention="dot"),
    "monotonic": lambda: MonotonicSeq2Seq(SPEC, embedding=8, hidden=16),
    "ensemble": lambda: Ensemble([Seq2Seq(SPEC, hidden=16), MonotonicSeq2Seq(SPEC, embedding=8, hidden=8)]),
}


@pytest.fixture(params=NETS)
def net(request: pytest.FixtureRequest) -> Any:
    torch.manual_seed(0)
    return NETS[request.param]().eval()


def words() -> tuple[Tensor, Tensor]:
    """Sources of 8, 5, 1 and 3 symbols, (4, 8), and the symbols before each of 6, (4, 6)."""
    generator = torch.Generator().manual_seed(1)
    source = torch.randint(4, 10, (4, 8), generator=generator)
    for row, length in enumerate((8, 5, 1, 3)):
        source[row, length:] = PAD
    previous = torch.randint(4, 10, (4, 6), generator=generator)
    previous[:, 0] = BOS
    return source, previous


@pytest.mark.parametrize(("attention", "extra"), [("none", 0), ("bahdanau", 128 * 128 * 2 + 128 + 256 * 128), ("dot", 256 * 128)])
def test_parameters_by_hand(attention: str, extra: int) -> None:
    """Embeddings of 107 phones and 93 letters, LSTMs of four gates with two biases, attention, and the layer behind it.

    The output layer is the embedding of the letters.
    """
    encoder = 107 * 128 + 2 * 4 * (128 * 64 + 64 * 64 + 2 * 64)
    decoder = 93 * 128 + 4 * (128 * 128 + 128 * 128 + 2 * 128)
    assert sum(p.numel() for p in Seq2Seq(COURSE, attention=attention).parameters()) == encoder + decoder + extra


def test_parameters_of_the_best_network_by_hand() -> None:
    """Two layers of 96 per direction, an LSTM of 192, its first state, scores of jumps, what a phone writes; one bias a letter."""
    encoder = 107 * 128 + 2 * 4 * (128 * 96 + 96 * 96 + 2 * 96) + 2 * 4 * (192 * 96 + 96 * 96 + 2 * 96)
    decoder = 93 * 192 + 4 * (192 * 192 + 192 * 192 + 2 * 192) + (192 * 384 + 384)
    between = (192 * 192 + 192) + (192 * 192 + 192) + 192 * 192 + 93
    assert sum(p.numel() for p in MonotonicSeq2Seq(COURSE, hidden=192).parameters()) == encoder + decoder + between


def test_output_layer_is_the_embedding() -> None:
    net = Seq2Seq(SPEC, hidden=16).eval()
    source, previous = words()
    before = net(source, previous)
    with torch.no_grad():
        net.decoder.embedding.weight[9] *= 2  # a letter that is not among those before
    previous[previous == 9] = 8
    again = net(source, previous)
    with torch.no_grad():
        net.decoder.embedding.weight[9] /= 2
    torch.testing.assert_close(again[..., 9], 2 * net(source, previous)[..., 9])
    assert before.shape == (4, 6, 10)


def test_longer_padding_changes_nothing(net: Any) -> None:
    source, previous = words()
    torch.testing.assert_close(net(F.pad(source, (0, 7), value=PAD), previous), net(source, previous))


def test_padding_behind_the_letters_changes_no_loss(net: Any) -> None:
    source, letters = words()
    letters[:, 0], letters[:, -1] = 7, EOS
    letters[1, 3:] = torch.tensor([EOS, PAD, PAD])
    losses = Autoregressive().losses(net, source, letters)
    torch.testing.assert_close(Autoregressive().losses(net, source, F.pad(letters, (0, 3), value=PAD)), losses)
    torch.testing.assert_close(Autoregressive().losses(net, source[1:2], letters[1:2, :4]), losses[1:2], atol=1e-5, rtol=1e-5)


def test_neighbours_in_a_batch_change_nothing(net: Any) -> None:
    source, previous = words()
    alone = torch.cat([net(source[row : row + 1], previous[row : row + 1]) for row in range(4)])
    torch.testing.assert_close(alone.log_softmax(-1), net(source, previous).log_softmax(-1), atol=1e-5, rtol=1e-5)


def test_step_by_step_equals_all_at_once(net: Any) -> None:
    source, previous = words()
    memory, state = net.encode(source)
    steps = []
    for symbol in previous.T:
        logits, state, weights = net.step(symbol, state, memory)
        steps.append(logits)
        if weights is not None:
            assert weights.shape == (4, 8)
            torch.testing.assert_close(weights.sum(dim=1), torch.ones(4))
            assert not weights[source == PAD].any()
    torch.testing.assert_close(torch.stack(steps, dim=1).log_softmax(-1), net(source, previous).log_softmax(-1), atol=1e-5, rtol=1e-5)


def test_later_letters_change_nothing_before(net: Any) -> None:
    source, previous = words()
    other = previous.clone()
    other[:, 4:] = 4 + (other[:, 4:] - 3) % 6
    torch.testing.assert_close(net(source, other)[:, :4].log_softmax(-1), net(source, previous)[:, :4].log_softmax(-1))


@pytest.mark.parametrize("name", ["none", "bahdanau", "dot", "monotonic"])
def test_every_weight_learns(name: str) -> None:
    torch.manual_seed(0)
    net = NETS[name]()
    source, previous = words()
    F.cross_entropy(net(source, previous).transpose(1, 2), previous.flip(1).clamp(min=4)).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() and p.grad.any() for p in net.parameters())


def test_attention_by_hand() -> None:
    torch.manual_seed(0)
    query, memory = torch.randn(2, 3, 5), torch.randn(2, 4, 6)
    mask = torch.tensor([[True, True, True, True], [True, True, False, False]])
    additive = BahdanauAttention(5, 6, 7)
    context, weights = additive(query, additive.keys(memory), memory, mask)
    v, ws, wh = additive.score.weight[0], additive.of_query.weight, additive.of_memory.weight
    for b, t in ((0, 2), (1, 0)):
        places = int(mask[b].sum())
        energies = torch.stack([v @ torch.tanh(ws @ query[b, t] + wh @ memory[b, s]) for s in range(places)])
        expected = energies.exp() / energies.exp().sum()
        torch.testing.assert_close(weights[b, t, :places], expected)
        assert not weights[b, t, places:].any()
        torch.testing.assert_close(context[b, t], expected @ memory[b, :places])
    dot, memory = DotAttention(5, 5, 5), torch.randn(2, 4, 5)
    assert not list(dot.parameters())
    _, weights = dot(query, dot.keys(memory), memory, mask)
    torch.testing.assert_close(weights[1, 1, :2], (memory[1, :2] @ query[1, 1]).softmax(0))


def test_without_gradients_few_comparisons_are_held_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    query, memory, mask = torch.randn(2, 9, 5), torch.randn(2, 4, 6), torch.ones(2, 4, dtype=torch.bool)
    net = BahdanauAttention(5, 6, 7)
    sizes: list[int] = []
    net.score.register_forward_pre_hook(lambda module, inputs: sizes.append(inputs[0].numel()))
    whole = net(query, net.keys(memory), memory, mask)
    assert sizes == [2 * 9 * 4 * 7]
    monkeypatch.setattr("dlhw.layers.attention.MOST", 150)
    with torch.no_grad():
        parts = net(query, net.keys(memory), memory, mask)
    assert max(sizes[1:]) == 2 * 2 * 4 * 7 and sum(sizes[1:]) == sizes[0]
    for part, expected in zip(parts, whole, strict=True):
        torch.testing.assert_close(part, expected)


def test_monotonic_attention_sums_over_all_paths() -> None:
    """Against the sum over every path, for a word of three phones and four letters."""
    torch.manual_seed(0)
    net: Any = MonotonicSeq2Seq(SPEC, embedding=8, hidden=16).double().eval().requires_grad_(False)
    source, letters = torch.tensor([[4, 7, 5]]), torch.tensor([[6, 6, 9, 4]])
    previous = F.pad(letters[:, :-1], (1, 0), value=BOS)
    memory, (hidden, cell, *_) = net.encode(source)
    outputs, _ = net.lstm(net._embedded(previous), (hidden[None], cell[None]))
    jumps = net._jumps(outputs, memory)[0]  # (T, S)
    emission = net._written(net.of_state(outputs)[0].unsqueeze(1), memory[1][0])  # (T, S, V)
    paths = [(a, b, c, d) for a in range(3) for b in range(3) for c in range(3) for d in range(3) if a <= b <= c <= d]
    total = 0.0
    for path in paths:
        p, before = 1.0, 0
        for t, place in enumerate(path):
            p *= float(jumps[t, before:].softmax(0)[place - before] * emission[t, place, letters[0, t]].exp())
            before = place
        total += p
    log_p = net(source, previous)[0]
    assert float(sum(log_p[t, letters[0, t]] for t in range(4)).exp()) == pytest.approx(total)


def test_ensemble_is_the_mean_of_probabilities() -> None:
    torch.manual_seed(0)
    members: list[nn.Module] = [Seq2Seq(SPEC, hidden=16).eval(), Seq2Seq(SPEC, hidden=8).eval()]
    source, previous = words()
    mean = torch.stack([net(source, previous).softmax(-1) for net in members]).mean(0)
    ensemble = Ensemble(members)
    memory, state = ensemble.encode(source)
    torch.testing.assert_close(ensemble.forced(previous, state, memory).exp(), mean)


def test_dropped_symbols_are_unknown_and_only_in_training() -> None:
    net = MonotonicSeq2Seq(SPEC, embedding=8, hidden=8, symbol_dropout=0.5)
    ids = torch.tensor([[PAD, BOS, 2, 3, *range(4, 10)]]).repeat(500, 1)
    torch.manual_seed(0)
    dropped = net._dropped(ids)
    assert torch.equal(dropped[:, :4], ids[:, :4])
    share = (dropped[:, 4:] == 3).float().mean()
    assert 0.45 < share < 0.55
    assert ((dropped == ids) | (dropped == 3)).all()
    assert net.eval()._dropped(ids) is ids


@pytest.mark.parametrize(
    ("build", "told"),
    [
        (lambda: Seq2Seq(SPEC, attention="luong"), "model.attention=luong is not one of none, bahdanau, dot"),
        (lambda: Seq2Seq(SPEC, hidden=7), "model.hidden=7 is out of range: even"),
        (lambda: Seq2Seq(SPEC, dropout=1.0), "model.dropout=1.0 is out of range"),
        (lambda: Seq2Seq(SPEC, embedding=0), "model.embedding=0 is out of range"),
        (lambda: MonotonicSeq2Seq(SPEC, hidden=0), "model.hidden=0 is out of range"),
        (lambda: MonotonicSeq2Seq(SPEC, layers=0), "model.layers=0 is out of range"),
        (lambda: MonotonicSeq2Seq(SPEC, symbol_dropout=1.0), "model.symbol_dropout=1.0 is out of range"),
        (lambda: Seq2Seq(ImageSpec(1, 8, 8, ("a", "b"), "multi-class", (0.5,), (0.5,))), "seq2seq wants TextSpec, got ImageSpec"),  # type: ignore[arg-type]
        (lambda: Ensemble([Seq2Seq(SPEC), nn.Linear(1, 1)]), "one kind of head, got autoregressive, None"),
    ],
)
def test_what_does_not_fit_is_refused(build: Any, told: str) -> None:
    with pytest.raises(UserError, match=told):
        build()
