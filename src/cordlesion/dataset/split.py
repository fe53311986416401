"""Subject-wise sets, balanced for lesion load and site (Hussein et al. 2023, section 2.2)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.stats import wasserstein_distance

from cordlesion.config import SETS, SplitConfig
from cordlesion.dataset.scan import Scan, ScanContent
from cordlesion.errors import CordlesionError

_CANDIDATES = 500
"""Random assignments that are compared; the best balanced one is taken."""

COLUMNS = ("scan_id", "subject", "session", "site", "set", "n_reference_lesions", "reference_volume_mm3", "reason")


@dataclass(frozen=True)
class _Load:
    """Lesion load of one subject: a value for each of its lesion-bearing scans."""

    subject: str
    site: str
    n_lesions: tuple[int, ...]
    log_volumes: tuple[float, ...]

    @property
    def n_scans(self) -> int:
        return len(self.n_lesions)


def split_scans(scans: Sequence[Scan], contents: Mapping[str, ScanContent], config: SplitConfig) -> pd.DataFrame:
    """Assign every scan to a set; all scans of a subject stay together.

    Subjects with lesions are spread in the configured proportions of lesion-bearing scans, so that number and volume of
    lesions and the sites are balanced. Subjects without any lesion follow ``config.lesion_free``.

    Args:
        scans: The scans of the dataset.
        contents: Lesion load and image hash, by scan name.
        config: Proportions and seed.

    Returns:
        One row per scan with the columns of ``splits.tsv``.

    Raises:
        CordlesionError: Fewer subjects with lesions than sets, or one image in two sets.
    """
    loads = _loads(scans, contents)
    if len(loads) < len(SETS):
        raise CordlesionError(
            f"the dataset has {len(loads)} subjects with lesions; at least {len(SETS)} are needed, "
            f"one for each of the sets {', '.join(SETS)}. Add references (files named *_label-lesion_seg.nii.gz)."
        )
    assignment = _balanced(loads, config)
    with_lesions = set(assignment)
    assignment |= _lesion_free(scans, with_lesions, config)
    rows = [
        _row(scan, contents[scan.scan_id], assignment[scan.subject], scan.subject in with_lesions, config)
        for scan in scans
    ]
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    check_split(table, {name: content.image_hash for name, content in contents.items()})
    return table


def check_split(table: pd.DataFrame, image_hashes: Mapping[str, str]) -> None:
    """Refuse a split that leaks.

    Raises:
        CordlesionError: A scan is listed twice, a subject is in two sets, two sets hold the same image, a set is
            unknown, or a set has no lesion.
    """
    if unknown := sorted(set(table["set"]) - set(SETS)):
        raise CordlesionError(
            f"splits.tsv: unknown set {', '.join(map(repr, unknown))}; one of {', '.join(SETS)} is needed in every row."
        )
    if twice := sorted(set(table.loc[table["scan_id"].duplicated(), "scan_id"])):
        raise CordlesionError(
            f"splits.tsv: {', '.join(twice)} listed twice; one row per scan is needed. Remove the other."
        )
    _refuse_shared(table, table["subject"], "subject", "A subject's scans must stay in one set.")
    hashes = table["scan_id"].map(lambda name: image_hashes[name])
    _refuse_shared(table, hashes, "image content", "A scan was copied under two names. Remove one of them.")
    for name in SETS:
        if not (table.loc[table["set"] == name, "reference_volume_mm3"] > 0).any():
            raise CordlesionError(
                f"splits.tsv: the set {name!r} holds no scan with a lesion; each set needs at least one. "
                "Change `split.proportions` or `split.seed`, or add references."
            )


def _refuse_shared(table: pd.DataFrame, key: "pd.Series[str]", what: str, remedy: str) -> None:
    for _, group in table.groupby(key.to_numpy()):
        if group["set"].nunique() > 1:
            places = ", ".join(f"{row.scan_id} ({row.set})" for row in group.itertuples())
            raise CordlesionError(f"splits.tsv: one {what} in two sets: {places}. {remedy}")


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


def _balanced(loads: Sequence[_Load], config: SplitConfig) -> dict[str, str]:
    rng = np.random.default_rng([config.seed, 0])
    candidates = (_candidate(loads, config, rng) for _ in range(_CANDIDATES))
    best = min(candidates, key=lambda sets: _imbalance(loads, sets, config))
    return {load.subject: SETS[s] for load, s in zip(loads, best, strict=True)}


def _candidate(loads: Sequence[_Load], config: SplitConfig, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """Give subjects in random order to the set that lacks the largest share of its scans; each set gets one first."""
    order = rng.permutation(len(loads))
    wanted = _shares(config) * sum(load.n_scans for load in loads)
    filled = np.zeros(len(SETS))
    sets = np.zeros(len(loads), dtype=np.int64)
    for rank, index in enumerate(order):
        chosen = rank if rank < len(SETS) else int(np.argmax((wanted - filled) / wanted))
        sets[index] = chosen
        filled[chosen] += loads[index].n_scans
    return sets


def _imbalance(loads: Sequence[_Load], sets: npt.NDArray[np.int64], config: SplitConfig) -> float:
    """Distance of each set from the whole: distributions of lesion number and volume, number of scans, site shares.

    Distributions are compared as such (Wasserstein): two sets may agree in the mean and differ in the median.
    """
    set_of_scan = np.repeat(sets, [load.n_scans for load in loads])
    values = [np.concatenate([load.n_lesions for load in loads]), np.concatenate([load.log_volumes for load in loads])]
    sites = np.array([[load.site == name for name in sorted({o.site for o in loads})] for load in loads], dtype=float)
    cost = 0.0
    for index, share in enumerate(_shares(config)):
        mine = set_of_scan == index
        for value in values:
            cost += mine.sum() * (wasserstein_distance(value[mine], value) / (value.std() + 1e-9)) ** 2
        cost += (mine.sum() - share * len(mine)) ** 2
        cost += 0.5 * np.abs(sites[sets == index].mean(axis=0) - sites.mean(axis=0)).sum()
    return float(cost)


def _shares(config: SplitConfig) -> npt.NDArray[np.float64]:
    wanted = np.array([config.proportions[name] for name in SETS], dtype=np.float64)
    shares: npt.NDArray[np.float64] = wanted / wanted.sum()
    return shares


def _lesion_free(scans: Sequence[Scan], with_lesions: set[str], config: SplitConfig) -> dict[str, str]:
    subjects = sorted({scan.subject for scan in scans} - with_lesions)
    if config.lesion_free == "test":
        return dict.fromkeys(subjects, "test")
    order = np.random.default_rng([config.seed, 1]).permutation(len(subjects))
    borders = np.cumsum(_shares(config)) * len(subjects)
    return {
        subjects[index]: SETS[int(np.searchsorted(borders, rank, side="right"))] for rank, index in enumerate(order)
    }


def _row(
    scan: Scan, content: ScanContent, set_name: str, subject_has_lesions: bool, config: SplitConfig
) -> tuple[object, ...]:
    if content.lesion_volume_mm3 > 0:
        reason = "balanced for lesion load and site"
    elif subject_has_lesions:
        reason = "lesion-free scan of a subject with lesions: a subject's scans stay together"
    else:
        reason = f"subject without lesions ({config.lesion_free})"
    return (
        scan.scan_id,
        scan.subject,
        scan.session,
        scan.site,
        set_name,
        content.n_lesions,
        content.lesion_volume_mm3,
        reason,
    )
