"""Work on this machine: scans side by side in threads, trainings one after the other."""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Generic, TypeVar

from cordlesion.errors import CordlesionError
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

    def attempt(item: Item) -> Outcome[Item, Result]:
        try:
            return Outcome(item, work(item))
        except CordlesionError as error:
            return Outcome(item, None, str(error))

    with ThreadPoolExecutor(_processors()) as pool:
        return list(track(pool.map(attempt, items), description, len(items)))


def _processors() -> int:
    """Count the processors this process may use, which a container or a scheduler limits."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
