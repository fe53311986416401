"""Masks or probability maps compared with references: a row per scan (no torch)."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np
import pandas as pd

from cordlesion.config import EvaluationConfig, PostprocessConfig
from cordlesion.dataset.columns import RULE, SCAN_COLUMNS
from cordlesion.dataset.matching import MapPair
from cordlesion.errors import CordlesionError
from cordlesion.io.columns import TableSpec
from cordlesion.io.mask_values import MaskReader, MaskValues
from cordlesion.io.volume import Volume, read_probability
from cordlesion.metrics import LesionRule, ScanMetrics, evaluate, sweep
from cordlesion.metrics.columns import COLUMNS, METRIC_COLUMNS
from cordlesion.metrics.lesion import CheckedLesions
from cordlesion.metrics.own import OwnMetric, load_metric
from cordlesion.threshold.grid import VOLUME
from cordlesion.threshold.maps import plain_rows
from cordlesion.threshold.postprocess import postprocess, read_cord

METRICS = TableSpec(
    "metrics.tsv",
    "A row per scan, from the command `evaluate`.",
    (*SCAN_COLUMNS, *COLUMNS, RULE),
    key=("scan_id",),
)
MapReader: TypeAlias = Callable[[Path, Volume], Volume]
"""Reads a probability map on the grid of a volume."""
_NOTHING = PostprocessConfig()


def read_masks(
    pair: MapPair, references: MaskReader | None = None, predictions: MaskReader | None = None
) -> tuple[Volume, Volume]:
    """Read reference and predicted mask, on one grid.

    Args:
        pair: The files.
        references: Reads references, and records the value by which they mark lesions.
        predictions: The same for predictions; it may also make the masks, of maps.

    Raises:
        CordlesionError: A file is missing, damaged or no mask, or the grids differ.
    """
    reference = (references or MaskValues("references", pair.lesion_value)).read(pair.reference)
    predictions = predictions or MaskValues("predictions", pair.predicted_value)
    return reference, predictions.read(pair.prediction, like=reference)


def evaluate_mask(
    pair: MapPair,
    rule: str | LesionRule = "study",
    references: MaskReader | None = None,
    predictions: MaskReader | None = None,
) -> ScanMetrics:
    """Compare a predicted mask with the reference, on the reference's grid.

    Raises:
        CordlesionError: A file is missing, damaged or no mask, or the grids differ.
    """
    reference, prediction = read_masks(pair, references, predictions)
    return evaluate(reference.data, prediction.data, reference.spacing_mm, rule)


def measure_mask(
    pair: MapPair,
    rule: str | LesionRule = "study",
    own: Sequence[OwnMetric] = (),
    references: MaskReader | None = None,
    predictions: MaskReader | None = None,
) -> dict[str, object]:
    """Compare a predicted mask with the reference by every metric.

    Args:
        pair: The files.
        rule: When a lesion counts as detected.
        own: Metrics of the user.
        references: Records the value by which references mark lesions.
        predictions: The same for predictions.

    Returns:
        The scan's row of ``metrics.tsv``: scan_id, subject, session and the metrics.

    Raises:
        CordlesionError: As :func:`evaluate_mask`, or a metric of the user fails.
    """
    return measure_volumes(pair, *read_masks(pair, references, predictions), rule, own)


def measure_volumes(
    pair: MapPair, reference: Volume, prediction: Volume, rule: str | LesionRule, own: Sequence[OwnMetric] = ()
) -> dict[str, object]:
    """Compare as :func:`measure_mask` does, masks that are read already."""
    masks = (reference.data.astype(np.bool_, copy=False), prediction.data.astype(np.bool_, copy=False))
    return compare_lesions(pair, *masks, reference.spacing_mm, rule, own)


def compare_lesions(
    pair: MapPair,
    reference: CheckedLesions,
    prediction: CheckedLesions,
    spacing_mm: tuple[float, float, float],
    rule: str | LesionRule,
    own: Sequence[OwnMetric] = (),
) -> dict[str, object]:
    """Compare as :func:`measure_mask` does, masks or the lesions of instance maps."""
    metrics = evaluate(reference, prediction, spacing_mm, rule)
    with named_scan(pair.scan_id):
        values = {one.name: one.measure(reference, prediction, spacing_mm) for one in own}
    return metric_row(pair, metrics) | values


def load_metrics(config: EvaluationConfig, code: Path | None) -> tuple[OwnMetric, ...]:
    """Import the user's own metrics, whose code is run, and try them out.

    Raises:
        CordlesionError: One of them cannot be imported, or does not work.
    """
    return tuple(load_metric(one.name, one.parameters, one.title, code) for one in config.metrics)


def sweep_map(
    pair: MapPair,
    thresholds: Sequence[float],
    rule: str | LesionRule = "study",
    removal: PostprocessConfig = _NOTHING,
    references: MaskReader | None = None,
    read: MapReader = read_probability,
    own: Sequence[OwnMetric] = (),
) -> pd.DataFrame:
    """Compare a probability map with the reference at every threshold.

    Args:
        pair: The files.
        thresholds: The thresholds.
        rule: When a lesion counts as detected.
        removal: Post-processing of the map; none by default.
        references: Reads references, and records the value by which they mark lesions.
        read: Reads the map.
        own: Metrics of the user.

    Returns:
        A row per threshold: scan_id, subject, session, threshold and the metrics.

    Raises:
        CordlesionError: A file is missing or damaged, values are no probabilities, the grids differ, or a metric of the
            user fails.
    """
    reference = (references or MaskValues("references", pair.lesion_value)).read(pair.reference)
    probability = read(pair.prediction, reference)
    p = postprocess(probability, thresholds, removal, read_cord(pair.cord_mask, reference, removal))
    measured = sweep(reference.data, p, reference.spacing_mm, thresholds, rule)
    columns = {name: np.array([getattr(metrics, name) for metrics in measured]) for name in METRIC_COLUMNS}
    mask = reference.data.astype(np.bool_, copy=False)
    with named_scan(pair.scan_id):
        columns |= {one.name: np.array(one.sweep(mask, p, reference.spacing_mm, thresholds)) for one in own}
    return pd.DataFrame(_names(pair) | {"threshold": np.array(thresholds, dtype=np.float64)} | columns)


@contextlib.contextmanager
def named_scan(scan_id: str) -> Iterator[None]:
    """Name the scan in what a metric of the user raises."""
    try:
        yield
    except CordlesionError as error:
        raise CordlesionError(f"{scan_id}: {error}. Mend the function.") from error


def sweep_volumes(
    pair: MapPair,
    thresholds: Sequence[float],
    rule: str | LesionRule,
    removal: PostprocessConfig,
    volumes_mm3: Sequence[float],
    references: MaskReader | None = None,
    read: MapReader = read_probability,
    own: Sequence[OwnMetric] = (),
) -> pd.DataFrame:
    """Compare a map with the reference at every threshold, and for each minimum lesion volume if there are some.

    Args:
        pair: The files.
        thresholds: The thresholds.
        rule: When a lesion counts as detected.
        removal: Post-processing of the map.
        volumes_mm3: Minimum lesion volumes, in place of that of ``removal``.
        references: As for :func:`sweep_map`.
        read: Reads the map.
        own: Metrics of the user.

    Returns:
        As :func:`sweep_map`; with volumes a row per threshold and volume, in the column ``minimum_volume_mm3``.
    """
    if not volumes_mm3:
        return sweep_map(pair, thresholds, rule, removal, references, read, own)
    tables = []
    for volume in volumes_mm3:
        changed = removal.model_copy(update={VOLUME: volume})
        swept = sweep_map(pair, thresholds, rule, changed, references, read, own)
        tables.append(swept.assign(**{VOLUME: volume}))
    return pd.concat(tables, ignore_index=True)


def metric_row(pair: MapPair, metrics: ScanMetrics) -> dict[str, object]:
    """Return a scan's row of ``metrics.tsv``: scan_id, subject, session and the metrics."""
    return _names(pair) | vars(metrics)


def _names(pair: MapPair) -> dict[str, str]:
    return {"scan_id": pair.scan_id, "subject": pair.subject, "session": pair.session}


def require_gradual(probability: Path, table: pd.DataFrame) -> None:
    """Refuse maps that hold only 0 and 1: these are masks, which no threshold changes.

    Args:
        probability: Path of the maps, for the message.
        table: A row per scan and threshold.

    Raises:
        CordlesionError: All thresholds give the same masks.
    """
    volumes = plain_rows(table).groupby("scan_id")["predicted_volume_mm3"]
    if (volumes.min() == volumes.max()).all() and volumes.max().any():
        raise CordlesionError(
            f"{probability}: every threshold above 0 gives the same masks, as of masks; probability maps are needed. "
            "Export the network's probabilities before they are cut (nnU-Net: --save_probabilities)."
        )
