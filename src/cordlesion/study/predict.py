"""Probability maps of runs and comparators, their metrics at every threshold, and the masks that are cut from them."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

import pandas as pd

from cordlesion.config import Method, PostprocessConfig, RunConfig, SetName
from cordlesion.dataset.matching import MapPair
from cordlesion.dataset.scan import Scan
from cordlesion.errors import CordlesionError
from cordlesion.evaluation import evaluate_mask, metric_row, sweep_map
from cordlesion.execution.local import LOCAL, Executor, Outcome, map_scans
from cordlesion.io.fingerprints import fingerprint
from cordlesion.io.tables import read_table, write_table
from cordlesion.study.comparators.maps import ComparatorMaps, MapOf, bring_comparator, comparator_maps
from cordlesion.study.fingerprints import brought_mark, map_marks, predict_key, sweep_mark
from cordlesion.study.inputs import require_unchanged
from cordlesion.study.sets import Study
from cordlesion.study_folder.derivatives import describe_dataset, describe_map, mask_path, write_mask
from cordlesion.study_folder.folder import StudyFolder
from cordlesion.study_folder.tables import SWEEP
from cordlesion.threshold import GRIDS, VOLUME

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True)
class RunMaps:
    """The probability maps of a run in a study folder, and how they come there."""

    run: RunConfig
    folder: StudyFolder
    dataset: Path

    def load(self) -> MapOf:
        """Load the network and return what writes its map of a scan."""
        from cordlesion.model.bundle import load_own_bundle
        from cordlesion.prediction import predict_to_file

        bundle = load_own_bundle(self.folder.bundle(self.run.name))

        def write(scan: Scan, mark: str, hashes: Mapping[str, str]) -> None:
            path = self.folder.probability(scan.scan_id, self.run.name)
            with self.folder.stage(predict_key(scan, self.run), mark, path):
                predict_to_file(bundle, scan.image, self.folder.stack(scan.scan_id), path)
                describe_map(path, scan.image, self.dataset, self.run.name)
                require_unchanged(scan, hashes, ["image"])

        return write

    def is_done(self, scan: Scan, mark: str) -> bool:
        """Tell whether the map of a scan is there, from this very network."""
        path = self.folder.probability(scan.scan_id, self.run.name)
        return self.folder.is_done(predict_key(scan, self.run), mark, path)


@dataclass(frozen=True)
class MapToWrite:
    """A scan of which a method has no map yet."""

    maps: RunMaps | ComparatorMaps
    scan: Scan
    mark: str
    """Fingerprint of the map."""
    hashes: Mapping[str, str]
    """SHA-256 of the scan's files."""

    @property
    def unit(self) -> str:
        """Its name among the maps."""
        return f"{self.maps.run.maps_name}/{self.scan.scan_id}"


class MapWriter:
    """Writes one map after another; a network is loaded once for all its maps that come in a row."""

    def __init__(self) -> None:
        self._maps: RunMaps | ComparatorMaps | None = None
        self._write: MapOf | None = None

    def __call__(self, wanted: MapToWrite) -> None:
        """Write one map, unless that is done."""
        if wanted.maps.is_done(wanted.scan, wanted.mark):
            return
        if self._write is None or self._maps is not wanted.maps:
            self._maps, self._write = wanted.maps, wanted.maps.load()
        self._write(wanted.scan, wanted.mark, wanted.hashes)


def write_maps(study: Study, scans: Sequence[tuple[Method, Sequence[Scan]]], executor: Executor = LOCAL) -> None:
    """Write the probability maps of each method that are not there yet.

    Args:
        study: The study.
        scans: Each method with the scans of which its maps are needed.
        executor: Where networks predict.

    Raises:
        CordlesionError: A map cannot be written, a sentence for each.
    """
    pending: dict[str, MapToWrite] = {}  # by unit: a comparator's maps are the same in every fold
    for k, (method, needed) in enumerate(scans, start=1):
        pending |= {one.unit: one for one in _pending(study, method, needed)}
        if pending and (len(pending) >= executor.maps_at_once or k == len(scans)):
            _write(study, list(pending.values()), executor)
            pending = {}


def sweep_set(
    study: Study, run: Method, set_name: SetName, scans: Sequence[Scan], volumes_mm3: Sequence[float] = ()
) -> pd.DataFrame:
    """Measure the maps of a set's scans at every threshold, unless that is done.

    Args:
        study: The study.
        run: Whose maps, and how they are post-processed.
        set_name: For the table.
        scans: Of the set.
        volumes_mm3: Minimum lesion volumes to be measured, each, in place of the run's own.

    Returns:
        A row per scan and threshold (and minimum volume, then with a column of it); of a comparator that is given as
        masks a row per scan, with an undefined threshold.
    """
    folder, path = study.folder, study.folder.run_sweep(run.name, set_name)
    key, mark = f"sweep/{run.name}_{set_name}", sweep_mark(study, run, scans, volumes_mm3)
    if not folder.is_done(key, mark, path):
        with folder.stage(key, mark, path):
            pairs = [map_pair(scan, folder, run) for scan in scans]
            thresholds, rule = GRIDS[study.config.threshold.grid], study.config.evaluation.rule
            sweep = partial(_sweep, thresholds=thresholds, rule=rule, removal=run.postprocess, volumes_mm3=volumes_mm3)
            measure = sweep if run.is_tuned else partial(_measure_mask, rule=rule)
            tables = _results(map_scans(measure, pairs, f"sweep {run.name} ({set_name})"))
            _require_unchanged(study, run, scans)
            write_table(path, pd.concat(tables, ignore_index=True).assign(set=set_name, **run.columns), SWEEP)
    return read_table(path, SWEEP)


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
    key, mark = f"masks/{run.name}", fingerprint("masks", sweep_mark(study, run, scans), threshold)
    masks = [mask_file(pair.scan_id, folder, run) for pair in pairs]
    if folder.is_done(key, mark, *masks):
        return

    def cut(pair: MapPair) -> Path:
        path = mask_file(pair.scan_id, folder, run)
        if threshold is not None:
            write_mask(pair.prediction, path, folder.derivatives, threshold, run, pair.cord_mask)
        return path

    with folder.stage(key, mark, *masks):
        _results(map_scans(cut, pairs, f"write masks {run.name}"))


def map_pair(scan: Scan, folder: StudyFolder, run: Method) -> MapPair:
    """Return a scan's reference and its probability map by a run, or the mask where there is no map to tune."""
    assert scan.reference is not None
    probability = folder.probability(scan.scan_id, run.maps_name)
    prediction = probability if run.is_tuned else mask_path(probability)
    return MapPair(
        scan.scan_id, scan.subject, scan.session, scan.reference, prediction, scan.cord_mask, scan.lesion_value
    )


def mask_file(scan_id: str, folder: StudyFolder, run: Method) -> Path:
    """Return the path of a scan's mask; a comparator's maps have a threshold, and so a mask, in every fold."""
    return mask_path(folder.probability(scan_id, run.name if run.is_tuned else run.maps_name))


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
        tables.append(table.assign(**{VOLUME: volume}))
    return pd.concat(tables, ignore_index=True)


def _write(study: Study, pending: Sequence[MapToWrite], executor: Executor) -> None:
    describe_dataset(study.folder, study.config.dataset)
    methods = list(dict.fromkeys(one.maps.run.maps_name for one in pending))
    outcomes = executor.each_map(MapWriter(), pending, f"predict {methods[0] if len(methods) == 1 else 'maps'}")
    if faults := dict.fromkeys(outcome.fault for outcome in outcomes if outcome.fault):
        raise CordlesionError("\n".join(faults))


def _pending(study: Study, method: Method, scans: Sequence[Scan]) -> list[MapToWrite]:
    maps: RunMaps | ComparatorMaps
    if isinstance(method, RunConfig):
        maps = RunMaps(method, study.folder, study.config.dataset)
        wanted = [
            MapToWrite(maps, scan, mark, study.hashes[scan.scan_id])
            for scan, mark in map_marks(study, method, scans).items()
        ]
    elif method.comparator.kind == "bundle":
        maps = comparator_maps(study, method)
        wanted = [
            MapToWrite(maps, scan, brought_mark(study, method, scan), study.hashes[scan.scan_id]) for scan in scans
        ]
    else:
        bring_comparator(study, method, scans)
        wanted = []
    return [one for one in wanted if not one.maps.is_done(one.scan, one.mark)]


def _require_unchanged(study: Study, run: Method, scans: Sequence[Scan]) -> None:
    kinds = ["reference", *(["cord_mask"] if run.postprocess.cord_margin_mm is not None else [])]
    for scan in scans:
        require_unchanged(scan, study.hashes[scan.scan_id], kinds)


def _measure_mask(pair: MapPair, rule: str) -> pd.DataFrame:
    """Measure a mask that is taken as it is."""
    return pd.DataFrame([metric_row(pair, evaluate_mask(pair, rule))]).assign(threshold=math.nan)


def _results(outcomes: Sequence[Outcome[Item, Result]]) -> list[Result]:
    """Return every result, where none may be missing."""
    for outcome in outcomes:
        if outcome.fault:
            raise CordlesionError(outcome.fault)
    return [outcome.result for outcome in outcomes if outcome.result is not None]
