"""A candidate in a process of its own, as its users run it: nothing that ours sets for its process reaches it."""

import contextlib
import multiprocessing
from collections.abc import Callable
from multiprocessing.connection import Connection


class Apart:
    """Work that is made and done in a process of its own, as often as this is called, until this process ends."""

    def __init__(self, make: Callable[..., Callable[[], object]], *args: object) -> None:
        spawn = multiprocessing.get_context("spawn")
        self._ours, theirs = spawn.Pipe()
        spawn.Process(target=_serve, args=(theirs, make, args), daemon=True).start()
        theirs.close()

    def __call__(self) -> None:
        """Have the work done once.

        Raises:
            EOFError: The process has ended; it has printed why.
        """
        self._ours.send(None)
        self._ours.recv()


def _serve(connection: Connection, make: Callable[..., Callable[[], object]], args: tuple[object, ...]) -> None:
    work = make(*args)
    with contextlib.suppress(EOFError):  # the end of the process that asks
        while True:
            connection.recv()
            work()
            connection.send(None)
