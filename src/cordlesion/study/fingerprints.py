"""Fingerprints: what the result of each unit of work depends on; and the names of their done-markers."""

from collections.abc import Sequence

from cordlesion.config import ComparatorRun, EnsembleRun, Method, RunConfig
from cordlesion.dataset.scan import Scan
from cordlesion.io.fingerprints import fingerprint
from cordlesion.io.import_path import source_hashes
from cordlesion.study.sets import Cohort, Study
from cordlesion.study.stack_fingerprint import stack_fingerprint
from cordlesion.threshold import GRIDS


def train_fingerprint(study: Study, run: RunConfig) -> str:
    """Return the fingerprint of a training."""
    sets = {name: _stacks(study, study.in_set(name, run.fold)) for name in ("train", "validation")}
    return fingerprint("training", run.learned_from, sets)


def map_fingerprints(study: Study, run: RunConfig | EnsembleRun, scans: Sequence[Scan]) -> dict[Scan, str]:
    """Return the fingerprint of each scan's probability map; that of an ensemble follows from those of its members."""
    if isinstance(run, EnsembleRun):
        members = [map_fingerprints(study, member, scans) for member in run.members]
        return {scan: fingerprint("ensemble", [of_member[scan] for of_member in members]) for scan in scans}
    # Computed once for all scans: it depends on every scan that the network was trained on.
    prediction = _prediction_fingerprint(study, run)
    return {scan: fingerprint("map", prediction, study.stack_fingerprints[scan.scan_id]) for scan in scans}


def imported_fingerprint(study: Cohort | Study, run: ComparatorRun, scan: Scan) -> str:
    """Return the fingerprint of a comparator's probability map of a scan (or of its mask, if it is given as masks)."""
    comparator, hashes = study.comparators[run.comparator.name], study.hashes[scan.scan_id]
    own = comparator.preprocess_in(study.config.preprocess)
    # Files are compared with the reference too, of which they must be no copies.
    value = study.config.patterns.lesion_value
    if own:
        return fingerprint("map", comparator.origin(scan.scan_id), stack_fingerprint(own, hashes, value))
    given = [] if value is None else [value]
    return fingerprint("comparator", comparator.origin(scan.scan_id), hashes["image"], hashes["reference"], *given)


def sweep_fingerprint(study: Study, run: Method, scans: Sequence[Scan], volumes_mm3: Sequence[float] = ()) -> str:
    """Return the fingerprint of the metrics of some scans at every threshold (and minimum lesion volume)."""
    removal = run.postprocess
    cords = [study.hashes[scan.scan_id].get("cord_mask") for scan in scans if removal.cord_margin_mm is not None]
    measured = [
        study.config.evaluation.rule,
        list(GRIDS[study.config.threshold.grid]),
        removal.hashed(),
        cords,
        *([list(volumes_mm3)] if volumes_mm3 else []),
    ]
    # The table names scans and subjects; a corrected name must not leave the old one there.
    names = [(scan.scan_id, scan.subject, scan.session) for scan in scans]
    if not isinstance(run, RunConfig):
        maps = _maps_measured(study, run, scans)
        return fingerprint("sweep", maps, [study.hashes[scan.scan_id]["reference"] for scan in scans], names, *measured)
    return fingerprint("sweep", _prediction_fingerprint(study, run), _stacks(study, scans), names, *measured)


def measured_fingerprint(study: Study, run: Method, scans: Sequence[Scan], volumes_mm3: Sequence[float] = ()) -> str:
    """Return the fingerprint of a sweep with the user's own metrics; no mask depends on these.

    Raises:
        CordlesionError: A metric cannot be imported.
    """
    made_from, own = sweep_fingerprint(study, run, scans, volumes_mm3), study.config.evaluation.metrics
    if not own:
        return made_from
    # The direction in which a metric is better changes no value.
    named = [(one.title, one.name, one.parameters, source_hashes(one.name, study.config.code)) for one in own]
    return fingerprint("sweep", made_from, named)


def _maps_measured(study: Study, run: EnsembleRun | ComparatorRun, scans: Sequence[Scan]) -> list[str]:
    if isinstance(run, EnsembleRun):
        return list(map_fingerprints(study, run, scans).values())
    return [imported_fingerprint(study, run, scan) for scan in scans]


def train_key(run: RunConfig) -> str:
    """Return the name of a training's done-marker."""
    return f"train/{run.name}"


def predict_key(scan: Scan, run: Method) -> str:
    """Return the name of a probability map's done-marker."""
    return f"predict/{run.maps_name}/{scan.scan_id}"


def _stacks(study: Study, scans: Sequence[Scan]) -> list[str]:
    return [study.stack_fingerprints[scan.scan_id] for scan in scans]


def _prediction_fingerprint(study: Study, run: RunConfig) -> str:
    return fingerprint("map", train_fingerprint(study, run), run.prediction.hashed())
