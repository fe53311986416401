"""What a generator of hostile inputs hands to ``fuzz_inputs.py``.

A module of this folder takes part when it has ``GENERATORS``: names of kinds, each with a function that writes one
mutated input. It may have ``prepare(common)``, called once: it writes the valid files that cases are made from.
A generator is called in an empty folder of its own; what its command writes belongs into ``folder / "out"``, where
the driver looks for maps (``*.nii.gz``) that are not finite. All randomness comes from ``rng``.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np


@dataclass(frozen=True)
class Case:
    """One mutated input and what is done with it."""

    name: str
    """What was done to the input, such as ``dim[1] = -1``."""
    command: tuple[str, ...]
    """What follows ``cordlesion`` on the command line."""
    function: str = ""
    """``module:function``, which is called with the paths in ``command`` in place of the command line."""


Generator: TypeAlias = Callable[[np.random.Generator, Path, Path], Case]
"""Called with (rng, common, folder): ``common`` holds what ``prepare`` wrote and is not written to."""
