"""Two ways of doing the same, turn by turn in one process: what else the machine does falls on both alike."""

import statistics
import time
from collections.abc import Iterator, Sequence


def rates(loops: Sequence[Iterator[int]], steps: int, rounds: int) -> list[list[float]]:
    """Samples per second of two trainings, which yield the samples of each step, over ``steps`` steps a turn; the first one warms up."""
    found: list[list[float]] = [[], []]
    for turn in range(-1, rounds):
        for which in (0, 1) if turn % 2 == 0 else (1, 0):
            begin = time.perf_counter()
            samples = sum(next(loops[which]) for _ in range(steps))
            if turn >= 0:
                found[which].append(samples / (time.perf_counter() - begin))
    return found


def row(what: str, values: Sequence[Sequence[float]], sign: int = 1) -> dict[str, object]:
    """A row of a table from ours and the peer's values; ``sign`` is -1 where less is better."""
    ratios = [(a / b) ** sign for a, b in zip(*values, strict=True)]
    return {
        "what": what,
        "ours": round(statistics.median(values[0]), 1),
        "peer": round(statistics.median(values[1]), 1),
        "times faster": round(statistics.median(ratios), 2),
        "least": round(min(ratios), 2),
        "most": round(max(ratios), 2),
    }
