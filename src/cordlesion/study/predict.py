"""Probability maps of every method, their metrics at every threshold, and the masks of the tuned rule."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pandas as pd

from cordlesion.config import EnsembleRun, Method, RunConfig, SetName
from cordlesion.dataset.matching import MapPair
from cordlesion.dataset.scan import Scan
from cordlesion.errors import CordlesionError
from cordlesion.evaluation import load_metrics, measure_mask, sweep_volumes
from cordlesion.execution.local import LOCAL, Executor, map_scans
from cordlesion.execution.outcome import Item, Outcome, Result
from cordlesion.io.fingerprints import fingerprint
from cordlesion.io.tables import read_table, write_table
from cordlesion.metrics.own import OwnMetric
from cordlesion.study.comparators.maps import ComparatorMaps, MapOf, comparator_maps, import_comparator
from cordlesion.study.ensembles import EnsembleMaps
from cordlesion.study.fingerprints import (
    imported_fingerprint,
    map_fingerprints,
    measured_fingerprint,
    predict_key,
    sweep_fingerprint,
)
from cordlesion.study.inputs import require_unchanged
from cordlesion.study.sets import Study
from cordlesion.study_folder.derivatives import describe_dataset, describe_map, mask_path, write_mask
from cordlesion.study_folder.folder import StudyFolder
from cordlesion.study_folder.tables import SWEEP
from cordlesion.threshold import GRIDS, ThresholdRule


@dataclass(frozen=True)
class RunMaps:
    """The probability maps of a run in a study folder, and how they are written."""

    run: RunConfig
    folder: StudyFolder
    dataset: Path

    def load(self) -> MapOf:
        """Load the network and return a function that writes its map of a scan."""
        from cordlesion.model.bundle import load_own_bundle
        from cordlesion.prediction import predict_to_file

        bundle = load_own_bundle(self.folder.bundle(self.run.name), self.run.code)

        def write(scan: Scan, fingerprint: str, hashes: Mapping[str, str]) -> None:
            path = self.folder.probability(scan.scan_id, self.run.name)
            with self.folder.stage(predict_key(scan, self.run), fingerprint, path):
                predict_to_file(bundle, scan.image, self.folder.stack(scan.scan_id), path)
                describe_map(path, scan.image, self.dataset, self.run.name)
                require_unchanged(scan, hashes, ["image"])

        return write

    def is_done(self, scan: Scan, fingerprint: str) -> bool:
        """Return whether the map of a scan exists, written by this network."""
        path = self.folder.probability(scan.scan_id, self.run.name)
        return self.folder.is_done(predict_key(scan, self.run), fingerprint, path)


@dataclass(frozen=True)
class MapToWrite:
    """A probability map that a method has not written yet."""

    maps: RunMaps | EnsembleMaps | ComparatorMaps
    scan: Scan
    fingerprint: str
    """Of the map."""
    hashes: Mapping[str, str]
    """SHA-256 of the scan's files."""

    @property
    def unit(self) -> str:
        """Its name among the maps."""
        return f"{self.maps.run.maps_name}/{self.scan.scan_id}"


class MapWriter:
    """Writes one map after another; a network is loaded once for all of its consecutive maps."""

    def __init__(self) -> None:
        self._maps: RunMaps | EnsembleMaps | ComparatorMaps | None = None
        self._write: MapOf | None = None

    def __call__(self, wanted: MapToWrite) -> None:
        """Write one map, unless that is done."""
        if wanted.maps.is_done(wanted.scan, wanted.fingerprint):
            return
        if self._write is None or self._maps is not wanted.maps:
            self._maps, self._write = wanted.maps, wanted.maps.load()
        self._write(wanted.scan, wanted.fingerprint, wanted.hashes)


def write_maps(study: Study, scans: Sequence[tuple[Method, Sequence[Scan]]], executor: Executor = LOCAL) -> None:
    """Write the missing probability maps of each method.

    Args:
        study: The study.
        scans: Each method with the scans whose maps are needed.
        executor: Where networks predict.

    Raises:
        CordlesionError: A map cannot be written, a sentence for each.
    """
    pending: dict[str, MapToWrite] = {}  # by unit: a comparator's maps are the same in every fold
    ensembles = [one for one in scans if isinstance(one[0], EnsembleRun)]
    others = [one for one in scans if not isinstance(one[0], EnsembleRun)]
    for k, (method, needed) in enumerate(others, start=1):
        pending |= {one.unit: one for one in _pending(study, method, needed)}
        if pending and (len(pending) >= executor.maps_at_once or k == len(others)):
            _write(study, list(pending.values()), executor)
            pending = {}
    # Last: they are means of maps that are written now.
    if means := [one for method, needed in ensembles for one in _pending(study, method, needed)]:
        _require_written(executor.each_scan(write_mean, means, "mean maps"))


def write_mean(wanted: MapToWrite) -> None:
    """Write the map of an ensemble, unless that is done."""
    if not wanted.maps.is_done(wanted.scan, wanted.fingerprint):
        wanted.maps.load()(wanted.scan, wanted.fingerprint, wanted.hashes)


def sweep_set(
    study: Study, run: Method, set_name: SetName, scans: Sequence[Scan], volumes_mm3: Sequence[float] = ()
) -> pd.DataFrame:
    """Measure the maps of a set's scans at every threshold, unless that is done.

    Args:
        study: The study.
        run: The run or comparator, with its post-processing.
        set_name: For the table.
        scans: Of the set.
        volumes_mm3: Minimum lesion volumes to measure, in place of the run's own.

    Returns:
        A row per scan and threshold (and minimum volume, which then has a column); for a comparator that is given as
        masks a row per scan, with an undefined threshold.
    """
    folder, path = study.folder, study.folder.run_sweep(run.name, set_name)
    key, made_from = f"sweep/{run.name}_{set_name}", measured_fingerprint(study, run, scans, volumes_mm3)
    if not folder.is_done(key, made_from, path):
        with folder.stage(key, made_from, path):
            pairs = [map_pair(scan, folder, run) for scan in scans]
            thresholds, rule = GRIDS[study.config.threshold.grid], study.config.evaluation.rule
            own = load_metrics(study.config.evaluation, study.config.code)
            how = partial(sweep_volumes, thresholds=thresholds, rule=rule, own=own)
            sweep = partial(how, removal=run.postprocess, volumes_mm3=volumes_mm3)
            measure = sweep if run.is_tuned else partial(_measure_mask, rule=rule, own=own)
            tables = _results(map_scans(measure, pairs, f"sweep {run.name} ({set_name})"))
            _require_unchanged(study, run, scans)
            write_table(path, pd.concat(tables, ignore_index=True).assign(set=set_name, **run.columns), SWEEP)
    return study.with_repeats(read_table(path, SWEEP))


def write_masks(study: Study, run: Method, rule: ThresholdRule | None, scans: Sequence[Scan]) -> None:
    """Write the masks of a run or comparator, unless they exist already.

    Args:
        study: The study.
        run: The run or comparator.
        rule: Makes masks of maps; None for a comparator that is given as masks, which exist already.
        scans: Scans of any set.
    """
    folder = study.folder
    pairs = [map_pair(scan, folder, run) for scan in scans]
    key = f"masks/{run.name}"
    made_from = fingerprint("masks", sweep_fingerprint(study, run, scans), rule and rule.decisive)
    masks = [mask_file(pair.scan_id, folder, run) for pair in pairs]
    if folder.is_done(key, made_from, *masks):
        return

    def write(pair: MapPair) -> Path:
        path = mask_file(pair.scan_id, folder, run)
        if rule is not None:
            write_mask(pair.prediction, path, folder.derivatives, rule, run, pair.cord_mask)
        return path

    with folder.stage(key, made_from, *masks):
        _results(map_scans(write, pairs, f"write masks {run.name}"))


def map_pair(scan: Scan, folder: StudyFolder, run: Method) -> MapPair:
    """Return a scan's reference and its probability map by a run, or its mask if the method has no threshold."""
    assert scan.reference is not None
    probability = folder.probability(scan.scan_id, run.maps_name)
    prediction = probability if run.is_tuned else mask_path(probability)
    return MapPair(
        scan.scan_id, scan.subject, scan.session, scan.reference, prediction, scan.cord_mask, scan.lesion_value
    )


def mask_file(scan_id: str, folder: StudyFolder, run: Method) -> Path:
    """Return the path of a scan's mask; a comparator's maps have a threshold, and a mask, in every fold."""
    return mask_path(folder.probability(scan_id, run.name if run.is_tuned else run.maps_name))


def _write(study: Study, pending: Sequence[MapToWrite], executor: Executor) -> None:
    describe_dataset(study.folder, study.config.dataset)
    methods = list(dict.fromkeys(one.maps.run.maps_name for one in pending))
    description = f"predict {methods[0] if len(methods) == 1 else 'maps'}"
    _require_written(executor.each_map(MapWriter(), pending, description))


def _require_written(outcomes: Sequence[Outcome[MapToWrite, None]]) -> None:
    if faults := dict.fromkeys(outcome.fault for outcome in outcomes if outcome.fault):
        raise CordlesionError("\n".join(faults))


def _pending(study: Study, method: Method, scans: Sequence[Scan]) -> list[MapToWrite]:
    maps: RunMaps | EnsembleMaps | ComparatorMaps
    if isinstance(method, RunConfig | EnsembleRun):
        maps = _own_maps(study, method)
        wanted = [
            MapToWrite(maps, scan, made_from, study.hashes[scan.scan_id])
            for scan, made_from in map_fingerprints(study, method, scans).items()
        ]
    elif method.comparator.kind == "bundle":
        maps = comparator_maps(study, method)
        wanted = [
            MapToWrite(maps, scan, imported_fingerprint(study, method, scan), study.hashes[scan.scan_id])
            for scan in scans
        ]
    else:
        import_comparator(study, method, scans)
        wanted = []
    return [one for one in wanted if not one.maps.is_done(one.scan, one.fingerprint)]


def _own_maps(study: Study, method: RunConfig | EnsembleRun) -> RunMaps | EnsembleMaps:
    if isinstance(method, EnsembleRun):
        return EnsembleMaps(method, study.folder)
    return RunMaps(method, study.folder, study.config.dataset)


def _require_unchanged(study: Study, run: Method, scans: Sequence[Scan]) -> None:
    kinds = ["reference", *(["cord_mask"] if run.postprocess.cord_margin_mm is not None else [])]
    for scan in scans:
        require_unchanged(scan, study.hashes[scan.scan_id], kinds)


def _measure_mask(pair: MapPair, rule: str, own: Sequence[OwnMetric]) -> pd.DataFrame:
    """Measure a mask of a comparator as it is."""
    return pd.DataFrame([measure_mask(pair, rule, own)]).assign(threshold=math.nan)


def _results(outcomes: Sequence[Outcome[Item, Result]]) -> list[Result]:
    """Return every result; none may be missing."""
    for outcome in outcomes:
        if outcome.fault:
            raise CordlesionError(outcome.fault)
    return [outcome.result for outcome in outcomes if outcome.result is not None]
