"""Work on this machine: scans side by side in threads, trainings one after the other."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import Context, copy_context
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from cordlesion.errors import CordlesionError
from cordlesion.processors import available_processors
from cordlesion.progress import track

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Outcome(Generic[Item, Result]):
    """What came of one item: a result, or the sentence that says why not."""

    item: Item
    result: Result | None
    fault: str = ""


def map_scans(work: Callable[[Item], Result], items: Sequence[Item], description: str) -> list[Outcome[Item, Result]]:
    """Apply ``work`` to every item; one unusable item is noted and does not stop the others.

    Args:
        work: Reads and computes mostly outside the interpreter lock (zlib, numpy), so threads suffice.
        items: Scans, or whatever stands for them.
        description: Text beside the progress bar.

    Returns:
        Outcomes in the order of ``items``.
    """

    def attempt(item: Item, context: Context) -> Outcome[Item, Result]:
        try:
            return Outcome(item, context.run(work, item))
        except CordlesionError as error:
            return Outcome(item, None, str(error))

    # A thread starts without its caller's context, which says whether work may print.
    contexts = [copy_context() for _ in items]
    with ThreadPoolExecutor(available_processors()) as pool:
        return list(track(pool.map(attempt, items, contexts), description, len(items)))


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
    with ThreadPoolExecutor(available_processors()) as pool:
        yield from track(pool.map(work, items), description, len(items))


class Executor(Protocol):
    """Applies ``work`` to every item and returns the results in their order: how trainings are run."""

    def __call__(self, work: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
        """Do the work."""


def run_in_turn(work: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
    """Apply ``work`` to one item after the other, here: a training uses all processors by itself."""
    return [work(item) for item in items]


EXECUTORS: dict[str, Executor] = {"local": run_in_turn}
"""Where trainings happen, by the name that ``study run --executor`` takes."""
