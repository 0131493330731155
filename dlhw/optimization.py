"""The optimizer and the learning rate as a function of how much of the training is done."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from torch.nn import Parameter
from torch.optim import Optimizer

from dlhw.config import OptimConfig


@dataclass(frozen=True)
class Optimization:
    """How the weights of a task are updated.

    ``make`` builds the optimizer from parameters, ``lr`` and ``weight_decay``; ``settings`` are the knobs of ``conf/optim``.
    """

    make: Callable[..., Optimizer]
    settings: OptimConfig

    def optimizer(self, parameters: Iterable[Parameter]) -> Optimizer:
        return self.make(parameters, lr=self.settings.lr, weight_decay=self.settings.weight_decay)

    def rate(self, done: float) -> float:
        """The learning rate once the share ``done`` (0 to 1) of the training is behind: no state, so a resumed run has it right."""
        s = self.settings
        if done < s.warmup:
            return s.lr * done / s.warmup
        after_warmup = (done - s.warmup) / (1 - s.warmup)
        match s.schedule:
            case "constant":
                return s.lr
            case "cosine":
                return s.lr * 0.5 * (1 + math.cos(math.pi * min(after_warmup, 1.0)))
            case "onecycle":
                return s.lr * max(0.0, 1 - after_warmup)
            case "step":
                return s.lr * s.step_factor ** math.floor(done / s.step_every + 1e-9)
        raise ValueError(s.schedule)
