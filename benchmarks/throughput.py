"""Training throughput of ours against the peers: each variant in a process of its own, the two of a pair in turn."""

import multiprocessing as mp
import statistics
from dataclasses import dataclass
from multiprocessing.connection import Connection

from dlhw.launch import let_idle_threads_wait_briefly

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
        return f"{self.model}: {self.a} ({self.precision_a}) / {self.b} ({self.precision_b})"


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
    """Images per second of both, turn by turn, and the ratio a/b of each turn."""
    workers = [_start(pair.a, pair.model, pair.precision_a), _start(pair.b, pair.model, pair.precision_b)]
    rates: list[list[float]] = [[], []]
    for turn in range(rounds):
        for which in (0, 1) if turn % 2 == 0 else (1, 0):
            workers[which].send(seconds)
            rates[which].append(workers[which].recv())
    for worker in workers:
        worker.send(None)
    ratios = [a / b for a, b in zip(*rates, strict=True)]
    return {
        "pair": str(pair),
        "a images/s": round(statistics.median(rates[0])),
        "b images/s": round(statistics.median(rates[1])),
        "ratio": round(statistics.median(ratios), 2),
        "least": round(min(ratios), 2),
        "most": round(max(ratios), 2),
        "target": "-" if pair.target is None else pair.target,
    }


def _start(variant: str, model: str, precision: str) -> Connection:
    here, there = mp.Pipe()
    mp.get_context("spawn").Process(target=_work, args=(there, variant, model, precision), daemon=True).start()
    return here


def _work(turns: Connection, variant: str, model: str, precision: str) -> None:
    if variant in OURS:
        let_idle_threads_wait_briefly()
    from benchmarks.peers import VARIANTS

    while (seconds := turns.recv()) is not None:
        turns.send(VARIANTS[variant](model, precision, seconds))
