"""Work on this machine: scans in parallel threads, networks one after the other, trainings as devices allow."""

import contextlib
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import Context, copy_context
from typing import Protocol, TypeVar

from cordlesion.errors import CordlesionError
from cordlesion.execution.devices import Sharing, training_slots
from cordlesion.execution.outcome import Item, Outcome, Result, attempt, attempt_short
from cordlesion.execution.side_by_side import map_side_by_side
from cordlesion.io.processors import available_processors
from cordlesion.io.progress import track


class Unit(Protocol):
    """A piece of a stage's work with a done-marker of its own, small enough to be sent to another machine."""

    @property
    def unit(self) -> str:
        """Its name in the stage."""


Piece = TypeVar("Piece", bound=Unit)


class Executor(Protocol):
    """Where a study's work happens.

    Every method applies ``work`` to every item; both must be picklable. An item that fails does not stop the others,
    unless the whole run has to end (:class:`cordlesion.errors.RunError`).
    """

    @property
    def maps_at_once(self) -> int:
        """Predict as soon as so many maps are pending: 1 (method by method), or as many as a job array holds."""

    def each_scan(
        self, work: Callable[[Piece], Result], items: Sequence[Piece], description: str
    ) -> list[Outcome[Piece, Result]]:
        """Do short work without a network: several at a time."""

    def each_map(
        self, work: Callable[[Piece], Result], items: Sequence[Piece], description: str
    ) -> list[Outcome[Piece, Result]]:
        """Do short work with a network, which uses the whole device: one after the other."""

    def each_training(
        self, work: Callable[[Piece], Result], items: Sequence[Piece], sharing: Sharing
    ) -> list[Outcome[Piece, Result]]:
        """Do long work with a network: as many at a time as share a device."""


class LocalExecutor:
    """Does all work on this machine."""

    maps_at_once = 1

    def each_scan(
        self, work: Callable[[Piece], Result], items: Sequence[Piece], description: str
    ) -> list[Outcome[Piece, Result]]:
        """See :class:`Executor`."""
        return map_scans(work, items, description)

    def each_map(
        self, work: Callable[[Piece], Result], items: Sequence[Piece], description: str
    ) -> list[Outcome[Piece, Result]]:
        """See :class:`Executor`."""
        return [attempt_short(work, item) for item in track(items, description, len(items))] if items else []

    def each_training(
        self, work: Callable[[Piece], Result], items: Sequence[Piece], sharing: Sharing
    ) -> list[Outcome[Piece, Result]]:
        """See :class:`Executor`.

        Raises:
            CordlesionError: A training needs several machines.
        """
        if items and sharing.nodes_per_run > 1:
            raise CordlesionError(
                f"`cluster.nodes` asks for {sharing.nodes_per_run} machines per training, and --executor local has "
                "only this one. Use --executor slurm, or leave it out: models are the same but for rounding."
            )
        slots = training_slots(sharing)
        if len(slots) == 1 or len(items) < 2:
            return [attempt(work, item) for item in items]
        return map_side_by_side(work, items, slots)


LOCAL = LocalExecutor()
_TURN_S = 0.0005


def map_scans(work: Callable[[Item], Result], items: Sequence[Item], description: str) -> list[Outcome[Item, Result]]:
    """Apply ``work`` to every item; an item that cannot be used does not stop the others.

    Args:
        work: Reads and computes mostly outside the interpreter lock (zlib, numpy), so threads suffice.
        items: Scans, or what stands for them.
        description: Label of the progress bar.

    Returns:
        Outcomes in the order of ``items``.

    Raises:
        RunError: The whole run has to end; items that wait are not started.
    """

    def note(item: Item, context: Context) -> Outcome[Item, Result]:
        return context.run(attempt_short, work, item)

    # A thread starts without its caller's context, which holds whether work may print.
    contexts = [copy_context() for _ in items]
    with ThreadPoolExecutor(available_processors()) as pool, _short_turns():
        return list(track(pool.map(note, items, contexts), description, len(items)))


@contextlib.contextmanager
def _short_turns() -> Iterator[None]:
    """Have threads hand over the interpreter ten times as often as by default.

    A thread that reads a file needs it for moments, between pieces that are decompressed without it, and would wait for
    each of them as long as the other threads compute.
    """
    before = sys.getswitchinterval()
    sys.setswitchinterval(min(before, _TURN_S))
    try:
        yield
    finally:
        sys.setswitchinterval(before)


def stream_scans(work: Callable[[Item], Result], items: Sequence[Item], description: str) -> Iterator[Result]:
    """Apply ``work`` to every item and yield the results one by one, for results that are summed up and not kept.

    Args:
        work: As for :func:`map_scans`.
        items: Scans, or what stands for them; all of them must be usable.
        description: Label of the progress bar.

    Yields:
        Results in the order of ``items``.

    Raises:
        CordlesionError: The first one that ``work`` raised.
    """
    contexts = [copy_context() for _ in items]
    with ThreadPoolExecutor(available_processors()) as pool, _short_turns():
        results = pool.map(lambda item, context: context.run(work, item), items, contexts)
        yield from track(results, description, len(items))
