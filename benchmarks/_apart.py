"""Runs a candidate in a separate process, so that settings of our process do not affect it."""

import contextlib
import multiprocessing
from collections.abc import Callable
from multiprocessing.connection import Connection


class Apart:
    """Work that is prepared once in a separate process and done there for each call."""

    def __init__(self, make: Callable[..., Callable[[], object]], *args: object) -> None:
        spawn = multiprocessing.get_context("spawn")
        self._ours, theirs = spawn.Pipe()
        spawn.Process(target=_serve, args=(theirs, make, args), daemon=True).start()
        theirs.close()

    def __call__(self) -> None:
        """Do the work once.

        Raises:
            EOFError: The process has ended; it has printed why.
        """
        self._ours.send(None)
        self._ours.recv()


def _serve(connection: Connection, make: Callable[..., Callable[[], object]], args: tuple[object, ...]) -> None:
    work = make(*args)
    with contextlib.suppress(EOFError):  # the parent process has ended
        while True:
            connection.recv()
            work()
            connection.send(None)
