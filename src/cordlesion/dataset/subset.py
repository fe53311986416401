"""A small part of a dataset that can still be split, to try out a study."""

from collections.abc import Mapping, Sequence

import numpy as np

from cordlesion.config import SETS, SplitConfig
from cordlesion.dataset.scan import Scan, ScanContent
from cordlesion.errors import CordlesionError


def choose_subset(
    scans: Sequence[Scan], contents: Mapping[str, ScanContent], n_scans: int, config: SplitConfig
) -> list[Scan]:
    """Choose subjects with all their scans: of every lesion load, and without lesions in the dataset's proportion.

    The subset has as many subjects as the number of scans allows, and enough of both kinds for every set (and fold).
    The same scans give the same subset.

    Args:
        scans: The usable scans of the dataset.
        contents: Lesion load and image hash, by scan name.
        n_scans: Largest number of scans.
        config: The split of the subset.

    Returns:
        The chosen scans, in the order of ``scans``.

    Raises:
        CordlesionError: So few scans cannot fill every set.
    """
    if not scans:
        raise CordlesionError(
            f"--limit-scans {n_scans}: the dataset has no usable scan with a reference, so there is nothing to choose "
            "from. Add references (*_label-lesion_seg.nii.gz), or set `patterns` in the study."
        )
    by_subject: dict[str, list[Scan]] = {}
    for scan in sorted(scans, key=lambda s: s.scan_id):
        by_subject.setdefault(scan.subject, []).append(scan)
    volumes = {name: [contents[s.scan_id].lesion_volume_mm3 for s in mine] for name, mine in by_subject.items()}
    # Subjects with a lesion-free scan go to the test set, so they do not fill the other sets.
    learned = any if config.lesion_free == "stratified" else all
    bearing = sorted((n for n in by_subject if learned(v > 0 for v in volumes[n])), key=lambda n: sum(volumes[n]))
    # The subject with most lesions comes first and is always chosen: with few other subjects, it fills the test set.
    free = sorted(by_subject.keys() - set(bearing), key=lambda n: (-sum(volumes[n]), n))
    least_bearing, least_free = min(_fewest(config), len(bearing)), min(_fewest_free(config), len(free))
    for n_subjects in range(len(by_subject), least_bearing + least_free - 1, -1):
        n_free = round(n_subjects * len(free) / len(by_subject))
        n_free = min(max(n_free, least_free), n_subjects - least_bearing)
        chosen = {*_spread(bearing, n_subjects - n_free), *_spread(free, n_free)}
        size = sum(len(by_subject[name]) for name in chosen)
        if size <= n_scans:
            return [scan for scan in scans if scan.subject in chosen]
    raise CordlesionError(
        f"--limit-scans {n_scans}: leaves a set without scans; the smallest part of this dataset that fills every set "
        f"has {size}. Allow that many."
    )


def _fewest(config: SplitConfig) -> int:
    """Return how many subjects fill every set of every fold."""
    if config.folds == 1:
        return len(SETS)
    # A fold tests at most the rounded-up share; the other subjects must fill its learning sets.
    return next(n for n in range(config.folds, config.folds + 7) if n - -(-n // config.folds) >= len(SETS) - 1)


def _fewest_free(config: SplitConfig) -> int:
    return _fewest(config) if config.lesion_free == "stratified" else config.folds


def _spread(names: Sequence[str], n: int) -> list[str]:
    """Take ``n`` of the names, evenly spaced."""
    return [names[index] for index in np.linspace(0, len(names) - 1, n).round().astype(int)]
