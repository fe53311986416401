"""Objectives of users: a function whose parameters name the columns that it reads."""

import inspect
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, ClassVar, TypeAlias

import numpy as np
import pandas as pd

from cordlesion.errors import CordlesionError
from cordlesion.io.arrays import FloatArray
from cordlesion.metrics.columns import SCORE_COLUMNS
from cordlesion.threshold.objective import LesionFree, Objective, column_arrays

ObjectiveFunction: TypeAlias = Callable[..., Any]
"""Takes columns, each of shape (..., scans, cells), and returns scores of shape (..., cells)."""

_VOLUME = "reference_volume_mm3"
_ROUNDING = 1e-9


@dataclass(frozen=True)
class OwnObjective(Objective):
    """A function of columns of the table.

    Its parameters are the names of the columns; a keyword-only parameter is its number, which the name of the objective
    gives after a colon. Lesion-free scans take part where one of the columns is defined for them.
    """

    lesion_free: ClassVar[LesionFree] = "counted"
    name: str
    """In messages: the import path, or the name of the function."""
    function: ObjectiveFunction
    parameters: tuple[str, ...]
    """The columns."""
    number: Mapping[str, float] = field(default_factory=dict)
    """The keyword-only parameter with its value, if the function has one."""
    is_number_named: bool = False
    """Whether the name of the objective gives the number."""

    @property
    def title(self) -> str:  # noqa: D102
        return own_title(self.name, *(self.number.values() if self.is_number_named else ()))

    @property
    def columns(self) -> tuple[str, ...]:  # noqa: D102
        return tuple(dict.fromkeys((*self.parameters, _VOLUME)))

    def measure(self, table: pd.DataFrame) -> FloatArray:  # noqa: D102
        return column_arrays(table, self.parameters)

    def summarize(self, measures: FloatArray) -> FloatArray:  # noqa: D102
        shape = (*measures.shape[1:-2], measures.shape[-1])
        try:
            with np.errstate(all="ignore"), warnings.catch_warnings():
                warnings.simplefilter("ignore", RuntimeWarning)  # of means over no scan
                scores: FloatArray = np.asarray(self.function(*measures, **self.number), dtype=np.float64)
        except (Exception, SystemExit) as error:  # the user's code can raise anything
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            raise CordlesionError(f"The objective {self.name} fails on columns of scans ({reason}).") from error
        if scores.shape != shape:
            raise CordlesionError(
                f"The objective {self.name} turns columns of the shape {measures.shape[1:]} into scores of the shape "
                f"{scores.shape}; {shape} is needed. Summarise over the scans: axis=-2."
            )
        if (scores > 1 + _ROUNDING).any():
            raise CordlesionError(
                f"The objective {self.name} gives {scores[scores > 1].max():g}; numbers up to 1, the best, are needed."
            )
        return scores

    def with_number(self, number: float) -> "OwnObjective":  # noqa: D102
        if not self.number:
            raise ValueError("no number, since its function has no keyword-only parameter")
        if not np.isfinite(number):
            raise ValueError("a finite number")
        return tried_out(replace(self, number=dict.fromkeys(self.number, number), is_number_named=True))


@dataclass(frozen=True)
class _OfScores(OwnObjective):
    """A function of scores alone, which are undefined for lesion-free scans."""

    lesion_free: ClassVar[LesionFree] = "left out"

    @property
    def columns(self) -> tuple[str, ...]:
        return self.parameters


def own_title(name: str, *number: float) -> str:
    """Return the printed name of a user's objective: ``my_module:worst_tenth`` becomes ``worst tenth``."""
    words = name.rpartition(":")[2].replace("_", " ").replace(" f1", " F1")
    return words + "".join(f" ({value:g})" for value in number)


def objective_of(function: object, name: str | None = None) -> Objective:
    """Return the objective of a function, tried out on random columns.

    Args:
        function: Its positional parameters are columns; at most one keyword-only parameter is its number. An
            :class:`Objective` is returned as it is.
        name: In messages; by default that of the function.

    Raises:
        CordlesionError: It is no such function, or does not give a score per threshold.

    Examples:
        >>> import numpy as np
        >>> def worst_tenth(voxel_f1, *, share=0.1):
        ...     return np.nanquantile(voxel_f1, share, axis=-2)
        >>> goal = objective_of(worst_tenth)
        >>> goal.title, goal.columns, goal.lesion_free
        ('worst tenth', ('voxel_f1',), 'left out')
    """
    if isinstance(function, Objective):
        return function
    name = name or str(getattr(function, "__name__", function))
    if not inspect.isroutine(function) and not isinstance(function, partial):
        raise CordlesionError(
            f"The objective {name} is no function; one whose parameters are columns of the table is needed."
        )
    columns, number = _parameters(function, name)
    kind = _OfScores if set(columns) <= set(SCORE_COLUMNS) else OwnObjective
    return tried_out(kind(name, function, columns, number))


def tried_out(goal: OwnObjective) -> OwnObjective:
    """Try an objective on random scans and on two bootstrap samples of them, before anything is trained.

    Raises:
        CordlesionError: It fails, gives no numbers, or a sample's scores are not those of its scans.
    """
    samples = _random_columns(goal.parameters)
    together = goal.summarize(samples)
    alone = np.stack([goal.summarize(samples[:, sample]) for sample in range(2)])
    if np.isnan(together).any():
        raise CordlesionError(
            f"The objective {goal.name} is undefined where a scan has no value (NaN), as lesion-free scans have no F1; "
            "leave these out, as np.nanmean does."
        )
    if not np.allclose(together, alone):
        raise CordlesionError(
            f"The objective {goal.name} mixes bootstrap samples: the scores of two together are not those of each. "
            "Summarise over the scans alone: axis=-2."
        )
    return goal


def _parameters(function: Any, name: str) -> tuple[tuple[str, ...], dict[str, float]]:  # noqa: ANN401 - a function
    """Return the columns that a function reads, and its number."""
    columns: list[str] = []
    number: dict[str, float] = {}
    for one in inspect.signature(function).parameters.values():
        if one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD):
            columns.append(one.name)
        elif one.kind is one.KEYWORD_ONLY and isinstance(one.default, int | float) and not number:
            number[one.name] = float(one.default)
        else:
            raise CordlesionError(
                f"The objective {name} has the parameter {one}; its parameters are columns of the table, and at most "
                "one keyword-only number with a default."
            )
    if not columns:
        raise CordlesionError(f"The objective {name} reads no column; name some as parameters, such as voxel_f1.")
    return tuple(columns), number


def _random_columns(names: Sequence[str]) -> FloatArray:
    """Return columns of two bootstrap samples of 5 scans at 4 thresholds; the last scan has no lesion."""
    rng, shape = np.random.default_rng(0), (2, 5, 4)
    has_lesion = np.arange(5)[:, np.newaxis] < 4
    of_scan = np.broadcast_to(has_lesion * rng.integers(1, 9, (2, 5, 1)), shape)
    predicted = rng.integers(0, 9, shape)
    known = {
        "n_reference_lesions": of_scan,
        "n_detected_lesions": rng.integers(0, of_scan + 1),
        "n_predicted_lesions": predicted,
        "n_true_predicted_lesions": has_lesion * rng.integers(0, predicted + 1),
        "reference_volume_mm3": 20 * of_scan,
        "predicted_volume_mm3": 15 * predicted,
    }
    known |= {name: np.where(has_lesion, rng.uniform(0, 1, shape), np.nan) for name in SCORE_COLUMNS}
    return np.stack([known.get(name, rng.uniform(0, 1, shape)) for name in names]).astype(np.float64)
