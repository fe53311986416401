"""Chooses a small subset of a dataset that can still be split, to try out a study."""

from collections.abc import Mapping, Sequence

import numpy as np

from cordlesion.config import SETS, SplitConfig
from cordlesion.dataset.scan import Scan, ScanContent
from cordlesion.errors import CordlesionError


def choose_subset(
    scans: Sequence[Scan], contents: Mapping[str, ScanContent], n_scans: int, config: SplitConfig
) -> list[Scan]:
    """Choose subjects with all their scans: of any lesion load and without lesions, in the proportion of the dataset.

    As many subjects as ``n_scans`` allows are chosen, with enough of both kinds for every set (and fold). The same
    scans give the same subset.

    Args:
        scans: The usable scans of the dataset.
        contents: Lesion load and image hash, by scan name.
        n_scans: Maximum number of scans.
        config: Configuration of the split.

    Returns:
        The chosen scans, in the order of ``scans``.

    Raises:
        CordlesionError: ``n_scans`` is too small to fill every set.
    """
    if not scans:
        raise CordlesionError(
            f"--limit-scans {n_scans}: the dataset has no usable scan with a reference, so that none can be chosen. "
            "Add references (*_label-lesion_seg.nii.gz), or set `patterns` in the study."
        )
    by_subject: dict[str, list[Scan]] = {}
    for scan in sorted(scans, key=lambda s: s.scan_id):
        by_subject.setdefault(scan.subject, []).append(scan)
    volumes = {name: [contents[s.scan_id].lesion_volume_mm3 for s in mine] for name, mine in by_subject.items()}
    # Subjects with a lesion-free scan go to the test set, so they are not available for the other sets.
    learned = any if config.lesion_free == "stratified" else all
    with_lesions = sorted((n for n in by_subject if learned(v > 0 for v in volumes[n])), key=lambda n: sum(volumes[n]))
    # Sorted by decreasing lesion volume; the first is always chosen. It may be the only one for the test set.
    free = sorted(by_subject.keys() - set(with_lesions), key=lambda n: (-sum(volumes[n]), n))
    min_with, min_free = min(_min_subjects(config), len(with_lesions)), min(_min_lesion_free(config), len(free))
    for n_subjects in range(len(by_subject), min_with + min_free - 1, -1):
        n_free = round(n_subjects * len(free) / len(by_subject))
        n_free = min(max(n_free, min_free), n_subjects - min_with)
        chosen = {*_spread(with_lesions, n_subjects - n_free), *_spread(free, n_free)}
        size = sum(len(by_subject[name]) for name in chosen)
        if size <= n_scans:
            return [scan for scan in scans if scan.subject in chosen]
    raise CordlesionError(
        f"--limit-scans {n_scans}: leaves a set without scans; the smallest subset that fills every set "
        f"has {size}. Use this number."
    )


def _min_subjects(config: SplitConfig) -> int:
    """Return the number of subjects that fills every set of every fold."""
    if config.folds == 1:
        return len(SETS)
    # A fold tests at most the rounded-up share; the other subjects must fill the other sets.
    return next(n for n in range(config.folds, config.folds + 7) if n - -(-n // config.folds) >= len(SETS) - 1)


def _min_lesion_free(config: SplitConfig) -> int:
    return _min_subjects(config) if config.lesion_free == "stratified" else config.folds


def _spread(names: Sequence[str], n: int) -> list[str]:
    """Return ``n`` evenly spaced names."""
    return [names[index] for index in np.linspace(0, len(names) - 1, n).round().astype(int)]
