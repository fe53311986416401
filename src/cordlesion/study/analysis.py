"""Analysis of the evaluated test set: other lesion rules, lesion sizes, FROC, calibration (no torch).

Tables are tidy and hold counts: shares and their intervals over subjects are computed from them. Only sums over the
voxels of a scan are kept, so memory does not grow with the number of scans.
"""

import operator
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial, reduce
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd

from cordlesion.config import Method
from cordlesion.dataset.matching import MapPair
from cordlesion.execution.local import stream_scans
from cordlesion.io.columns import TableSpec
from cordlesion.io.fingerprints import fingerprint
from cordlesion.io.orient import to_las
from cordlesion.io.tables import read_in_parts, read_table, table_in_parts, write_table
from cordlesion.io.volume import read_mask, read_probability
from cordlesion.metrics import (
    STRATA_MM3,
    LogitCounts,
    ReliabilityCounts,
    Temperature,
    count_logits,
    count_reliability,
    evaluate_rules,
    fit_temperature,
    froc_curve,
    match_lesions,
    stratum_scores,
)
from cordlesion.metrics.columns import LESION_COUNTS, METRIC_COLUMNS
from cordlesion.preprocess.cord_stack import map_back
from cordlesion.preprocess.stack_file import read_stack
from cordlesion.study_folder.folder import StudyFolder
from cordlesion.study_folder.tables import CALIBRATION, FROC, RELIABILITY, RULES, STRATA

MapKind: TypeAlias = Literal["raw", "scaled"]
"""A probability map as it was predicted, or after temperature scaling."""
# A voxel is covered where all weights of its interpolation lie on the stack; in float32 they sum to nearly 1.
_WHOLLY = 1 - 1e-4
_OF_MASKS = (RULES, STRATA)
_PER_RUN = (*_OF_MASKS, CALIBRATION, RELIABILITY)
_RUN = ["set", "loss", "seed"]
_RULE_METRICS = tuple(name for name in METRIC_COLUMNS if name in RULES.names)
"""The metrics that depend on the lesion rule, and the volume that shows which references have no lesion."""

TABLES = tuple(spec.file.removesuffix(".tsv") for spec in (*_PER_RUN, FROC))
"""Names of the tables in the study folder."""


@dataclass(frozen=True)
class MappedScan:
    """A scan's reference with the probability map of one run, the mask cut from it, and the scan's cord stack."""

    pair: MapPair
    mask: Path
    stack: Path


@dataclass(frozen=True)
class Calibration:
    """Agreement of probabilities with the share of lesion voxels, over all covered voxels of a set of scans."""

    temperature: float
    """T of the maps: 1 for raw maps."""
    counts: ReliabilityCounts
    n_scans: int


def analyze_run(
    folder: StudyFolder,
    run: Method,
    rule: str,
    scans: Mapping[str, Sequence[MappedScan]],
    check: Callable[[], None] = lambda: None,
) -> None:
    """Analyse one run's masks and maps and write its tables into its folder, unless they are there already.

    Args:
        folder: The study folder.
        run: The run; its masks are written. A comparator of masks has no maps to calibrate.
        rule: When a lesion counts as detected, for results of one rule.
        scans: The scans of the sets ``threshold`` and ``test``.
        check: Called before anything is written; raises an error if files have changed.

    Raises:
        CordlesionError: A file is missing or damaged, or no covered voxel of the threshold set is lesion.
    """
    specs = _tables_of(run)
    paths = [folder.run(run.name) / spec.file for spec in specs]
    # Masks depend on all that maps depend on, and on the threshold.
    names = {name: [scan.pair.scan_id for scan in members] for name, members in scans.items()}
    mark = fingerprint("analysis", folder.finished(f"masks/{run.name}").get("fingerprint"), names)
    if folder.is_done(key := f"analyze/{run.name}", mark, *paths):
        return
    with folder.stage(key, mark, *paths):
        rules, strata = analyze_masks(scans["test"], rule, f"lesions {run.name}")
        tables = [rules.assign(set="test"), strata.assign(set="test")]
        if run.is_tuned:
            found = calibrate(scans["threshold"], scans["test"], f"calibration {run.name}")
            tables += [calibration_table(found), reliability_table(found)]
        check()
        for path, table, spec in zip(paths, tables, specs, strict=True):
            write_table(path, table.assign(**run.columns), spec)


def collect_analyses(folder: StudyFolder, runs: Sequence[Method]) -> None:
    """Write the study's tables: those of its runs, concatenated, and the FROC curves from its sweep."""
    for spec in _PER_RUN:
        with table_in_parts(folder.root / spec.file, spec) as append:
            for run in runs:
                if spec in _tables_of(run):
                    append(read_table(folder.run(run.name) / spec.file, spec))
    with table_in_parts(folder.root / FROC.file, FROC) as append:
        for swept in read_in_parts(folder.sweep, _RUN):
            append(froc_table(swept))


def analyze_masks(scans: Sequence[MappedScan], rule: str, description: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Score the masks of some scans under every lesion rule, and by the size of the lesions under one.

    Args:
        scans: The scans with masks and references.
        rule: The lesion rule of the sizes, a row of :data:`cordlesion.metrics.RULES`.
        description: Text of the progress bar.

    Returns:
        A row per scan and rule (``rules.tsv``), and a row per scan and size (``strata.tsv``), both without the columns
        that name the run.

    Raises:
        CordlesionError: A file is missing or damaged.
    """
    by_rule: list[dict[str, object]] = []
    by_size: list[dict[str, object]] = []
    for rules, strata in stream_scans(partial(_score_mask, rule=rule), scans, description):
        by_rule += rules
        by_size += strata
    return pd.DataFrame(by_rule), pd.DataFrame(by_size)


def calibrate(
    tuning: Sequence[MappedScan], test: Sequence[MappedScan], description: str
) -> dict[tuple[str, MapKind], Calibration]:
    """Fit a temperature on the threshold set, and measure the calibration on both sets.

    The voxels are those of the scan's own grid that the cord stack covers wholly. Outside it p is 0 by definition, so
    any map would seem calibrated there. Maps are those before post-processing.

    Args:
        tuning: The scans of the threshold set, on which the temperature is fitted.
        test: The scans of the test set.
        description: Text of the progress bar.

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
    """Return a row per set and kind of map: the temperature, the scores, and their sums."""
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


def froc_table(sweep: pd.DataFrame) -> pd.DataFrame:
    """Return the FROC curve of every run on every set that was swept.

    Args:
        sweep: A row per scan, run and threshold.

    Returns:
        A row per set, run (and fold) and threshold: ``froc.tsv``.
    """
    columns = [*_RUN, *(["fold"] if "fold" in sweep else [])]
    groups = sweep.groupby(columns, sort=False, dropna=False)
    return pd.concat([_froc_rows(zip(columns, key, strict=True), rows) for key, rows in groups], ignore_index=True)


def covered_voxels(scan: MappedScan) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
    """Return probability and reference of the scan's own voxels that its cord stack covers wholly, shape (V,) each."""
    reference = read_mask(scan.pair.reference, value=scan.pair.lesion_value)
    probability = read_probability(scan.pair.prediction, like=reference)
    geometry = read_stack(scan.stack).geometry
    covered = map_back(geometry.inside().astype(np.float32), geometry) >= _WHOLLY
    p, lesion = (to_las(volume).data[covered] for volume in (probability, reference))
    return p.astype(np.float32, copy=False), lesion.astype(np.bool_, copy=False)


def _tables_of(run: Method) -> tuple[TableSpec, ...]:
    return _PER_RUN if run.is_tuned else _OF_MASKS


def _score_mask(scan: MappedScan, rule: str) -> tuple[list[dict[str, object]], list[dict[str, object]]]:
    """Return a scan's rows by rule and by size."""
    reference = read_mask(scan.pair.reference, value=scan.pair.lesion_value)
    masks = reference.data, read_mask(scan.mask, like=reference).data
    named = {"scan_id": scan.pair.scan_id, "subject": scan.pair.subject, "session": scan.pair.session}
    scores = {name: asdict(one) for name, one in evaluate_rules(*masks, reference.spacing_mm).items()}
    rules = [{**named, "rule": name, **{key: one[key] for key in _RULE_METRICS}} for name, one in scores.items()]
    strata = stratum_scores([match_lesions(*masks, reference.spacing_mm, rule)])
    limits = {name: dict(zip(("low_mm3", "high_mm3"), STRATA_MM3[name], strict=True)) for name in strata}
    sizes = [
        {**named, "stratum": name, **limits[name], **{key: getattr(one, key) for key in LESION_COUNTS}}
        for name, one in strata.items()
    ]
    return rules, sizes


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


def _froc_rows(run: Iterable[tuple[str, Hashable]], rows: pd.DataFrame) -> pd.DataFrame:
    curve = froc_curve(rows["threshold"], *(rows[name] for name in LESION_COUNTS))
    return pd.DataFrame(
        {
            **dict(run),
            "threshold": curve.thresholds,
            "sensitivity": curve.sensitivity,
            "false_per_scan": curve.false_per_scan,
            "n_scans": curve.n_scans,
            "n_reference_lesions": curve.n_reference_lesions,
        }
    )
