"""How much of the machine this process may use (leaf, standard library only)."""

import multiprocessing
import os
import signal
import threading


def available_processors() -> int:
    """Count the processors this process may use, which a container or a scheduler limits."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def end_with_the_first() -> None:
    """End this process, which another one has started, when that one ends, however it ends; Ctrl-C is for that one."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_await_the_first, daemon=True).start()


def _await_the_first() -> None:
    first = multiprocessing.parent_process()
    assert first is not None
    first.join()
    os._exit(1)
