"""What came of a unit of work: its result, or the sentence that states why there is none."""

import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from cordlesion.errors import CordlesionError, RunError
from cordlesion.io.reading import cannot_read

Item = TypeVar("Item")
Result = TypeVar("Result")
_LAST_LINES = 12


@dataclass(frozen=True)
class Outcome(Generic[Item, Result]):
    """What came of one item: a result, or the sentence that states why there is none."""

    item: Item
    result: Result | None
    fault: str = ""
    ends_run: bool = False
    """Whether the fault is one of the whole run (:class:`cordlesion.errors.RunError`), in another process."""


def attempt_short(work: Callable[[Item], Result], item: Item) -> Outcome[Item, Result]:
    """Apply ``work`` to one item, which is short: a file that cannot be used becomes the outcome's fault.

    Raises:
        RunError: The whole run has to end.
    """
    try:
        return Outcome(item, work(item))
    except RunError:
        raise
    except CordlesionError as error:
        return Outcome(item, None, str(error))
    except PermissionError as error:
        return Outcome(item, None, str(cannot_read(error.filename or str(item), error, "the right to use it")))


def attempt(work: Callable[[Item], Result], item: Item) -> Outcome[Item, Result]:
    """Apply ``work`` to one item, which takes hours: every error becomes the outcome's fault, and the others go on.

    Raises:
        RunError: The whole run has to end.
    """
    try:
        return attempt_short(work, item)
    except RunError:
        raise
    except Exception as error:
        return Outcome(item, None, last_lines("".join(traceback.format_exception(error))))


def outcomes_or_fault(
    do: Callable[[], Sequence[Outcome[Item, Result]]], items: Sequence[Item]
) -> list[Outcome[Item, Result]]:
    """Do work in another process: a fault of the whole run becomes an outcome, which can be sent to the first one."""
    try:
        return list(do())
    except RunError as fault:
        return [Outcome(item, None, str(fault), ends_run=True) for item in items]


def raise_run_fault(outcomes: Sequence[Outcome[Item, Result]]) -> list[Outcome[Item, Result]]:
    """Return the outcomes of other processes.

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
