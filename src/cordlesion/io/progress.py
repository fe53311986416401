"""Progress bars for anything longer than two seconds; silent with ``--quiet`` (leaf module, rich imported on use)."""

import contextlib
from collections.abc import Callable, Iterable, Iterator
from contextvars import ContextVar
from typing import TypeVar

T = TypeVar("T")

_quiet: ContextVar[bool] = ContextVar("quiet", default=True)


@contextlib.contextmanager
def shown(quiet: bool = False) -> Iterator[None]:
    """Show progress inside this context (for the command line; the Python API is silent)."""
    token = _quiet.set(quiet)
    try:
        yield
    finally:
        _quiet.reset(token)


def is_shown() -> bool:
    """Return whether messages are printed."""
    return not _quiet.get()


def show_message(message: str) -> None:
    """Print one line about the progress, unless quiet or the message is empty."""
    if message and not _quiet.get():
        _console_print(message)


@contextlib.contextmanager
def bar(description: str, total: int) -> Iterator[Callable[..., None]]:
    """Show one progress bar; the yielded function advances it: ``advance(steps=1, note="")``."""
    if _quiet.get():
        yield lambda *_args, **_kwargs: None
        return
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description:<28}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("[dim]{task.fields[note]}"),
    )
    with Progress(*columns) as progress:
        task = progress.add_task(description, total=total, note="")

        def advance(steps: int = 1, note: str = "") -> None:
            progress.update(task, advance=steps, note=note)

        yield advance


def track(items: Iterable[T], description: str, total: int) -> Iterator[T]:
    """Iterate over ``items`` with a bar of ``total`` steps."""
    with bar(description, total) as advance:
        for item in items:
            yield item
            advance()


def _console_print(message: str) -> None:
    from rich.console import Console

    Console(highlight=False).print(message, markup=False, soft_wrap=True)
