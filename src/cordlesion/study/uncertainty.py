"""Whether the uncertainty of a method points at its errors: error-retention curves of test scans (no torch).

Only in studies with ensembles: of each ensemble, whose networks may disagree, and of each of its members.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import ndimage

from cordlesion.config import EnsembleRun, RunConfig
from cordlesion.execution.local import stream_scans
from cordlesion.io.arrays import FloatArray, Int32Array, Mask
from cordlesion.io.fingerprints import fingerprint
from cordlesion.io.orient import to_las
from cordlesion.io.tables import read_table, table_in_parts, write_table
from cordlesion.io.volume import Volume, read_mask, read_probability
from cordlesion.metrics import label_components, match_lesions, resolve_rule
from cordlesion.metrics.retention import (
    LESION_SHARES,
    VOXEL_SHARES,
    area_under,
    ideal_order,
    lesion_retention,
    random_order,
    voxel_retention,
)
from cordlesion.metrics.uncertainty import lesion_disagreement, voxel_uncertainty
from cordlesion.study.calibration import MappedScan, stack_cover
from cordlesion.study.sets import Study
from cordlesion.study_folder.folder import StudyFolder
from cordlesion.study_folder.tables import RETENTION, UNCERTAINTY

SPECS = (UNCERTAINTY, RETENTION)
_NAMES_OF_RUN = ("set", "loss", "seed", "fold")
SHARES: Mapping[str, FloatArray] = {"voxel": VOXEL_SHARES, "lesion": LESION_SHARES}


@dataclass(frozen=True)
class DoubtedScan:
    """A test scan with the maps from which the uncertainty of a method comes."""

    scan: MappedScan
    maps: tuple[Path, ...]
    """Of the members of an ensemble, or the one of a training."""
    threshold: float
    rule: str


def measured_methods(study: Study) -> list[RunConfig | EnsembleRun]:
    """Return the methods whose uncertainty is measured: ensembles and their members, in the order of the study."""
    ensembles = study.config.ensemble_runs
    members = {member.name for ensemble in ensembles for member in ensemble.members}
    return [run for run in study.config.own_methods if isinstance(run, EnsembleRun) or run.name in members]


def measure_uncertainty(folder: StudyFolder, run: RunConfig | EnsembleRun, scans: Sequence[DoubtedScan]) -> None:
    """Measure the error-retention curves of a method and write its tables into its folder, unless that is done.

    Raises:
        CordlesionError: A file is missing or damaged.
    """
    paths = [folder.run(run.name) / spec.file for spec in SPECS]
    masks = folder.finished(f"masks/{run.name}").get("fingerprint")
    names = [(one.scan.pair.scan_id, one.threshold, one.rule) for one in scans]
    made_from = fingerprint("analysis", "uncertainty", masks, names)
    if folder.is_done(key := f"uncertainty/{run.name}", made_from, *paths):
        return
    with folder.stage(key, made_from, *paths):
        curves = list(stream_scans(retention_curves, scans, f"uncertainty {run.name}"))
        for path, table, spec in zip(paths, (_areas(scans, curves), _means(curves)), SPECS, strict=True):
            write_table(path, table.assign(set="test", **run.columns), spec)


def collect_uncertainty(folder: StudyFolder, runs: Sequence[RunConfig | EnsembleRun]) -> None:
    """Write the study's tables: those of its methods, one below the other; none without ensembles."""
    for spec in SPECS if runs else ():
        with table_in_parts(folder.root / spec.file, spec) as append:
            for run in runs:
                append(read_table(folder.run(run.name) / spec.file, spec))


def retention_curves(doubted: DoubtedScan) -> dict[tuple[str, str], FloatArray]:
    """Return the error-retention curves of a scan.

    Voxels are those that the scan's stack covers wholly. The uncertainty of a lesion is the mean of its voxels';
    ``disagreement`` is that of :func:`cordlesion.metrics.uncertainty.lesion_disagreement`. ``random`` and ``ideal`` are
    the orders of an uncertainty that knows nothing, and of one that knows all.

    Returns:
        F1 at the shares of :data:`SHARES`, by level and measure; nothing of a level where it is undefined: without a
        lesion in the reference, and for lesions without a predicted one.
    """
    scan = doubted.scan
    reference = read_mask(scan.pair.reference, value=scan.pair.lesion_value)
    covered, box = stack_cover(scan)
    # Only the box of the stack of each map is kept: an ensemble has many, and scans are large.
    maps = np.stack([_las(read_probability(path, like=reference))[box] for path in doubted.maps]).astype(np.float32)
    mask, truth = _las(read_mask(scan.mask, like=reference)) > 0, _las(reference) > 0
    looked_at = (covered | mask)[box]
    uncertainty = voxel_uncertainty(maps[:, looked_at], doubted.threshold)
    inside = covered[box][looked_at]
    voxels = {name: values[inside] for name, values in uncertainty.items()}
    curves = _voxel_curves(mask[covered], truth[covered], voxels)
    spacing_mm = to_las(reference).spacing_mm
    rule = resolve_rule(doubted.rule)
    labels = label_components(mask[box], rule, float(np.prod(spacing_mm))).labels
    lesions = {name: _lesion_means(labels[looked_at], values) for name, values in uncertainty.items()}
    if len(maps) > 1:
        cut = [one >= doubted.threshold for one in maps]
        lesions["disagreement"] = lesion_disagreement(_voxels_of(labels), cut, rule.connectivity)
    return curves | _lesion_curves(truth, mask, spacing_mm, doubted.rule, lesions)


def _voxel_curves(mask: Mask, truth: Mask, measures: Mapping[str, FloatArray]) -> dict[tuple[str, str], FloatArray]:
    if not truth.any():
        return {}
    orders = {**measures, "random": random_order(len(mask)), "ideal": ideal_order(mask != truth)}
    return {("voxel", name): voxel_retention(mask, truth, order) for name, order in orders.items()}


def _lesion_curves(
    truth: Mask, mask: Mask, spacing_mm: Sequence[float], rule: str, measures: Mapping[str, FloatArray]
) -> dict[tuple[str, str], FloatArray]:
    found = match_lesions(truth, mask, spacing_mm, rule)
    n_reference, n_detected = len(found.detected), int(np.count_nonzero(found.detected))
    true = np.asarray(found.true_predicted, dtype=np.bool_)
    if not n_reference or not len(true):
        return {}
    orders = {**measures, "random": random_order(len(true)), "ideal": ideal_order(~true)}
    retained = partial(lesion_retention, true, n_reference, n_detected)
    return {("lesion", name): retained(order) for name, order in orders.items()}


def _las(volume: Volume) -> FloatArray:
    return np.asarray(to_las(volume).data)


def _lesion_means(labels: Int32Array, values: FloatArray) -> FloatArray:
    """Return the mean over the voxels of each lesion."""
    sizes = np.bincount(labels)
    means: FloatArray = np.bincount(labels, weights=values)[1:] / sizes[1:]
    return means


def _voxels_of(labels: Int32Array) -> list[Int32Array]:
    """Return the indices of the voxels of each lesion, shape (V, 3)."""
    found = []
    for number, place in enumerate(ndimage.find_objects(labels), start=1):
        corner = [part.start for part in place]
        found.append((np.argwhere(labels[place] == number) + corner).astype(np.int32))
    return found


def _areas(scans: Sequence[DoubtedScan], curves: Sequence[Mapping[tuple[str, str], FloatArray]]) -> pd.DataFrame:
    """Return a row per scan, level and measure: the area under its curve, and the score of all retained."""
    rows = [
        {
            **{name: getattr(one.scan.pair, name) for name in ("scan_id", "subject", "session")},
            "level": level,
            "uncertainty": name,
            "area": area_under(SHARES[level], curve),
            "score": float(curve[-1]),
        }
        for one, of_scan in zip(scans, curves, strict=True)
        for (level, name), curve in of_scan.items()
    ]
    return pd.DataFrame(rows, columns=[name for name in UNCERTAINTY.names if name not in _NAMES_OF_RUN])


def _means(curves: Sequence[Mapping[tuple[str, str], FloatArray]]) -> pd.DataFrame:
    """Return a row per level, measure and share: the mean over scans of the score."""
    kinds = dict.fromkeys(kind for of_scan in curves for kind in of_scan)
    tables = []
    for level, name in kinds:
        of_scans = [of_scan[level, name] for of_scan in curves if (level, name) in of_scan]
        tables.append(
            pd.DataFrame({"retained": SHARES[level], "score": np.mean(of_scans, axis=0)}).assign(
                level=level, uncertainty=name, n_scans=len(of_scans)
            )
        )
    return pd.concat(tables or [pd.DataFrame(columns=["retained", "score", "level", "uncertainty", "n_scans"])])
