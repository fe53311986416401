"""The table that a threshold is chosen from, made of the references and probability maps of many scans."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, fields
from itertools import zip_longest
from typing import cast

import numpy as np
import numpy.typing as npt
import pandas as pd

from cordlesion.errors import CordlesionError
from cordlesion.metrics import LesionRule, ScanMetrics, sweep
from cordlesion.metrics.own import MetricFunction, OwnMetric, metric_of
from cordlesion.threshold.grid import THRESHOLDS

_COLUMNS = ["scan_id", "subject", "threshold", *(field.name for field in fields(ScanMetrics))]


def sweep_maps(
    references: Iterable[npt.ArrayLike],
    probabilities: Iterable[npt.ArrayLike],
    spacing_mm: Sequence[float] | Sequence[Sequence[float]],
    *,
    subjects: Sequence[str] | None = None,
    scan_ids: Sequence[str] | None = None,
    thresholds: Sequence[float] = THRESHOLDS,
    rule: str | LesionRule = "study",
    metrics: Sequence[MetricFunction] = (),
) -> pd.DataFrame:
    """Compare the probability maps of several scans with their references at each threshold.

    Arrays are looked at one scan after the other, so generators that read files are fine.

    Args:
        references: For each scan booleans, or 0 and 1, shape (X, Y, Z).
        probabilities: For each scan values in [0, 1], the shape of its reference.
        spacing_mm: Voxel size along the three axes, for all scans alike; or one such triple for each scan.
        subjects: Who each scan is of, since scans of one person are not independent; by default every scan is of
            another subject.
        scan_ids: Names of the scans, all different; by default ``scan-0``, ``scan-1`` ..
        thresholds: Values in [0, 1]; a voxel is lesion when p >= t.
        rule: When a lesion counts as detected: a name in :data:`cordlesion.LESION_RULES`, or a
            :class:`cordlesion.LesionRule`.
        metrics: Of your own, as for :func:`cordlesion.evaluate_files`.

    Returns:
        A row per scan and threshold: ``scan_id``, ``subject``, ``threshold``, the fields of
        :class:`cordlesion.ScanMetrics` and your own metrics; the table that :func:`cordlesion.choose_threshold` takes.

    Raises:
        CordlesionError: There is not one map, spacing, subject and name for each reference, or a scan cannot be
            measured (see :func:`cordlesion.sweep`).

    Examples:
        >>> import cordlesion
        >>> import numpy as np
        >>> rng = np.random.default_rng(0)
        >>> references = [np.zeros((16, 16, 20), bool) for _ in range(6)]
        >>> for reference in references:
        ...     reference[6:10, 6:10, 5:10] = True
        >>> maps = [0.4 * reference + rng.uniform(0, 0.2, reference.shape) for reference in references]
        >>> table = cordlesion.sweep_maps(references, maps, (0.5, 0.5, 1.0))
        >>> len(table)  # six scans at 21 thresholds
        126
        >>> cordlesion.choose_threshold(table).value
        0.3
    """
    own = [metric_of(function) for function in metrics]
    measured: list[list[dict[str, float]]] = []
    given = None if scan_ids is None else list(scan_ids)
    for reference, probability in zip_longest(references, probabilities):
        if reference is None or probability is None:
            raise CordlesionError("There are not as many probability maps as references; one map for each is needed.")
        spacing = _spacing(spacing_mm, len(measured))
        try:
            measured.append(_measure(reference, probability, spacing, thresholds, rule, own))
        except CordlesionError as error:
            raise CordlesionError(f"{_name(given, len(measured))}: {error}") from None
    names = [_name(None, number) for number in range(len(measured))] if given is None else given
    people = names if subjects is None else list(subjects)
    spacings = spacing_mm if np.ndim(spacing_mm) == 2 else [spacing_mm] * len(measured)
    _check_one_each(names, people, spacings, len(measured))
    rows = [
        {"scan_id": name, "subject": subject, "threshold": t} | values
        for name, subject, scan in zip(names, people, measured, strict=True)
        for t, values in zip(thresholds, scan, strict=True)
    ]
    return pd.DataFrame(rows, columns=[*_COLUMNS, *(metric.name for metric in own)])


def _measure(
    reference: npt.ArrayLike,
    probability: npt.ArrayLike,
    spacing_mm: Sequence[float],
    thresholds: Sequence[float],
    rule: str | LesionRule,
    own: Sequence[OwnMetric],
) -> list[dict[str, float]]:
    """Measure a map at each threshold."""
    values = [asdict(metrics) for metrics in sweep(reference, probability, spacing_mm, thresholds, rule)]
    for metric in own:
        mask, p = np.asarray(reference).astype(np.bool_), np.asarray(probability, dtype=np.float32)
        for known, value in zip(values, metric.sweep(mask, p, spacing_mm, thresholds), strict=True):
            known[metric.name] = value
    return values


def _name(scan_ids: Sequence[str] | None, number: int) -> str:
    return f"scan-{number}" if scan_ids is None or number >= len(scan_ids) else scan_ids[number]


def _spacing(spacing_mm: Sequence[float] | Sequence[Sequence[float]], number: int) -> Sequence[float]:
    """Return the voxel size of a scan, of one for all or one each."""
    if np.ndim(spacing_mm) < 2:
        return cast("Sequence[float]", spacing_mm)
    if number >= len(spacing_mm):
        raise CordlesionError(f"{len(spacing_mm)} spacings were given for more references; one each is needed.")
    return cast("Sequence[Sequence[float]]", spacing_mm)[number]


def _check_one_each(scan_ids: Sequence[str], subjects: Sequence[str], spacings: Sequence[object], n_scans: int) -> None:
    for kind, given in (("scan_ids", scan_ids), ("subjects", subjects), ("spacings", spacings)):
        if len(given) != n_scans:
            raise CordlesionError(f"{len(given)} {kind} were given for {n_scans} references; one each is needed.")
    if len(set(scan_ids)) < n_scans:
        raise CordlesionError("Two scans have the same name in scan_ids; names must differ.")
