"""Groups of subjects that are alike in lesion load and site."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import wasserstein_distance

from cordlesion.dataset.scan import Scan, ScanContent
from cordlesion.errors import CordlesionError

_CANDIDATES = 500
"""Random assignments that are compared; the best balanced one is taken."""


@dataclass(frozen=True)
class _Load:
    """Lesion load of one subject: one value per lesion-bearing scan."""

    subject: str
    site: str
    n_lesions: tuple[int, ...]
    log_volumes: tuple[float, ...]

    @property
    def n_scans(self) -> int:
        return len(self.n_lesions)


def share_out(
    scans: Sequence[Scan],
    contents: Mapping[str, ScanContent],
    shares: npt.NDArray[np.float64],
    key: Sequence[int],
    whole: str,
    purpose: str,
    last: Sequence[Scan] = (),
) -> dict[str, int]:
    """Return the group of each subject of ``scans``: those with lesions balanced, the others in random order.

    Args:
        scans: All scans of the subjects that are assigned.
        contents: Lesion load and image hash, by scan name.
        shares: Share of each group in the lesion-bearing scans; their sum is 1.
        key: Key of the random numbers.
        whole: Name of the scans as a whole, for messages.
        purpose: Purpose of the groups, for messages.
        last: Scans that are already in the last group; they count in its share.

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
    # The last group first: with few lesion-free subjects, test and threshold set need them most.
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
        f"{whole} has {n_found} subjects with lesions in all their scans, beside {len(settled)} who have a lesion-free "
        f"scan too and so go to test; at least {n_needed} are needed, {purpose}. Add references (files named "
        "*_label-lesion_seg.nii.gz), or let those subjects be shared (`split.lesion_free: stratified`)."
    )


def _balanced(
    loads: Sequence[_Load], settled: Sequence[_Load], shares: npt.NDArray[np.float64], rng: np.random.Generator
) -> npt.NDArray[np.int64]:
    sizes = np.array([load.n_scans for load in loads], dtype=np.float64)
    taken = np.zeros(len(shares))
    taken[-1] = sum(load.n_scans for load in settled)
    candidates = (_fill(sizes, shares, rng.permutation(len(loads)), taken) for _ in range(_CANDIDATES))
    everyone, fixed = [*loads, *settled], np.full(len(settled), len(shares) - 1)
    return min(candidates, key=lambda groups: _imbalance(everyone, np.append(groups, fixed), shares))


def _fill(
    sizes: npt.NDArray[np.float64],
    shares: npt.NDArray[np.float64],
    order: npt.NDArray[np.int64],
    taken: npt.NDArray[np.float64] | None = None,
) -> npt.NDArray[np.int64]:
    """Give subjects in ``order`` to the group that lacks the largest share of its scans; each group gets one first.

    ``taken`` is the number of scans that each group has already.
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


def _imbalance(loads: Sequence[_Load], sets: npt.NDArray[np.int64], shares: npt.NDArray[np.float64]) -> float:
    """Distance of each group from the whole: distributions of lesion number and volume, number of scans, site shares.

    Distributions are compared as such (Wasserstein): two groups may agree in the mean and differ in the median.
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
