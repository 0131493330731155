"""From the outputs of a network to texts: the settings of all decoders, and what each of them gives."""

from dataclasses import dataclass

from torch import Tensor

from dlhw.errors import UserError
from dlhw.ranges import check, check_at_least

METHODS = ("greedy", "beam", "nucleus")


@dataclass(frozen=True)
class Decode:
    """The settings below ``task.decode``; which of them count depends on the method."""

    method: str = "greedy"
    validation: str = "greedy"  # the method after each epoch
    width: int = 10  # beam: hypotheses that are kept
    length_power: float = 0.0  # beam: hypotheses are ranked by log-probability / (symbols ** length_power)
    p: float = 0.8  # nucleus: probability of the set of symbols that is drawn from
    k: int = 3  # beam and nucleus: hypotheses that are handed out, and the k of wer@k
    seed: int = 0  # nucleus: of the draws
    lm_weight: float = 0.0  # beam of CTC: weight of log p(text) by an n-gram model of the training texts; 0 is none
    lm_order: int = 5  # of that model: letters of an n-gram
    symbol_bonus: float = 0.0  # beam of CTC: added to the score for each symbol of a text
    max_symbols: int = 50  # a text is cut after so many

    def __post_init__(self) -> None:
        for name in ("method", "validation"):
            if getattr(self, name) not in METHODS:
                raise UserError(f"task.decode.{name}={getattr(self, name)} is out of range: one of {', '.join(METHODS)}")
        check_at_least(1, "task.decode", width=self.width, k=self.k, max_symbols=self.max_symbols, lm_order=self.lm_order)
        if "beam" in (self.method, self.validation):
            check("task.decode", f"at most the width of the beam, {self.width}", lambda k: k <= self.width, k=self.k)
        check("task.decode", "above 0, up to 1", lambda p: 0 < p <= 1, p=self.p)
        check_at_least(0, "task.decode", length_power=self.length_power, lm_weight=self.lm_weight)
        check("task.decode", "0 or more, below 2**63", lambda seed: 0 <= seed < 2**63, seed=self.seed)


@dataclass(frozen=True)
class Hypotheses:
    """What a decoder gives for a batch of B inputs, n texts of up to T symbols each.

    The first of the n is the answer: the best one, or with nucleus sampling the first that was drawn (the others follow as drawn, so that
    neither the answer nor wer@k has seen the scores). Texts that do not exist (fewer than n were found) are empty, with score -inf.
    """

    ids: Tensor  # int64 (B, n, T): symbols, the end, padding
    scores: Tensor  # float (B, n): log-probability of the text in nats
    confidence: Tensor  # float (B, T): probability of each symbol of the answer (and of its end), 0 where there is padding
