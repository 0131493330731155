"""Muon for the filters of convolutions, AdamW for all else.

Muon (Jordan et al., 2024, https://kellerjordan.github.io/posts/muon/) replaces the momentum of a weight matrix by the nearest
orthogonal matrix, found by Newton-Schulz iterations. As in the same author's airbench, each filter bank keeps a fixed norm, so it needs
no weight decay. ``torch.optim.Muon`` takes two-dimensional weights only.
"""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.adamw import adamw


class Muon(Optimizer):
    """Weights of three or more dimensions are updated by Muon, all others by AdamW.

    Args:
        lr: learning rate of Muon: the share by which an update turns a filter bank.
        weight_decay: of AdamW's weights.
        momentum: of Muon, with Nesterov's correction.
        rest: learning rate of AdamW as a multiple of ``lr``.
        betas, eps: of AdamW.
        fused: whether AdamW's update is one kernel.
    """

    def __init__(
        self,
        params: Iterable[Tensor],
        *,
        lr: float,
        weight_decay: float = 0.0,
        momentum: float = 0.9,
        rest: float = 0.1,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        fused: bool = False,
    ) -> None:
        params = list(params)
        of_adamw = {"weight_decay": weight_decay, "betas": tuple(betas), "eps": eps, "fused": fused}
        defaults = {"lr": lr, "rest": rest, "momentum": momentum, **of_adamw}
        filters = [p for p in params if p.ndim > 2]
        others = [p for p in params if p.ndim <= 2]
        groups = [{"params": filters, "muon": True}, {"params": others, "muon": False}]
        super().__init__([group for group in groups if group["params"]], defaults)

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            weights = [p for p in group["params"] if p.grad is not None]
            if group["muon"]:
                for p in weights:
                    self._muon(p, group)
            elif weights:
                self._adamw(weights, group)
        return loss

    def _muon(self, p: Tensor, group: dict[str, Any]) -> None:
        state, rows, grad = self.state[p], len(p), p.grad
        assert grad is not None
        if not state:
            state["momentum"] = torch.zeros_like(p)
        momentum = state["momentum"].mul_(group["momentum"]).add_(grad)
        direction = torch.add(grad, momentum, alpha=group["momentum"])
        p.mul_(rows**0.5 / p.norm().clamp(min=1e-7))  # weights of zeros stay such
        p.add_(orthogonalized(direction.reshape(rows, -1)).view_as(p), alpha=-group["lr"])

    def _adamw(self, weights: list[Tensor], group: dict[str, Any]) -> None:
        for p in weights:
            if not self.state[p]:
                place = p.device if group["fused"] else "cpu"  # where each kind of update wants it
                step = torch.zeros((), dtype=torch.float32, device=place)  # whatever the default type is: bfloat16 counts to 256 only
                self.state[p] |= {"step": step, "exp_avg": torch.zeros_like(p), "exp_avg_sq": torch.zeros_like(p)}
        states = [self.state[p] for p in weights]
        beta1, beta2 = group["betas"]
        adamw(
            weights,
            [p.grad for p in weights if p.grad is not None],
            [state["exp_avg"] for state in states],
            [state["exp_avg_sq"] for state in states],
            [],
            [state["step"] for state in states],
            foreach=not group["fused"],
            fused=group["fused"],
            amsgrad=False,
            beta1=beta1,
            beta2=beta2,
            lr=group["lr"] * group["rest"],
            weight_decay=group["weight_decay"],
            eps=group["eps"],
            maximize=False,
        )


def orthogonalized(matrix: Tensor, steps: int = 5) -> Tensor:
    """About U V' of the singular value decomposition U S V' of a matrix.

    Singular values above 1/500 of the matrix's norm end between 0.6 and 1.3, lower ones below. Under autocast the products are
    taken in the lower precision, which is enough for that.
    """
    x = matrix / (matrix.norm() + 1e-7)
    if tall := x.shape[0] > x.shape[1]:
        x = x.T
    for _ in range(steps):
        a = x @ x.T
        x = 3.4445 * x + (2.0315 * a @ a - 4.7750 * a) @ x
    return x.T if tall else x
