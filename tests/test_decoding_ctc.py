"""CTC decoders against brute force over all paths, and against a beam search of dictionaries."""

import itertools
import math
from collections import defaultdict

import numpy as np
import pytest
import torch

from dlhw.decoding import Decode
from dlhw.decoding.ctc import align, best_path, compact, confidences, prefix_beam
from dlhw.decoding.ngram import NGram
from dlhw.errors import UserError
from dlhw.specs import EOS, PAD, UNKNOWN
from dlhw.tasks.heads.ctc import CTC, steps_needed, text_losses, with_end

Text = tuple[int, ...]


def collapsed(path: Text) -> Text:
    """CTC's mapping from paths to texts, as its paper words it: merge equal neighbours, then drop the blanks."""
    return tuple(c for c, _ in itertools.groupby(path) if c != 0)


def text_probabilities(log_probs: np.ndarray) -> dict[Text, float]:
    """The probability of every text of one line (S, K), by adding up all K ** S paths."""
    steps, k = log_probs.shape
    found: dict[Text, float] = defaultdict(float)
    for path in itertools.product(range(k), repeat=steps):
        found[collapsed(path)] += math.exp(sum(log_probs[step, c] for step, c in enumerate(path)))
    return found


def random_lines(count: int, steps: int, k: int, seed: int = 0, scale: float = 1.5) -> tuple[torch.Tensor, torch.Tensor]:
    """Log-probabilities float64 (count, steps, k) and lengths from 1 to ``steps``."""
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(count, steps, k, generator=generator, dtype=torch.float64) * scale
    return logits.log_softmax(dim=2), torch.randint(1, steps + 1, (count,), generator=generator)


def without_padding(classes: torch.Tensor) -> list[Text]:
    return [tuple(c for c in row if c) for row in classes.tolist()]


@pytest.mark.parametrize(("steps", "k"), [(4, 3), (5, 3), (4, 4), (6, 2)])
def test_a_wide_beam_equals_brute_force(steps, k):
    """250 lines each, 1,000 in all."""
    log_probs, lengths = random_lines(250, steps, k, seed=steps * k)
    classes, scores = prefix_beam(log_probs, lengths, width=400, n=8)
    for line in range(250):
        truth = text_probabilities(log_probs[line, : lengths[line]].numpy())
        best = sorted(truth.items(), key=lambda item: -item[1])[:8]
        found = list(zip(without_padding(classes[line]), scores[line].exp().tolist(), strict=True))
        assert [text for text, p in found if p > 0] == [text for text, _ in best]
        assert [p for _, p in found if p > 0] == pytest.approx([p for _, p in best], rel=1e-9)
        assert all(text == () for text, p in found if p == 0)


def naive_beam(log_probs: np.ndarray, width: int) -> list[tuple[Text, float]]:
    """The prefix beam search as it is written with dictionaries, for one line (S, K)."""
    beam: dict[Text, tuple[float, float]] = {(): (0.0, -math.inf)}
    for frame in log_probs:
        grown: dict[Text, list[float]] = defaultdict(lambda: [-math.inf, -math.inf])
        for text, (blank, symbol) in beam.items():
            total = np.logaddexp(blank, symbol)
            grown[text][0] = np.logaddexp(grown[text][0], total + frame[0])
            if text:
                grown[text][1] = np.logaddexp(grown[text][1], symbol + frame[text[-1]])
            for c in range(1, len(frame)):
                before = blank if text and text[-1] == c else total
                grown[(*text, c)][1] = np.logaddexp(grown[(*text, c)][1], before + frame[c])
        ranked = sorted(grown.items(), key=lambda item: -np.logaddexp(*item[1]))[:width]
        beam = {text: (blank, symbol) for text, (blank, symbol) in ranked}
    return [(text, float(np.logaddexp(*both))) for text, both in beam.items()]


@pytest.mark.parametrize("width", [1, 2, 5, 10])
def test_a_narrow_beam_equals_the_one_of_dictionaries(width):
    log_probs, lengths = random_lines(40, 12, 6, seed=width)
    classes, scores = prefix_beam(log_probs, lengths, width, n=width)
    for line in range(40):
        expected = naive_beam(log_probs[line, : lengths[line]].numpy(), width)
        n = len(expected)  # a short line has fewer texts than the beam has room
        assert without_padding(classes[line])[:n] == [text for text, _ in expected]
        assert scores[line].tolist() == pytest.approx([score for _, score in expected] + [-math.inf] * (width - n), rel=1e-9)


def test_a_line_alone_says_what_it_says_in_a_batch():
    log_probs, lengths = random_lines(20, 9, 5)
    classes, scores = prefix_beam(log_probs, lengths, 6, 3)
    for line, length in enumerate(lengths.tolist()):
        alone, alone_scores = prefix_beam(log_probs[line : line + 1, :length], lengths[line : line + 1], 6, 3)
        assert without_padding(alone[0]) == without_padding(classes[line])
        assert alone_scores[0].tolist() == pytest.approx(scores[line].tolist())


def test_the_best_path_merges_and_drops():
    paths = torch.tensor([[1, 1, 0, 1, 2, 2], [0, 0, 0, 0, 0, 0], [3, 3, 3, 2, 0, 2]])
    log_probs = torch.nn.functional.one_hot(paths, 4).double().log_softmax(dim=2)
    assert without_padding(best_path(log_probs, torch.tensor([6, 6, 6]))) == [(1, 1, 2), (), (3, 2, 2)]
    assert without_padding(best_path(log_probs, torch.tensor([4, 1, 2]))) == [(1, 1), (), (3,)]


@pytest.mark.parametrize(("order", "weight", "bonus"), [(1, 0.5, 0.0), (2, 1.0, 0.3), (3, 2.0, -0.2)])
def test_a_wide_beam_with_a_language_model_equals_brute_force(order, weight, bonus):
    model = NGram([(1, 2, 1, 2), (2, 2, 1), (1, 2, 3)], symbols=4, order=order)
    log_probs, lengths = random_lines(60, 4, 4, seed=order)
    classes, scores = prefix_beam(log_probs, lengths, 200, 3, model, weight, bonus)
    for line in range(60):
        truth = text_probabilities(log_probs[line, : lengths[line]].numpy())
        ranked = {text: math.log(p) + weight * model.log_p(text) + bonus * len(text) for text, p in truth.items()}
        best = sorted(ranked.items(), key=lambda item: -item[1])[: min(3, len(ranked))]
        assert scores[line, : len(best)].tolist() == pytest.approx([score for _, score in best], abs=1e-5)
        assert without_padding(classes[line])[: len(best)] == [text for text, _ in best]


def witten_bell(texts: list[Text], k: int, order: int, context: tuple[object, ...], symbol: object) -> float:
    """p(symbol | context) from its definition, recursively; the end of a text is the symbol "end"."""
    context = context[max(0, len(context) - order + 1) :]
    marked: list[tuple[object, ...]] = [("begin", *text, "end") for text in texts]
    n = len(context)
    after = [text[i + n] for text in marked for i in range(len(text) - n) if text[i : i + n] == context and text[i + n] != "begin"]
    lower = witten_bell(texts, k, len(context), context[1:], symbol) if context else 1 / k
    kinds = len(set(after))
    return (after.count(symbol) + kinds * lower) / (len(after) + kinds) if after else lower


@pytest.mark.parametrize("order", [1, 2, 3, 5])
def test_the_language_model_follows_its_definition(order):
    texts: list[Text] = [(1, 2, 1, 2), (2, 2, 1), (1, 2, 3), (3,)]
    model = NGram(texts, symbols=5, order=order)
    probabilities = model.log_probs.exp()
    assert probabilities.sum(dim=1).tolist() == pytest.approx([1.0] * len(probabilities), abs=1e-6)
    for text in itertools.product(range(1, 5), repeat=3):
        context: tuple[object, ...] = ("begin",)
        expected = 0.0
        for symbol in (*text, "end"):
            expected += math.log(witten_bell(texts, 5, order, context, symbol))
            context = (*context, symbol)
        assert model.log_p(text) == pytest.approx(expected, abs=1e-4)


def test_a_bonus_needs_no_language_model():
    log_probs, lengths = random_lines(60, 4, 4, seed=8)
    classes, scores = prefix_beam(log_probs, lengths, 200, 1, bonus=0.7)
    for line in range(60):
        ranked = {text: math.log(p) + 0.7 * len(text) for text, p in text_probabilities(log_probs[line, : lengths[line]].numpy()).items()}
        best = max(ranked, key=lambda text: ranked[text])
        assert without_padding(classes[line]) == [best] and float(scores[line, 0]) == pytest.approx(ranked[best])


def test_tables_that_would_be_too_large_are_refused(monkeypatch):
    monkeypatch.setattr("dlhw.decoding.ngram.MOST", 1000)
    NGram([(1, 2, 1, 2)], symbols=5, order=2)
    with pytest.raises(UserError, match=r"task\.decode\.lm_order=3 is out of range: 7 contexts of 20 symbols would take"):
        NGram([(1, 2, 1, 2)], symbols=20, order=3)


def test_a_language_model_is_counted_once_a_beam_asks_for_it():
    head = CTC()
    log_probs, lengths = random_lines(3, 6, 4)
    with_model = Decode(method="beam", lm_weight=0.5, lm_order=2)
    for settings in (Decode(method="greedy", lm_weight=0.5), Decode(method="beam", symbol_bonus=0.5), Decode(method="beam")):
        head.decoded(log_probs, lengths, settings)  # none of them looks at the texts
    with pytest.raises(UserError, match="needs the texts of the training, which this run has not kept"):
        head.decoded(log_probs, lengths, with_model)
    head.learn(np.array([[4, 5, 4, 5, EOS], [5, 5, UNKNOWN, 4, EOS], [4, 5, 6, EOS, PAD]], np.int16))
    found = head.decoded(log_probs, lengths, with_model)
    model = NGram([(1, 2, 1, 2), (2, 2, 1), (1, 2, 3)], symbols=4, order=2)
    classes, scores = prefix_beam(log_probs, lengths, 10, 3, model, 0.5)
    assert torch.equal(found.ids, with_end(classes)) and torch.equal(found.scores, scores)
    assert head.language(with_model, 4, log_probs.device) is head.language(with_model, 4, log_probs.device)


def test_symbols_that_cannot_be_written_need_no_step():
    needed = steps_needed(torch.tensor([[4, UNKNOWN, 4, EOS], [4, 4, 5, EOS], [4, 5, EOS, PAD], [UNKNOWN, EOS, PAD, PAD]]))
    assert needed.tolist() == [3, 4, 2, 0]  # without the unknown one, two equal symbols stand together


def test_the_loss_equals_brute_force():
    log_probs, lengths = random_lines(40, 5, 4, seed=9)
    generator = torch.Generator().manual_seed(1)
    texts = [torch.randint(1, 4, (int(torch.randint(0, 4, (1,), generator=generator)),), generator=generator) for _ in range(40)]
    padded = with_end(torch.nn.utils.rnn.pad_sequence([*texts, torch.ones(3, dtype=torch.long)], batch_first=True)[:-1])
    losses = text_losses(log_probs, lengths, padded)
    for line in range(40):
        p = text_probabilities(log_probs[line, : lengths[line]].numpy()).get(tuple(texts[line].tolist()), 0.0)
        assert float(losses[line]) == pytest.approx(-math.log(p) if p else math.inf, rel=1e-9)
        assert (p > 0) == bool(steps_needed(padded)[line] <= lengths[line])


def test_alignment_follows_the_best_path_of_the_text():
    log_probs, lengths = random_lines(60, 6, 4, seed=4)
    classes, _ = prefix_beam(log_probs, lengths, 10, 1)
    places, values = align(log_probs, lengths, classes[:, 0]), confidences(log_probs, lengths, classes[:, 0])
    for line, text in enumerate(without_padding(classes[:, 0])):
        steps = int(lengths[line])
        paths = [path for path in itertools.product(range(4), repeat=steps) if collapsed(path) == text]
        best = max(paths, key=lambda path: sum(float(log_probs[line, step, c]) for step, c in enumerate(path)))
        segments, step = [], 0
        for c, group in itertools.groupby(best):
            size = len(list(group))
            if c:
                segments.append(max(range(step, step + size), key=lambda s, c=c: float(log_probs[line, s, c])))
            step += size
        assert places[line].tolist()[: len(text)] == segments and set(places[line].tolist()[len(text) :]) <= {-1}
        expected = [float(log_probs[line, s, c].exp()) for s, c in zip(segments, text, strict=True)]
        assert values[line].tolist()[: len(text) + 1] == pytest.approx([*expected, 1.0])
        assert not values[line][len(text) + 1 :].any()


def test_compact_keeps_the_order():
    assert compact(torch.tensor([[0, 3, 0, 1], [2, 0, 0, 0]])).tolist() == [[3, 1], [2, 0]]
    assert compact(torch.zeros(2, 3, dtype=torch.long)).shape == (2, 0)
