"""Divides subjects into groups with similar lesion load and sites."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import wasserstein_distance

from cordlesion.dataset.scan import Scan, ScanContent
from cordlesion.errors import CordlesionError
from cordlesion.io.arrays import FloatArray, IntArray

_CANDIDATES = 500
"""Number of random assignments; the best balanced one is used."""


@dataclass(frozen=True)
class _Load:
    """Lesion load of one subject: one value per scan with lesions."""

    subject: str
    site: str
    n_lesions: tuple[int, ...]
    log_volumes: tuple[float, ...]

    @property
    def n_scans(self) -> int:
        return len(self.n_lesions)


def assign_groups(
    scans: Sequence[Scan],
    contents: Mapping[str, ScanContent],
    shares: FloatArray,
    key: Sequence[int],
    whole: str,
    purpose: str,
    last: Sequence[Scan] = (),
) -> dict[str, int]:
    """Assign each subject to a group: subjects with lesions are balanced, the others are assigned at random.

    Args:
        scans: All scans of the subjects.
        contents: Lesion load and image hash, by scan name.
        shares: Share of each group in the scans with lesions; the sum is 1.
        key: Key of the random generator.
        whole: Name of all scans, for messages.
        purpose: Purpose of the groups, for messages.
        last: Scans that are already in the last group; they count for its share.

    Returns:
        The index of the group of each subject.

    Raises:
        CordlesionError: Fewer subjects with lesions than groups.
    """
    loads, settled = _loads(scans, contents), _loads(last, contents)
    needed = len(shares) - bool(settled)
    if len(loads) < needed:
        raise CordlesionError(_too_few(len(loads), needed, settled, whole, purpose))
    groups = _balanced(loads, settled, shares, np.random.default_rng([*key, 0]))
    free = sorted({scan.subject for scan in scans} - {load.subject for load in loads})
    order = np.random.default_rng([*key, 1]).permutation(len(free))
    # The last group first: if there are few lesion-free subjects, test and threshold set need them most.
    free_groups = len(shares) - 1 - _fill(np.ones(len(free)), shares[::-1], order)
    named = zip([load.subject for load in loads] + free, [*groups, *free_groups], strict=True)
    return {subject: int(group) for subject, group in named}


def _too_few(n_found: int, n_needed: int, settled: Sequence[_Load], whole: str, purpose: str) -> str:
    if not settled:
        return (
            f"{whole} has {n_found} subjects with lesions; at least {n_needed} are needed, {purpose}. "
            "Add references (files named *_label-lesion_seg.nii.gz)."
        )
    return (
        f"{whole} has {n_found} subjects with lesions in all their scans; {len(settled)} others also have a lesion-"
        f"free scan and therefore go to test. At least {n_needed} are needed, {purpose}. Add references (files named "
        "*_label-lesion_seg.nii.gz), or distribute those subjects over the sets (`split.lesion_free: stratified`)."
    )


def _balanced(
    loads: Sequence[_Load], settled: Sequence[_Load], shares: FloatArray, rng: np.random.Generator
) -> IntArray:
    sizes = np.array([load.n_scans for load in loads], dtype=np.float64)
    taken = np.zeros(len(shares))
    taken[-1] = sum(load.n_scans for load in settled)
    candidates = (_fill(sizes, shares, rng.permutation(len(loads)), taken) for _ in range(_CANDIDATES))
    everyone, fixed = [*loads, *settled], np.full(len(settled), len(shares) - 1)
    return min(candidates, key=lambda groups: _imbalance(everyone, np.append(groups, fixed), shares))


def _fill(
    sizes: FloatArray,
    shares: FloatArray,
    order: IntArray,
    taken: FloatArray | None = None,
) -> IntArray:
    """Assign subjects in ``order`` to the group with the largest missing share; first, each group gets one subject.

    ``taken`` is the number of scans that each group already has.
    """
    filled = np.zeros(len(shares)) if taken is None else taken.copy()
    wanted = shares * (sizes.sum() + filled.sum())
    empty = np.flatnonzero(filled == 0)
    groups = np.zeros(len(sizes), dtype=np.int64)
    for rank, index in enumerate(order):
        chosen = int(empty[rank]) if rank < len(empty) else int(np.argmax((wanted - filled) / wanted))
        groups[index] = chosen
        filled[chosen] += sizes[index]
    return groups


def _imbalance(loads: Sequence[_Load], sets: IntArray, shares: FloatArray) -> float:
    """Return the difference between groups and the whole: lesion number and volume, number of scans, site shares.

    Whole distributions are compared (Wasserstein distance), because groups with equal means may have other medians.
    """
    set_of_scan = np.repeat(sets, [load.n_scans for load in loads])
    values = [np.concatenate([load.n_lesions for load in loads]), np.concatenate([load.log_volumes for load in loads])]
    sites = np.array([[load.site == name for name in sorted({o.site for o in loads})] for load in loads], dtype=float)
    cost = 0.0
    for index, share in enumerate(shares):
        mine = set_of_scan == index
        for value in values:
            cost += mine.sum() * (wasserstein_distance(value[mine], value) / (value.std() + 1e-9)) ** 2
        cost += (mine.sum() - share * len(mine)) ** 2
        cost += 0.5 * np.abs(sites[sets == index].mean(axis=0) - sites.mean(axis=0)).sum()
    return float(cost)


def _loads(scans: Sequence[Scan], contents: Mapping[str, ScanContent]) -> list[_Load]:
    by_subject: dict[str, list[Scan]] = {}
    for scan in sorted(scans, key=lambda s: s.scan_id):
        if contents[scan.scan_id].lesion_volume_mm3 > 0:
            by_subject.setdefault(scan.subject, []).append(scan)
    return [_load(subject, mine, contents) for subject, mine in by_subject.items()]


def _load(subject: str, scans: Sequence[Scan], contents: Mapping[str, ScanContent]) -> _Load:
    mine = [contents[scan.scan_id] for scan in scans]
    volumes = tuple(float(np.log(content.lesion_volume_mm3)) for content in mine)
    return _Load(subject, scans[0].site, tuple(content.n_lesions for content in mine), volumes)
