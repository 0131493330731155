"""Muon against the singular value decomposition, a float64 reference and torch's AdamW."""

import io

import numpy as np
import pytest
import torch
from torch import nn

from dlhw.muon import Muon, orthogonalized


@pytest.mark.parametrize("precision", ["float32", "autocast"])
@pytest.mark.parametrize("shape", [(8, 8), (16, 75), (64, 288), (96, 24), (1, 5), (5, 1)])
def test_orthogonalized_keeps_the_singular_vectors_and_evens_out_the_values(shape, precision):
    matrix = 1e-3 * torch.randn(*shape, generator=torch.Generator().manual_seed(0))
    u, _, vh = torch.linalg.svd(matrix, full_matrices=False)
    with torch.autocast("cpu", torch.bfloat16, enabled=precision == "autocast"):
        result = orthogonalized(matrix)
    assert result.shape == shape and result.dtype == torch.float32
    between = u.T @ result @ vh.T  # of U and V: diagonal, if these are the result's singular vectors too
    values = between.diag()
    assert values.min() > 0.6 and values.max() < 1.3
    off = (between - values.diag()).abs().max()
    assert off < (1e-4 if precision == "float32" else 0.05)


def test_orthogonalized_of_zeros_and_of_a_single_direction():
    assert torch.equal(orthogonalized(torch.zeros(3, 4)), torch.zeros(3, 4))
    one = torch.outer(torch.arange(1.0, 7), torch.arange(-4.0, 5))
    result = orthogonalized(one)
    torch.testing.assert_close(result / result.norm(), one / one.norm(), atol=1e-3, rtol=0)


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 5, 3), nn.ReLU(), nn.Conv2d(5, 4, 3), nn.Flatten(), nn.Linear(16, 7), nn.Linear(7, 2))


def with_gradients(net: nn.Module, step: int) -> None:
    generator = torch.Generator().manual_seed(step)
    for p in net.parameters():
        p.grad = torch.randn(p.shape, generator=generator, dtype=p.dtype)


def stepped(net: nn.Module, optimizer: torch.optim.Optimizer, steps: range) -> list[torch.Tensor]:
    for step in steps:
        with_gradients(net, step)
        optimizer.step()
    return [p.detach().clone() for p in net.parameters()]


def is_filter(p: torch.Tensor) -> bool:
    return p.ndim > 2


def test_filters_follow_the_published_rule():
    """In float64 by numpy: Nesterov's momentum, Newton-Schulz on it divided by its norm, a filter bank of fixed norm."""
    net, lr, m = network(), 0.05, 0.8
    filters = [p for p in net.parameters() if is_filter(p)]
    weights = [p.detach().double().numpy().copy() for p in filters]
    momenta = [np.zeros_like(w) for w in weights]
    optimizer = Muon(net.parameters(), lr=lr, momentum=m)
    for step in range(4):
        with_gradients(net, step)
        optimizer.step()
        for k, p in enumerate(filters):
            gradient = p.grad.double().numpy()
            momenta[k] = m * momenta[k] + gradient
            x = (gradient + m * momenta[k]).reshape(len(gradient), -1)
            x /= np.linalg.norm(x)
            for _ in range(5):
                a = x @ x.T
                x = 3.4445 * x - 4.7750 * a @ x + 2.0315 * a @ a @ x
            weights[k] *= np.sqrt(len(gradient)) / np.linalg.norm(weights[k])
            weights[k] -= lr * x.reshape(gradient.shape)
            np.testing.assert_allclose(p.detach().numpy(), weights[k], rtol=1e-4, atol=1e-5)


def test_filters_keep_their_norm():
    net, lr = network(), 0.05
    optimizer = Muon(net.parameters(), lr=lr)
    for step in range(30):
        stepped(net, optimizer, range(step, step + 1))
        for p in filter(is_filter, net.parameters()):
            assert p.norm().item() == pytest.approx(len(p) ** 0.5, rel=1.3 * lr)


def test_filters_of_zeros_are_trained():
    p = nn.Parameter(torch.zeros(4, 3, 3, 3))
    optimizer = Muon([p], lr=0.1)
    p.grad = torch.randn(p.shape)
    optimizer.step()
    torch.testing.assert_close(p, -0.1 * orthogonalized((1.9 * p.grad).reshape(4, -1)).view_as(p))


@pytest.mark.parametrize("default", [torch.float32, torch.bfloat16], ids=["float32", "bfloat16"])
@pytest.mark.parametrize("fused", [False, True], ids=["foreach", "fused"])
def test_all_else_is_updated_as_by_torchs_adamw(default, fused):
    ours, theirs = network(), network()
    muon = Muon(ours.parameters(), lr=0.06, rest=0.5, weight_decay=0.1, betas=(0.8, 0.998), eps=1e-6, fused=fused)
    rest = [p for p in theirs.parameters() if not is_filter(p)]
    adamw = torch.optim.AdamW(rest, lr=0.03, weight_decay=0.1, betas=(0.8, 0.998), eps=1e-6, fused=fused)
    torch.set_default_dtype(default)  # as in a training with bf16-true, where a count of steps must not be rounded
    try:
        got, expected = (stepped(net, optimizer, range(300)) for net, optimizer in ((ours, muon), (theirs, adamw)))
    finally:
        torch.set_default_dtype(torch.float32)
    for a, b in zip(got, expected, strict=True):
        assert is_filter(a) or torch.equal(a, b)


def test_the_learning_rate_of_a_schedule_reaches_both():
    one, other = network(), network()
    scheduled, fixed = Muon(one.parameters(), lr=1.0, rest=0.2), Muon(other.parameters(), lr=0.01, rest=0.2)
    for group in scheduled.param_groups:
        group["lr"] = 0.01
    for a, b in zip(stepped(one, scheduled, range(3)), stepped(other, fixed, range(3)), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("fused", [False, True], ids=["foreach", "fused"])
def test_a_saved_state_goes_on_bit_for_bit(fused):
    net, copy = network(), network()
    optimizer = Muon(net.parameters(), lr=0.02, weight_decay=0.01, fused=fused)
    stepped(net, optimizer, range(3))
    file = io.BytesIO()
    torch.save({"net": net.state_dict(), "optimizer": optimizer.state_dict()}, file)
    whole = stepped(net, optimizer, range(3, 6))
    file.seek(0)
    saved = torch.load(file, weights_only=True)
    copy.load_state_dict(saved["net"])
    resumed = Muon(copy.parameters(), lr=0.7, fused=fused)
    resumed.load_state_dict(saved["optimizer"])
    for a, b in zip(whole, stepped(copy, resumed, range(3, 6)), strict=True):
        assert torch.equal(a, b)


def test_weight_decay_is_of_adamws_weights_alone():
    plain, decayed = network(), network()
    without, with_decay = Muon(plain.parameters(), lr=0.1, rest=1.0), Muon(decayed.parameters(), lr=0.1, rest=1.0, weight_decay=0.5)
    for a, b in zip(stepped(plain, without, range(1)), stepped(decayed, with_decay, range(1)), strict=True):
        assert torch.equal(a, b) == is_filter(a)
    before = [p.detach().clone() for p in decayed.parameters()]
    for p in decayed.parameters():
        p.grad = torch.zeros_like(p)
    fresh = Muon(decayed.parameters(), lr=0.1, rest=1.0, weight_decay=0.5)
    fresh.step()
    for p, old in zip(decayed.parameters(), before, strict=True):
        torch.testing.assert_close(p, old * len(p) ** 0.5 / old.norm() if is_filter(p) else old * (1 - 0.1 * 0.5))


def test_a_weight_without_a_gradient_is_left_alone():
    net = network()
    optimizer = Muon(net.parameters(), lr=0.1, weight_decay=0.1)
    frozen = [net[0].weight, net[0].bias, net[4].weight]
    before = [p.detach().clone() for p in net.parameters()]
    with_gradients(net, 0)
    for p in frozen:
        p.grad = None
    optimizer.step()
    for p, old in zip(net.parameters(), before, strict=True):
        left = any(p is one for one in frozen)
        assert torch.equal(p, old) == left and (p in optimizer.state) != left


@pytest.mark.parametrize("chosen", [is_filter, lambda p: not is_filter(p)], ids=["filters", "others"])
def test_one_kind_of_weights_alone(chosen):
    net = network()
    optimizer = Muon([p for p in net.parameters() if chosen(p)], lr=0.1)
    before = [p.detach().clone() for p in net.parameters()]
    after = stepped(net, optimizer, range(1))
    assert [not torch.equal(a, b) for a, b in zip(after, before, strict=True)] == [chosen(p) for p in before]


def test_a_closure_is_called_with_gradients_enabled():
    net = network()
    optimizer = Muon(net.parameters(), lr=0.1)

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = net(torch.ones(2, 3, 6, 6)).square().mean()
        loss.backward()
        return loss

    first = optimizer.step(closure)
    assert optimizer.step(closure) < first
