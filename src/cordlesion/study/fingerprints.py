"""Fingerprints: what the result of each unit of work depends on; and the names of their done-markers."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from cordlesion.config import DRAWN, ComparatorRun, Method, PreprocessConfig, RunConfig
from cordlesion.dataset.scan import Scan
from cordlesion.io.fingerprints import ResultKind, earlier_fingerprints, fingerprint
from cordlesion.study.finder_fingerprint import finder_fingerprint
from cordlesion.threshold import GRIDS

if TYPE_CHECKING:
    from cordlesion.study.sets import Cohort, Study


def stack_mark(config: PreprocessConfig, hashes: Mapping[str, str], lesion_value: float | None = None) -> str:
    """Return the fingerprint of a scan's stack.

    Args:
        config: How it is cut.
        hashes: SHA-256 of the scan's files, and of the network that finds its centerline, if that is a file.
        lesion_value: The value that is lesion in the reference, where it was given.
    """
    kind, parts = _made_of(config, hashes, lesion_value)
    return fingerprint(kind, *parts)


def earlier_stack_marks(
    config: PreprocessConfig, hashes: Mapping[str, str], lesion_value: float | None = None
) -> list[str]:
    """Return the fingerprints of a scan's stack in the versions before; arguments as for :func:`stack_mark`."""
    kind, parts = _made_of(config, hashes, lesion_value)
    return earlier_fingerprints(kind, *parts)


def _made_of(
    config: PreprocessConfig, hashes: Mapping[str, str], lesion_value: float | None
) -> tuple[ResultKind, list[object]]:
    kinds = ("image", "reference", *([config.guide] if config.guide else []))
    found = finder_fingerprint(config)
    kind: ResultKind = "drawn stack" if config.guide in DRAWN.values() else "stack"
    # What is not set is left out, so that older fingerprints stay what they are.
    parts: list[object] = [found] if found else []
    parts += [] if lesion_value is None else [{"lesion_value": lesion_value}]
    return kind, [config.decisive, {kind: hashes.get(kind) for kind in kinds}, *parts]


def train_mark(study: "Study", run: RunConfig) -> str:
    """Return the fingerprint of a training."""
    sets = {name: _stacks(study, study.in_set(name, run.fold)) for name in ("train", "validation")}
    return fingerprint("training", run.learned_from, sets)


def map_marks(study: "Study", run: RunConfig, scans: Sequence[Scan]) -> dict[Scan, str]:
    """Return the fingerprint of each scan's probability map."""
    # Once for all scans: it is made of every scan that the network was trained on.
    prediction = _prediction_mark(study, run)
    return {scan: fingerprint("map", prediction, study.stack_marks[scan.scan_id]) for scan in scans}


def brought_mark(study: "Cohort | Study", run: ComparatorRun, scan: Scan) -> str:
    """Return the fingerprint of a comparator's probability map of a scan (or, where it is given as masks, its mask)."""
    comparator, hashes = study.comparators[run.comparator.name], study.hashes[scan.scan_id]
    own = comparator.preprocess_in(study.config.preprocess)
    # Files are compared with the reference too, of which they must be no copies.
    value = study.config.patterns.lesion_value
    if own:
        return fingerprint("map", comparator.origin(scan.scan_id), stack_mark(own, hashes, value))
    given = [] if value is None else [value]
    return fingerprint("comparator", comparator.origin(scan.scan_id), hashes["image"], hashes["reference"], *given)


def sweep_mark(study: "Study", run: Method, scans: Sequence[Scan], volumes_mm3: Sequence[float] = ()) -> str:
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
    if isinstance(run, ComparatorRun):
        maps = [brought_mark(study, run, scan) for scan in scans]
        return fingerprint("sweep", maps, [study.hashes[scan.scan_id]["reference"] for scan in scans], names, *measured)
    return fingerprint("sweep", _prediction_mark(study, run), _stacks(study, scans), names, *measured)


def stack_key(scan_id: str) -> str:
    """Return the name of a stack's marker."""
    return f"preprocess/{scan_id}"


def train_key(run: RunConfig) -> str:
    """Return the name of a training's marker."""
    return f"train/{run.name}"


def predict_key(scan: Scan, run: Method) -> str:
    """Return the name of a probability map's marker."""
    return f"predict/{run.maps_name}/{scan.scan_id}"


def _stacks(study: "Study", scans: Sequence[Scan]) -> list[str]:
    return [study.stack_marks[scan.scan_id] for scan in scans]


def _prediction_mark(study: "Study", run: RunConfig) -> str:
    return fingerprint("map", train_mark(study, run), run.prediction.hashed())
