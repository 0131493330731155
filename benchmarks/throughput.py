"""Training throughput of ours against the peers, on pictures of blood cells."""

from dataclasses import dataclass

from benchmarks.turns import Variant, rates, row

OURS = ("ours", "bare")  # as train.py starts; the peers as python does


@dataclass(frozen=True)
class Pair:
    """``a`` against ``b`` on one model, each with its precision; ``target`` is the ratio of the medians that is aimed at."""

    model: str
    a: str
    precision_a: str
    b: str
    precision_b: str
    target: float | None

    def __str__(self) -> str:
        return f"{self.model}: training, images/s ({self.a} in {self.precision_a} / {self.b} in {self.precision_b})"


def pairs(auto: str) -> list[Pair]:
    """The pairs of the project's targets; ``auto`` is what ``trainer.precision=auto`` picks on this machine.

    The targets of mixed precision are set for processors that compute in bf16; elsewhere ``cnn`` is timed without a target.
    """
    peers = ("plain", "template")
    full = "32-true"
    found = [Pair("cnn_pool", "ours", full, peer, full, 2.2) for peer in peers]
    if auto == full:
        found += [Pair("cnn", "ours", full, peer, full, None) for peer in peers]
    else:
        found += [Pair("cnn_pool", "ours", auto, peer, full, 4.5) for peer in peers]
        found += [Pair("cnn", "ours", auto, peer, full, 4.0) for peer in peers]
    return [*found, Pair("cnn_pool", "ours", auto, "bare", auto, 0.95)]


def measure(pair: Pair, rounds: int, seconds: float) -> dict[str, object]:
    """Images per second of both, turn by turn."""
    sides = ((pair.a, pair.precision_a), (pair.b, pair.precision_b))
    variants = [Variant("peers", name, (pair.model, precision), ours=name in OURS) for name, precision in sides]
    return row(str(pair), rates(variants, rounds, seconds), pair.target)
