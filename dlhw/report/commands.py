"""Commands of this project, each in a process of its own; torch and what stands on it, seconds to import, are imported once for all.

A server process imports them and forks (``multiprocessing``'s forkserver); where there is none, on Windows, each process imports them.
"""

import io
import multiprocessing
import os
import runpy
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from multiprocessing.connection import Connection

from dlhw.launch import let_idle_threads_wait_briefly

IMPORTED = ["dlhw.training", "dlhw.explain.command"]  # by the server, with all that they import; no program, which would be run twice


class Command:
    """A Python file, or a module of this package, started with arguments. What it prints is shown, or listened to."""

    def __init__(self, program: str, arguments: Sequence[str], listen: bool = False) -> None:
        let_idle_threads_wait_briefly()
        forks = "forkserver" in multiprocessing.get_all_start_methods()
        context = multiprocessing.get_context("forkserver") if forks else multiprocessing.get_context("spawn")
        context.set_forkserver_preload(IMPORTED)
        self._receiver, sender = context.Pipe(duplex=False)
        self._process = context.Process(target=_run, args=(program, arguments, sender if listen else None))
        self._process.start()
        sender.close()  # the other end is the process's alone, so that its end is noticed

    def lines(self) -> Iterator[str]:
        """Each line that it prints, as it prints it, until it has ended."""
        rest = ""
        with self._stopped_with_this():
            while True:
                try:
                    *lines, rest = (rest + self._receiver.recv()).split("\n")
                except EOFError:
                    return
                yield from lines

    def status(self) -> int:
        """Its exit status, once it has ended; 128 and the number of a signal that has ended it, as in a shell."""
        with self._stopped_with_this():
            self._process.join()
        status = self._process.exitcode
        assert status is not None
        return status if status >= 0 else 128 - status

    @contextmanager
    def _stopped_with_this(self) -> Iterator[None]:
        """A SIGTERM for this process goes to the other (a Ctrl-C reaches both), which is waited for in any case."""
        before = signal.signal(signal.SIGTERM, lambda *_: self._process.terminate())
        try:
            yield
        finally:
            self._process.join()
            signal.signal(signal.SIGTERM, before)


class _Sent(io.TextIOBase):
    """A text file that sends what is written; where nobody is left to read it, the process is asked to stop."""

    def __init__(self, sender: Connection) -> None:
        self.sender, self.unheard = sender, False

    def write(self, text: str) -> int:
        try:
            if not self.unheard:
                self.sender.send(text)
        except BrokenPipeError:
            self.unheard = True
            os.kill(os.getpid(), signal.SIGTERM)
        return len(text)


def _run(program: str, arguments: Sequence[str], sender: Connection | None) -> None:
    """In the process: be ``python program arguments``, or ``python -m`` where it is a module."""
    sys.argv = [program, *arguments]
    if sender is None:
        _start(program)
        return
    with redirect_stdout(_Sent(sender)), redirect_stderr(_Sent(sender)):
        _start(program)


def _start(program: str) -> None:
    if program.endswith(".py"):
        runpy.run_path(program, run_name="__main__")
    else:
        runpy.run_module(program, run_name="__main__", alter_sys=True)
