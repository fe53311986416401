"""Work on this machine: scans side by side in threads, networks one after the other, trainings as devices allow."""

import traceback
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import Context, copy_context
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from cordlesion.errors import CordlesionError, RunError
from cordlesion.execution.devices import Sharing, training_slots
from cordlesion.io.processors import available_processors
from cordlesion.io.progress import track
from cordlesion.io.reading import cannot_read

Item = TypeVar("Item")
Result = TypeVar("Result")
_LAST_LINES = 12


@dataclass(frozen=True)
class Outcome(Generic[Item, Result]):
    """What came of one item: a result, or the sentence that says why not."""

    item: Item
    result: Result | None
    fault: str = ""
    ends_run: bool = False
    """Whether the fault is one of the whole run (:class:`cordlesion.errors.RunError`), in another process."""


class Unit(Protocol):
    """A piece of a stage's work with a done-marker of its own, small enough to be sent to another machine."""

    @property
    def unit(self) -> str:
        """Its name in the stage."""


Piece = TypeVar("Piece", bound=Unit)


class Executor(Protocol):
    """Where a study's work happens.

    Every method applies ``work`` to every item; both can be pickled. One that fails is noted and does not stop the
    others, unless the whole run has to end (:class:`cordlesion.errors.RunError`).
    """

    @property
    def maps_at_once(self) -> int:
        """With so many maps at hand, more are not waited for: those of one method, or what an array holds."""

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
        return [_noted(work, item) for item in track(items, description, len(items))] if items else []

    def each_training(
        self, work: Callable[[Piece], Result], items: Sequence[Piece], sharing: Sharing
    ) -> list[Outcome[Piece, Result]]:
        """See :class:`Executor`.

        Raises:
            CordlesionError: A training is to have several machines.
        """
        if items and sharing.nodes_per_run > 1:
            raise CordlesionError(
                f"`cluster.nodes` asks for {sharing.nodes_per_run} machines per training, and --executor local has "
                "this one alone. Use --executor slurm, or leave it out: models are the same but for rounding."
            )
        slots = training_slots(sharing)
        if len(slots) == 1 or len(items) < 2:
            return [attempt(work, item) for item in items]
        from cordlesion.execution.side_by_side import map_side_by_side

        return map_side_by_side(work, items, slots)


LOCAL = LocalExecutor()


def map_scans(work: Callable[[Item], Result], items: Sequence[Item], description: str) -> list[Outcome[Item, Result]]:
    """Apply ``work`` to every item; one unusable item is noted and does not stop the others.

    Args:
        work: Reads and computes mostly outside the interpreter lock (zlib, numpy), so threads suffice.
        items: Scans, or whatever stands for them.
        description: Text beside the progress bar.

    Returns:
        Outcomes in the order of ``items``.

    Raises:
        RunError: The whole run has to end: what waits is not begun.
    """

    def note(item: Item, context: Context) -> Outcome[Item, Result]:
        return context.run(_noted, work, item)

    # A thread starts without its caller's context, which says whether work may print.
    contexts = [copy_context() for _ in items]
    with ThreadPoolExecutor(available_processors()) as pool:
        return list(track(pool.map(note, items, contexts), description, len(items)))


def stream_scans(work: Callable[[Item], Result], items: Sequence[Item], description: str) -> Iterator[Result]:
    """Apply ``work`` to every item and yield the results one by one, for what is summed up and not to be kept.

    Args:
        work: As for :func:`map_scans`.
        items: Scans, or whatever stands for them; none of them may be unusable.
        description: Text beside the progress bar.

    Yields:
        Results in the order of ``items``, whatever the order in which they are ready.

    Raises:
        CordlesionError: The first one that ``work`` raised.
    """
    contexts = [copy_context() for _ in items]
    with ThreadPoolExecutor(available_processors()) as pool:
        results = pool.map(lambda item, context: context.run(work, item), items, contexts)
        yield from track(results, description, len(items))


def attempt(work: Callable[[Item], Result], item: Item) -> Outcome[Item, Result]:
    """Apply ``work`` to one item, which takes hours: whatever goes wrong is noted, and the others go on."""
    try:
        return _noted(work, item)
    except RunError:
        raise
    except Exception as error:
        return Outcome(item, None, last_lines("".join(traceback.format_exception(error))))


def carried(do: Callable[[], Sequence[Outcome[Item, Result]]], items: Sequence[Item]) -> list[Outcome[Item, Result]]:
    """Do work of another process: a fault of the whole run becomes an outcome, which can be sent to the first one."""
    try:
        return list(do())
    except RunError as fault:
        return [Outcome(item, None, str(fault), ends_run=True) for item in items]


def require_run(outcomes: Sequence[Outcome[Item, Result]]) -> list[Outcome[Item, Result]]:
    """Return outcomes of other processes.

    Raises:
        RunError: One of them is a fault of the whole run.
    """
    for outcome in outcomes:
        if outcome.ends_run:
            raise RunError(outcome.fault)
    return list(outcomes)


def last_lines(log: str) -> str:
    """Return the end of a log, indented as it stands below a sentence."""
    return "\n".join(f"    {line}" for line in log.strip().splitlines()[-_LAST_LINES:])


def _noted(work: Callable[[Item], Result], item: Item) -> Outcome[Item, Result]:
    try:
        return Outcome(item, work(item))
    except RunError:
        raise
    except CordlesionError as error:
        return Outcome(item, None, str(error))
    except PermissionError as error:
        return Outcome(item, None, str(cannot_read(error.filename or str(item), error, "the right to use it")))
