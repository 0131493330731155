"""Two ways of doing the same, turn by turn, each in a process of its own: what else the machine does falls on both alike, and what one
has set for its process (allocator, threads) does not help the other.
"""

import multiprocessing as mp
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from multiprocessing.connection import Connection

from dlhw.launch import let_idle_threads_wait_briefly


@dataclass(frozen=True)
class Variant:
    """A function of ``benchmarks.<module>``, of ``arguments`` and the seconds of a turn, that returns samples per second.

    ``ours`` starts its process as train.py does, else as python does.
    """

    module: str
    function: str
    arguments: tuple[str, ...]
    ours: bool = False


def rates(variants: Sequence[Variant], rounds: int, seconds: float) -> list[list[float]]:
    """Samples per second of two variants in each turn."""
    workers = [_start(variant) for variant in variants]
    found: list[list[float]] = [[], []]
    for turn in range(rounds):
        for which in (0, 1) if turn % 2 == 0 else (1, 0):
            workers[which].send(seconds)
            found[which].append(workers[which].recv())
    for worker in workers:
        worker.send(None)
    return found


def row(what: str, values: Sequence[Sequence[float]], target: object, sign: int = 1) -> dict[str, object]:
    """A row of a table from ours and the peer's values; ``sign`` is -1 where less is better."""
    ratios = [(a / b) ** sign for a, b in zip(*values, strict=True)]
    return {
        "what": what,
        "ours": round(statistics.median(values[0]), 1),
        "peer": round(statistics.median(values[1]), 1),
        "times faster": round(statistics.median(ratios), 2),
        "least": round(min(ratios), 2),
        "most": round(max(ratios), 2),
        "target": "-" if target is None else target,
    }


def _start(variant: Variant) -> Connection:
    here, there = mp.Pipe()
    mp.get_context("spawn").Process(target=_work, args=(there, variant), daemon=True).start()
    return here


def _work(turns: Connection, variant: Variant) -> None:
    if variant.ours:
        let_idle_threads_wait_briefly()  # before torch is imported
    function = getattr(import_module(f"benchmarks.{variant.module}"), variant.function)
    while (seconds := turns.recv()) is not None:
        turns.send(function(*variant.arguments, seconds))
