"""How well the probabilities of a method agree with shares of lesion, raw and after temperature scaling (no torch).

Of each scan only sums over voxels are kept, so memory does not grow with the number of scans.
"""

import operator
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial, reduce
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
import pandas as pd
from scipy import ndimage

from cordlesion.dataset.matching import MapPair
from cordlesion.execution.local import stream_scans
from cordlesion.io.arrays import Float32Array, Mask
from cordlesion.io.orient import to_las
from cordlesion.io.volume import read_mask, read_probability
from cordlesion.metrics import (
    LogitCounts,
    ReliabilityCounts,
    Temperature,
    count_logits,
    count_reliability,
    fit_temperature,
)
from cordlesion.preprocess.cord_stack import map_back
from cordlesion.preprocess.stack_file import read_stack

MapKind: TypeAlias = Literal["raw", "scaled"]
"""A probability map as it was predicted, or after temperature scaling."""

# A voxel is covered if all weights of its interpolation lie on the stack; in float32 they sum to nearly 1.
_WHOLLY = 1 - 1e-4


@dataclass(frozen=True)
class MappedScan:
    """A scan's reference with the probability map of one run, its mask, and the scan's cord stack."""

    pair: MapPair
    mask: Path
    stack: Path


@dataclass(frozen=True)
class Calibration:
    """How well probabilities agree with shares of lesion, over all covered voxels of a set of scans."""

    temperature: float
    """T of the maps that were scored: 1 where they are raw."""
    counts: ReliabilityCounts
    n_scans: int


def calibrate(
    tuning: Sequence[MappedScan], test: Sequence[MappedScan], description: str
) -> dict[tuple[str, MapKind], Calibration]:
    """Fit a temperature on the threshold set, and measure on both sets how well probabilities are calibrated.

    Only voxels of the scan's own grid that the cord stack covers wholly are counted: outside of it p is 0 by
    definition, which would make every map look calibrated. Maps are measured before any post-processing.

    Args:
        tuning: The scans of the threshold set, the only ones that the temperature is fitted on.
        test: The scans of the test set.
        description: Label of the progress bar.

    Returns:
        By set and kind of map.

    Raises:
        CordlesionError: A file is missing or damaged, or no covered voxel of the threshold set is lesion.
    """
    counts: Iterator[LogitCounts] = stream_scans(_count_logits, tuning, f"{description}: temperature")
    scaling = fit_temperature(reduce(operator.add, counts))
    found: dict[tuple[str, MapKind], Calibration] = {}
    for name, scans in (("threshold", tuning), ("test", test)):
        pairs = stream_scans(partial(_count_both, scaling=scaling), scans, f"{description} ({name})")
        raw, scaled = reduce(lambda one, other: (one[0] + other[0], one[1] + other[1]), pairs)
        found[name, "raw"] = Calibration(1.0, raw, len(scans))
        found[name, "scaled"] = Calibration(scaling.value, scaled, len(scans))
    return found


def calibration_table(found: Mapping[tuple[str, MapKind], Calibration]) -> pd.DataFrame:
    """Return a row per set and kind of map: the temperature, the scores, and what they were computed from."""
    rows = [
        {
            "set": name,
            "map": kind,
            "temperature": one.temperature,
            "expected_calibration_error": one.counts.expected_calibration_error,
            "brier_score": one.counts.brier_score,
            "n_scans": one.n_scans,
            "n_voxels": int(one.counts.n_voxels.sum()),
            "n_lesion_voxels": int(one.counts.n_lesion.sum()),
            "sum_probability": float(one.counts.sum_probability.sum()),
        }
        for (name, kind), one in found.items()
    ]
    return pd.DataFrame(rows)


def reliability_table(found: Mapping[tuple[str, MapKind], Calibration]) -> pd.DataFrame:
    """Return the reliability diagrams: a row per set, kind of map and bin of probability, empty bins included."""
    return pd.concat([_bins(one.counts).assign(set=name, map=kind) for (name, kind), one in found.items()])


def covered_voxels(scan: MappedScan) -> tuple[Float32Array, Mask]:
    """Return probability and reference of the scan's own voxels that its cord stack covers wholly, shape (V,) each."""
    reference = read_mask(scan.pair.reference, value=scan.pair.lesion_value)
    probability = read_probability(scan.pair.prediction, like=reference)
    covered = covered_by_stack(scan)
    p, lesion = (to_las(volume).data[covered] for volume in (probability, reference))
    return p.astype(np.float32, copy=False), lesion.astype(np.bool_, copy=False)


def covered_by_stack(scan: MappedScan) -> Mask:
    """Return which voxels of a scan, in LAS order, its cord stack covers wholly."""
    return stack_cover(scan)[0]


def stack_cover(scan: MappedScan) -> tuple[Mask, tuple[slice, ...]]:
    """Return the voxels of a scan, in LAS order, that its stack covers wholly, and the box of those that it touches.

    No map of the study is above 0 outside this box.
    """
    geometry = read_stack(scan.stack).geometry
    share = map_back(geometry.inside().astype(np.float32), geometry)
    box: tuple[slice, ...] = ndimage.find_objects((share > 0).astype(np.int8))[0]
    return share >= _WHOLLY, box


def _count_logits(scan: MappedScan) -> LogitCounts:
    return count_logits(*covered_voxels(scan))


def _count_both(scan: MappedScan, scaling: Temperature) -> tuple[ReliabilityCounts, ReliabilityCounts]:
    p, lesion = covered_voxels(scan)
    return count_reliability(p, lesion), count_reliability(scaling.apply(p), lesion)


def _bins(counts: ReliabilityCounts) -> pd.DataFrame:
    edges = np.linspace(0, 1, len(counts.n_voxels) + 1)
    return pd.DataFrame(
        {
            "bin_low": edges[:-1],
            "bin_high": edges[1:],
            "n_voxels": counts.n_voxels.astype(int),
            "n_lesion_voxels": counts.n_lesion.astype(int),
            "mean_probability": counts.mean_probability,
            "lesion_share": counts.lesion_share,
        }
    )
