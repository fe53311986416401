"""Metrics that a user names: functions of two masks, tried out and measured scan by scan (numpy only)."""

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from cordlesion.errors import CordlesionError
from cordlesion.io.arrays import Float32Array, Mask
from cordlesion.io.import_path import import_object, is_import_path
from cordlesion.io.probability import binarize
from cordlesion.metrics.further import FURTHER_METRICS
from cordlesion.metrics.lesion import CheckedLesions, mask_of

MetricFunction: TypeAlias = Callable[..., Any]
"""``function(reference, prediction, spacing_mm)`` of two boolean masks (X, Y, Z) and the voxel size: one number."""
METRICS_NEEDED = f"one of {', '.join(FURTHER_METRICS)} is needed, or my_module:my_metric for one of your own"
"""What a metric is named by, half a sentence for messages."""


@dataclass(frozen=True)
class OwnMetric:
    """A function of two masks, with the name of its column."""

    name: str
    function: MetricFunction
    parameters: Mapping[str, object] = field(default_factory=dict)
    """Keyword arguments of the function."""
    higher_is_better: bool = True
    of_lesions: bool = False
    """Whether the function takes lesions that are given; any other gets masks."""

    def measure(self, reference: CheckedLesions, prediction: CheckedLesions, spacing_mm: Sequence[float]) -> float:
        """Compare two masks, or the lesions of instance maps.

        Raises:
            CordlesionError: The function fails, or gives no number, or an infinite one.
        """
        masks = mask_of(reference), mask_of(prediction)
        compared = (reference, prediction) if self.of_lesions else masks
        spacing = tuple(float(step) for step in spacing_mm)
        try:
            found = self.function(*compared, spacing, **self.parameters)
        except (Exception, SystemExit) as error:  # the user's code can raise anything
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            raise CordlesionError(f"the metric {self.name} fails on {_describe(*masks)} ({reason})") from error
        if np.ndim(found) or not isinstance(found, int | float | np.number | np.bool_) or math.isinf(found):
            shown = f"an array of the shape {np.shape(found)}" if np.ndim(found) else f"{found!s:.60}"
            raise CordlesionError(
                f"the metric {self.name} gives {shown} on {_describe(*masks)}; a finite number is needed, or NaN where "
                "it is undefined"
            )
        return float(found)

    def sweep(
        self, reference: Mask, probability: Float32Array, spacing_mm: Sequence[float], thresholds: Sequence[float]
    ) -> list[float]:
        """Measure the mask of a map at each threshold; masks of several thresholds that are equal are measured once."""
        known: dict[int, float] = {}
        values = []
        for t in thresholds:
            mask = binarize(probability, t)
            # Masks shrink as the threshold rises: those of one size are the same.
            size = int(np.count_nonzero(mask))
            if size not in known:
                known[size] = self.measure(reference, mask, spacing_mm)
            values.append(known[size])
        return values


def load_metric(path: str, parameters: Mapping[str, object], name: str, code: Path | str | None = None) -> OwnMetric:
    """Find a metric by its name, or import it, by which its code is run; and try it out.

    Args:
        path: A row of :data:`cordlesion.FURTHER_METRICS`, or ``module:function``.
        parameters: Keyword arguments that differ from the function's defaults.
        name: Of its column.
        code: Folder in which the module is looked for first.

    Raises:
        CordlesionError: There is no such metric, or it gives no number for small masks.
    """
    if (known := FURTHER_METRICS.get(path)) is not None:
        return replace(
            metric_of(known.function, name, parameters, "Mend its parameters."), higher_is_better=known.higher_is_better
        )
    if not is_import_path(path):
        raise CordlesionError(f"{path!r} is no metric; {METRICS_NEEDED}.")
    return metric_of(import_object(path, code), name, parameters)


def metric_of(
    function: object,
    name: str | None = None,
    parameters: Mapping[str, object] | None = None,
    remedy: str = "Mend the function.",
) -> OwnMetric:
    """Return the metric of a function, tried out on small masks: equal ones, others, and empty ones.

    Args:
        function: ``function(reference, prediction, spacing_mm)``.
        name: Of its column; by default that of the function.
        parameters: Keyword arguments of the function.
        remedy: What to do where it gives no number, a sentence.

    Raises:
        CordlesionError: It is no function of two masks and the voxel size, or gives no number.

    Examples:
        >>> import numpy as np
        >>> def volume_error(reference, prediction, spacing_mm):
        ...     return abs(prediction.sum() - reference.sum()) * np.prod(spacing_mm)
        >>> metric_of(volume_error).measure(np.ones((2, 2, 2), bool), np.zeros((2, 2, 2), bool), (1, 1, 1))
        8.0
    """
    name = name or str(getattr(function, "__name__", function))
    if not callable(function) or inspect.isclass(function):
        raise CordlesionError(
            f"The metric {name} is no function; one of (reference, prediction, spacing_mm) is needed."
        )
    of_lesions = any(one.function is function and one.of_lesions for one in FURTHER_METRICS.values())
    metric = OwnMetric(name, function, dict(parameters or {}), of_lesions=of_lesions)
    lesion, nothing = np.zeros((2, 8, 8, 8), dtype=bool)
    lesion[2:5, 2:5, 2:5] = True
    other = np.roll(lesion, 1, axis=0)
    for masks in ((lesion, lesion), (lesion, other), (lesion, nothing), (nothing, lesion), (nothing, nothing)):
        try:
            metric.measure(*masks, (0.5, 0.5, 1.0))
        except CordlesionError as error:
            said = str(error)
            raise CordlesionError(f"{said[0].upper()}{said[1:]}. {remedy}") from error
    return metric


def _describe(reference: Mask, prediction: Mask) -> str:
    return (
        f"a reference of {np.count_nonzero(reference)} and a prediction of {np.count_nonzero(prediction)} lesion voxels"
    )
