"""Runs of a sweep in worker processes: how a signal for the sweep reaches them, and how they end by it."""

import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

# Seconds for workers that the signal has reached, as Ctrl-C does, and for those that it had to be handed on to.
AT_ONCE, PATIENCE = 5.0, 60.0


@contextmanager
def handing_signals_on() -> Iterator[None]:
    """Within the block, SIGTERM and Ctrl-C end the workers first, each with its checkpoint written, then this process, with the exit status
    that shells expect.
    """
    before = {signum: signal.getsignal(signum) for signum in (signal.SIGTERM, signal.SIGINT)}
    for signum in before:
        signal.signal(signum, _end_all)
    try:
        yield
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)


def _end_all(signum: int, frame: FrameType | None) -> None:
    for other in (signal.SIGTERM, signal.SIGINT):
        signal.signal(other, signal.SIG_IGN)
    if signum == signal.SIGINT:
        _wait(AT_ONCE)
    for worker in multiprocessing.active_children():
        worker.terminate()
    _wait(PATIENCE)
    print(f"stopped by {signal.Signals(signum).name}; the same command goes on from there", file=sys.stderr, flush=True)
    sys.exit(128 + signum)


def _wait(seconds: float) -> None:
    until = time.monotonic() + seconds
    while multiprocessing.active_children() and time.monotonic() < until:
        time.sleep(0.05)


def end_worker(signum: int) -> None:
    """End this process where it is a worker: it would stay and wait for further runs."""
    if multiprocessing.current_process().name != "MainProcess":
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(128 + signum)
