"""Probability maps of runs and comparators, their metrics at every threshold, and the masks that are cut from them."""

import math
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

import pandas as pd

from cordlesion.artifacts import StudyFolder, fingerprint
from cordlesion.config import ComparatorRun, Method, PostprocessConfig, RunConfig, SetName
from cordlesion.dataset.scan import Scan
from cordlesion.derivatives import describe_dataset, describe_map, mask_path, write_mask
from cordlesion.errors import CordlesionError
from cordlesion.evaluation import MapPair, evaluate_mask, metric_row, read_table, sweep_map, write_table
from cordlesion.execution.local import Outcome, map_scans
from cordlesion.progress import track
from cordlesion.stages.comparators import bring_comparator
from cordlesion.stages.marks import map_marks, predict_key, sweep_mark
from cordlesion.stages.sets import Study
from cordlesion.threshold import GRIDS, VOLUME

Item = TypeVar("Item")
Result = TypeVar("Result")


def sweep_set(
    study: Study, run: Method, set_name: SetName, scans: Sequence[Scan], volumes_mm3: Sequence[float] = ()
) -> pd.DataFrame:
    """Predict the scans of a set and measure their maps at every threshold, unless that is done.

    Args:
        study: The study.
        run: Whose network predicts (or which comparator's maps are taken), and how its maps are post-processed.
        set_name: For the table.
        scans: Of the set.
        volumes_mm3: Minimum lesion volumes to be measured, each, in place of the run's own.

    Returns:
        A row per scan and threshold (and minimum volume, then with a column of it); of a comparator that is given as
        masks a row per scan, with an undefined threshold.
    """
    folder, path = study.folder, study.folder.run_sweep(run.name, set_name)
    key, mark = f"sweep/{run.name}_{set_name}", sweep_mark(study, run, scans, volumes_mm3)
    if isinstance(run, ComparatorRun):
        bring_comparator(study, run, scans)
    else:
        _predict(study, run, scans, set_name)
    if not folder.is_done(key, mark, path):
        with folder.stage(key, mark):
            pairs = [map_pair(scan, folder, run) for scan in scans]
            thresholds, rule = GRIDS[study.config.threshold.grid], study.config.evaluation.rule
            sweep = partial(_sweep, thresholds=thresholds, rule=rule, removal=run.postprocess, volumes_mm3=volumes_mm3)
            measure = sweep if run.is_tuned else partial(_measure_mask, rule=rule)
            tables = _results(map_scans(measure, pairs, f"sweep {run.name} ({set_name})"))
            table = pd.concat(tables, ignore_index=True)
            about = pd.DataFrame({"set": set_name, **run.columns}, index=table.index)
            write_table(path, pd.concat([table.iloc[:, :3], about, table.iloc[:, 3:]], axis="columns"))
    return read_table(path)


def write_masks(study: Study, run: Method, threshold: float | None, scans: Sequence[Scan]) -> None:
    """Cut the probability maps of a run or comparator at its threshold, unless the masks are there already.

    Args:
        study: The study.
        run: Whose maps.
        threshold: None for a comparator that is given as masks: nothing is left to be done but to say so.
        scans: Of which sets it may be.
    """
    folder = study.folder
    pairs = [map_pair(scan, folder, run) for scan in scans]
    key, mark = f"masks/{run.name}", fingerprint(sweep_mark(study, run, scans), threshold)
    if folder.is_done(key, mark, *(mask_file(pair.scan_id, folder, run) for pair in pairs)):
        return

    def cut(pair: MapPair) -> Path:
        path = mask_file(pair.scan_id, folder, run)
        if threshold is not None:
            write_mask(pair.prediction, path, folder.derivatives, threshold, run, pair.cord_mask)
        return path

    with folder.stage(key, mark):
        _results(map_scans(cut, pairs, f"write masks {run.name}"))


def map_pair(scan: Scan, folder: StudyFolder, run: Method) -> MapPair:
    """Return a scan's reference and its probability map by a run, or the mask where there is no map to tune."""
    assert scan.reference is not None
    probability = folder.probability(scan.scan_id, run.maps_name)
    prediction = probability if run.is_tuned else mask_path(probability)
    return MapPair(scan.scan_id, scan.subject, scan.session, scan.reference, prediction, scan.cord_mask)


def mask_file(scan_id: str, folder: StudyFolder, run: Method) -> Path:
    """Return the path of a scan's mask; a comparator's maps have a threshold, and so a mask, in every fold."""
    return mask_path(folder.probability(scan_id, run.name if run.is_tuned else run.maps_name))


def _predict(study: Study, run: RunConfig, scans: Sequence[Scan], set_name: SetName) -> None:
    """Write the probability map of each scan that has none yet from this very network."""
    folder = study.folder
    marks = map_marks(study, run, scans)
    maps = {scan: folder.probability(scan.scan_id, run.name) for scan in scans}
    pending = [scan for scan in scans if not folder.is_done(predict_key(scan, run), marks[scan], maps[scan])]
    if not pending:
        return
    from cordlesion.model.bundle import load_own_bundle
    from cordlesion.prediction import predict_to_file

    bundle = load_own_bundle(folder.bundle(run.name))
    describe_dataset(folder, study.config.dataset)
    for scan in track(pending, f"predict {run.name} ({set_name})", len(pending)):
        with folder.stage(predict_key(scan, run), marks[scan]):
            predict_to_file(bundle, scan.image, folder.stack(scan.scan_id), maps[scan])
            describe_map(maps[scan], scan.image, study.config.dataset, run.name)


def _sweep(
    pair: MapPair,
    thresholds: Sequence[float],
    rule: str,
    removal: PostprocessConfig,
    volumes_mm3: Sequence[float],
) -> pd.DataFrame:
    """Measure a map at every threshold, and that with each minimum volume where there are some."""
    if not volumes_mm3:
        return sweep_map(pair, thresholds, rule, removal)
    tables = []
    for volume in volumes_mm3:
        table = sweep_map(pair, thresholds, rule, removal.model_copy(update={VOLUME: volume}))
        table.insert(list(table).index("threshold") + 1, VOLUME, volume)
        tables.append(table)
    return pd.concat(tables, ignore_index=True)


def _measure_mask(pair: MapPair, rule: str) -> pd.DataFrame:
    """Measure a mask that is taken as it is."""
    table = pd.DataFrame([metric_row(pair, evaluate_mask(pair, rule))])
    table.insert(3, "threshold", math.nan)
    return table


def _results(outcomes: Sequence[Outcome[Item, Result]]) -> list[Result]:
    """Return every result, where none may be missing."""
    for outcome in outcomes:
        if outcome.fault:
            raise CordlesionError(outcome.fault)
    return [outcome.result for outcome in outcomes if outcome.result is not None]
