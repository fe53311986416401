"""The profiles of a study's models: what the scans look like that they were made with."""

from collections.abc import Sequence
from pathlib import Path

from cordlesion.config import RunConfig
from cordlesion.dataset.scan import Scan
from cordlesion.errors import CordlesionError
from cordlesion.guard import features
from cordlesion.guard.profile import (
    FILE,
    MIN_SUBJECTS,
    ScanProfile,
    choose_scans,
    make_profile,
    profile_scan,
    read_profile,
)
from cordlesion.guard.profile import write_profile as write_into_bundle
from cordlesion.io.fingerprints import digest
from cordlesion.io.progress import track
from cordlesion.io.writing import remove_file
from cordlesion.preprocess.stack_file import read_stack
from cordlesion.study.sets import Study


def write_profiles(study: Study, runs: Sequence[RunConfig]) -> None:
    """Write a profile into the bundle of each run that has none of these scans.

    The scans are those that a model is made with: of the sets ``train``, ``validation`` and ``threshold``. References
    of the threshold set serve for the largest number and extent of lesions only. The test set stays closed.
    """
    for fold in study.folds.values():
        scans = [scan for part in fold.learning.values() for scan in part]
        made_from = _made_from(study, scans)
        bundles = [study.folder.bundle(run.name) for run in runs if run.fold == fold.fold]
        stale = [bundle for bundle in bundles if not _has_profile(bundle, made_from)]
        profile = _profile(study, scans, made_from) if stale else None
        for bundle in stale:
            if profile is None:
                remove_file(bundle / FILE)
            else:
                write_into_bundle(bundle, profile)


def _profile(study: Study, scans: Sequence[Scan], made_from: str) -> ScanProfile | None:
    chosen = choose_scans({scan.scan_id: scan.subject for scan in scans})
    if len(chosen) < MIN_SUBJECTS:
        return None
    spacing_mm = study.config.preprocess.spacing_mm
    names = [scan for group in chosen.values() for scan in group]
    stacks = (read_stack(study.folder.stack(name)) for name in track(names, "profile of the scans", len(names)))
    measured = dict(zip(names, (profile_scan(stack, spacing_mm) for stack in stacks), strict=True))
    return make_profile([[measured[name] for name in group] for group in chosen.values()], made_from)


def _made_from(study: Study, scans: Sequence[Scan]) -> str:
    stacks = {scan.scan_id: (scan.subject, study.stack_fingerprints[scan.scan_id]) for scan in scans}
    return digest(features.VERSION, stacks)


def _has_profile(bundle: Path, made_from: str) -> bool:
    try:
        profile = read_profile(bundle)
    except CordlesionError:
        # Damaged, or of another version: it is replaced.
        return False
    return profile is not None and profile.made_from == made_from
