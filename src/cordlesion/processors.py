"""How much of the machine this process may use (leaf, standard library only)."""

import os


def available_processors() -> int:
    """Count the processors this process may use, which a container or a scheduler limits."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
