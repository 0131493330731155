"""Several CTC networks agree on one text."""

import itertools
from dataclasses import replace

import pytest
import torch
from test_decoding_ctc import random_lines, text_probabilities

from dlhw.decoding import Decode
from dlhw.decoding.ngram import NGram
from dlhw.decoding.vote import exchanges, vote
from dlhw.models.crnn import CRNN
from dlhw.models.ensemble import Ensemble
from dlhw.specs import LineSpec
from dlhw.tasks.heads.ctc import CTC, outputs_of, text_losses


def test_exchanges_take_over_one_part():
    assert exchanges((1, 2, 3, 4), (1, 5, 3)) == [(1, 5, 3, 4), (1, 2, 3)]
    assert exchanges((1, 2), (1, 2)) == []
    assert exchanges((), (3,)) == [(3,)]


@pytest.mark.parametrize("weight", [0.0, 1.0])
def test_the_vote_is_the_best_text_under_the_mean_of_log_probabilities(weight):
    """With every text offered, it is found by brute force over all paths of every network."""
    model = NGram([(1, 2), (2, 1, 1)], symbols=3, order=2)
    for line in range(30):
        networks = [random_lines(30, steps, 3, seed=seed)[0][line] for seed, steps in ((0, 5), (1, 5), (2, 4))]
        truths = [text_probabilities(network.numpy()) for network in networks]
        scores = {
            text: sum(float(torch.tensor(truth[text]).log()) for truth in truths) / 3 + weight * model.log_p(text)
            for text in truths[0]
            if all(truth.get(text, 0) > 0 for truth in truths)
        }
        best = max(scores, key=lambda text: scores[text])
        text, score = vote(networks, [*scores], model, weight)
        assert text == best and score == pytest.approx(scores[best], abs=1e-5)


def test_parts_of_different_texts_come_together():
    """Three networks, each sure of its reading but in another place wrong: the text that none of them has read wins."""
    right = (1, 2, 3, 1, 2, 3)
    readings = [(1, 1, 3, 1, 2, 3), (1, 2, 3, 2, 2, 3), (1, 2, 3, 1, 2, 1)]
    networks = []
    for reading in readings:
        frames = torch.full((12, 4), 0.02)
        for step, (said, true) in enumerate(zip(reading, right, strict=True)):
            frames[2 * step, said], frames[2 * step + 1, 0] = 0.94, 0.94
            if said != true:
                frames[2 * step, said], frames[2 * step, true] = 0.6, 0.36
        networks.append(frames.log())
    assert vote(networks, readings)[0] == right
    assert vote(networks[:1], readings[:1])[0] == readings[0]


@pytest.mark.parametrize("settings", [Decode(method="beam", width=8, k=3), Decode()])
def test_an_ensemble_votes(settings):
    spec = LineSpec(8, tuple("abc"), 9)
    members = []
    for seed in range(3):
        torch.manual_seed(seed)
        members.append(CRNN(spec, channels=(4,), pools=((2, 2),), hidden=8, layers=1).eval())
    for net in members:
        torch.nn.init.normal_(net.classifier.weight, std=2.0)
    inputs = torch.rand(4, 1, 8, 20), torch.tensor([20, 17, 9, 3])
    head, net = CTC(), Ensemble(members).eval()
    calls = []
    for member in members:
        member.register_forward_hook(lambda *_: calls.append(1))
    texts = torch.tensor([[4, 5, 2], [4, 2, 0], [5, 5, 2], [2, 0, 0]])
    found, losses = head.evaluate(net, inputs, texts, settings)
    assert len(calls) == 3  # each of them reads the lines once
    assert found.ids.shape[1] == 1 and found.confidence.shape == found.ids[:, 0].shape
    with torch.no_grad():
        outputs = [(logits.log_softmax(dim=2), lengths) for logits, lengths in (member(inputs) for member in members)]
    mean = -torch.stack([text_losses(log_probs, lengths, found.ids[:, 0]) for log_probs, lengths in outputs]).mean(dim=0)
    assert torch.allclose(found.scores[:, 0], mean, atol=1e-4)
    assert torch.allclose(losses, torch.stack([text_losses(*one, texts) for one in outputs]).mean(dim=0))
    for (log_probs, lengths), line in itertools.product(outputs, range(4)):  # no network's own reading is better
        own = head.decoded(log_probs[line : line + 1], lengths[line : line + 1], replace(settings, k=1)).ids[:, 0]
        theirs = -torch.stack([text_losses(p[line : line + 1], n[line : line + 1], own) for p, n in outputs]).mean()
        assert theirs <= found.scores[line, 0] + 1e-4


def test_networks_with_other_steps_vote():
    """A step every two columns, and every four."""
    spec = LineSpec(8, tuple("abc"), 9)
    torch.manual_seed(0)
    members = [CRNN(spec, channels=(4,), pools=((2, wide),), hidden=8, layers=1).eval() for wide in (2, 4)]
    inputs = torch.rand(4, 1, 8, 20), torch.tensor([20, 17, 9, 8])
    found = CTC().decode(Ensemble(members).eval(), inputs, Decode(method="beam", width=8, k=3))
    with torch.no_grad():
        mean = -torch.stack([text_losses(*one, found.ids[:, 0]) for one in outputs_of(Ensemble(members), inputs)]).mean(dim=0)
    assert torch.allclose(found.scores[:, 0], mean, atol=1e-4) and found.confidence.shape == found.ids[:, 0].shape
