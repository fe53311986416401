"""Subject-wise sets and folds, balanced for lesion load and site (Hussein et al. 2023, section 2.2)."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.stats import wasserstein_distance

from cordlesion.config import SETS, SetName, SplitConfig
from cordlesion.dataset.scan import Scan, ScanContent
from cordlesion.errors import CordlesionError

_CANDIDATES = 500
"""Random assignments that are compared; the best balanced one is taken."""

COLUMNS = ("scan_id", "subject", "session", "site", "set", "n_reference_lesions", "reference_volume_mm3", "reason")
"""Of ``splits.tsv``; a column ``fold`` comes before ``set`` where there are several folds."""

LEARNING_SETS: tuple[SetName, ...] = SETS[:-1]
"""The sets among which a fold shares what it does not test."""


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

    With several folds each subject is in the test set of exactly one, the folds' test sets are balanced among
    themselves, and each fold shares the other subjects among train, validation and threshold in their proportions.
    Lesion-free subjects are in no other set than their test set unless they are to be stratified.

    Args:
        scans: The scans of the dataset.
        contents: Lesion load and image hash, by scan name.
        config: Proportions, folds and seed.

    Returns:
        One row per scan (and fold) with the columns of ``splits.tsv``.

    Raises:
        CordlesionError: Fewer subjects with lesions than sets or folds need, or one image in two sets.
    """
    with_lesions = {load.subject for load in _loads(scans, contents)}
    if config.folds == 1:
        sets = [_single_split(scans, contents, config, with_lesions)]
    else:
        sets = list(_folds(scans, contents, config, with_lesions))
    reason, reason_free = "balanced for lesion load and site", f"subject without lesions ({config.lesion_free})"
    return split_table(scans, contents, sets, reason, reason_free)


def split_table(
    scans: Sequence[Scan],
    contents: Mapping[str, ScanContent],
    folds: Sequence[Mapping[str, str]],
    reason: str,
    reason_free: str,
) -> pd.DataFrame:
    """Lay out ``splits.tsv`` and check it.

    Args:
        scans: The scans of the dataset.
        contents: Lesion load and image hash, by scan name.
        folds: The set of each subject that takes part, one mapping per fold.
        reason: Why lesion-bearing scans are where they are.
        reason_free: Why those of subjects without lesions are.

    Raises:
        CordlesionError: As :func:`check_split`.
    """
    with_lesions = {load.subject for load in _loads(scans, contents)}
    rows = [
        {**_facts(scan, contents[scan.scan_id]), "fold": fold, "set": sets[scan.subject]}
        | {"reason": _reason(contents[scan.scan_id], scan.subject in with_lesions, reason, reason_free)}
        for fold, sets in enumerate(folds, start=1)
        for scan in scans
        if scan.subject in sets
    ]
    several = ("fold",) if len(folds) > 1 else ()
    columns = [name for column in COLUMNS for name in ((*several, column) if column == "set" else (column,))]
    table = pd.DataFrame(rows, columns=columns)
    check_split(table, {name: content.image_hash for name, content in contents.items()})
    return table


def share_subjects(
    scans: Sequence[Scan],
    contents: Mapping[str, ScanContent],
    names: Sequence[SetName],
    config: SplitConfig,
    key: Sequence[int] = (),
    whole: str = "the dataset",
) -> dict[str, str]:
    """Share the subjects of ``scans`` among sets in the configured proportions, lesion-free ones as well.

    Args:
        scans: All scans of the subjects that are to be shared.
        contents: Lesion load and image hash, by scan name.
        names: The sets.
        config: Proportions and seed.
        key: What the draw is for, beside the seed.
        whole: What the scans are, for messages.

    Returns:
        The set of each subject.

    Raises:
        CordlesionError: Fewer subjects with lesions than sets.
    """
    wanted = np.array([config.proportions[name] for name in names], dtype=np.float64)
    purpose = f"one for each of the sets {', '.join(names)}"
    groups = _share(scans, contents, wanted / wanted.sum(), [config.seed, *key], whole, purpose)
    return {subject: names[group] for subject, group in groups.items()}


def check_split(table: pd.DataFrame, image_hashes: Mapping[str, str]) -> None:
    """Refuse a split that leaks.

    Raises:
        CordlesionError: In a fold, a scan is listed twice, a subject is in two sets, two sets hold the same image, a
            set is unknown, or a set has no lesion; or a scan is in the test sets of two folds.
    """
    if unknown := sorted(set(table["set"]) - set(SETS)):
        raise CordlesionError(
            f"splits.tsv: unknown set {', '.join(map(repr, unknown))}; one of {', '.join(SETS)} is needed in every row."
        )
    if "fold" not in table:
        _check_fold(table, image_hashes, "splits.tsv")
        return
    for number, rows in table.groupby("fold"):
        _check_fold(rows, image_hashes, f"splits.tsv, fold {number}")
    tested = table.loc[table["set"] == "test", "scan_id"]
    if twice := sorted(set(tested[tested.duplicated()])):
        raise CordlesionError(
            f"splits.tsv: {', '.join(twice)} in the test sets of two folds; results of the folds are pooled, so a scan "
            "may be tested once. Move it to another set in all folds but one."
        )


def _check_fold(table: pd.DataFrame, image_hashes: Mapping[str, str], where: str) -> None:
    if twice := sorted(set(table.loc[table["scan_id"].duplicated(), "scan_id"])):
        raise CordlesionError(
            f"{where}: {', '.join(twice)} listed twice; one row per scan is needed. Remove the other."
        )
    _refuse_shared(table, table["subject"], "subject", "A subject's scans must stay in one set.", where)
    hashes = table["scan_id"].map(lambda name: image_hashes[name])
    _refuse_shared(table, hashes, "image content", "A scan was copied under two names. Remove one of them.", where)
    for name in SETS:
        if not (table.loc[table["set"] == name, "reference_volume_mm3"] > 0).any():
            raise CordlesionError(
                f"{where}: the set {name!r} holds no scan with a lesion; each set needs at least one. "
                "Change `split.proportions` or `split.seed`, or add references."
            )


def _refuse_shared(table: pd.DataFrame, key: "pd.Series[str]", what: str, remedy: str, where: str) -> None:
    for _, group in table.groupby(key.to_numpy()):
        if group["set"].nunique() > 1:
            places = ", ".join(f"{row.scan_id} ({row.set})" for row in group.itertuples())
            raise CordlesionError(f"{where}: one {what} in two sets: {places}. {remedy}")


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


def _single_split(
    scans: Sequence[Scan], contents: Mapping[str, ScanContent], config: SplitConfig, with_lesions: Collection[str]
) -> dict[str, str]:
    if config.lesion_free == "stratified":
        return share_subjects(scans, contents, SETS, config)
    bearing = [scan for scan in scans if scan.subject in with_lesions]
    free = sorted({scan.subject for scan in scans} - set(with_lesions))
    return share_subjects(bearing, contents, SETS, config) | dict.fromkeys(free, "test")


def _folds(
    scans: Sequence[Scan], contents: Mapping[str, ScanContent], config: SplitConfig, with_lesions: Collection[str]
) -> Iterator[dict[str, str]]:
    even = np.full(config.folds, 1 / config.folds)
    tested_in = _share(scans, contents, even, [config.seed, 3], "the dataset", "one for the test set of each fold")
    learning = [scan for scan in scans if config.lesion_free == "stratified" or scan.subject in with_lesions]
    for fold in range(config.folds):
        rest = [scan for scan in learning if tested_in[scan.subject] != fold]
        tested = {subject: "test" for subject, home in tested_in.items() if home == fold}
        whole = f"the dataset without the test set of fold {fold + 1}"
        yield tested | share_subjects(rest, contents, LEARNING_SETS, config, (2, fold + 1), whole)


def _share(
    scans: Sequence[Scan],
    contents: Mapping[str, ScanContent],
    shares: npt.NDArray[np.float64],
    key: Sequence[int],
    whole: str,
    purpose: str,
) -> dict[str, int]:
    """Return the group of each subject: those with lesions balanced, the others in random order."""
    loads = _loads(scans, contents)
    if len(loads) < len(shares):
        raise CordlesionError(
            f"{whole} has {len(loads)} subjects with lesions; at least {len(shares)} are needed, {purpose}. "
            "Add references (files named *_label-lesion_seg.nii.gz)."
        )
    groups = _balanced(loads, shares, np.random.default_rng([*key, 0]))
    free = sorted({scan.subject for scan in scans} - {load.subject for load in loads})
    order = np.random.default_rng([*key, 1]).permutation(len(free))
    # The last group first: with few lesion-free subjects, test and threshold set need them most.
    free_groups = len(shares) - 1 - _fill(np.ones(len(free)), shares[::-1], order)
    named = zip([load.subject for load in loads] + free, [*groups, *free_groups], strict=True)
    return {subject: int(group) for subject, group in named}


def _balanced(
    loads: Sequence[_Load], shares: npt.NDArray[np.float64], rng: np.random.Generator
) -> npt.NDArray[np.int64]:
    sizes = np.array([load.n_scans for load in loads], dtype=np.float64)
    candidates = (_fill(sizes, shares, rng.permutation(len(loads))) for _ in range(_CANDIDATES))
    return min(candidates, key=lambda groups: _imbalance(loads, groups, shares))


def _fill(
    sizes: npt.NDArray[np.float64], shares: npt.NDArray[np.float64], order: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """Give subjects in ``order`` to the group that lacks the largest share of its scans; each group gets one first."""
    wanted = shares * sizes.sum()
    filled = np.zeros(len(shares))
    groups = np.zeros(len(sizes), dtype=np.int64)
    for rank, index in enumerate(order):
        chosen = rank if rank < len(shares) else int(np.argmax((wanted - filled) / wanted))
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


def _facts(scan: Scan, content: ScanContent) -> dict[str, object]:
    return {
        "scan_id": scan.scan_id,
        "subject": scan.subject,
        "session": scan.session,
        "site": scan.site,
        "n_reference_lesions": content.n_lesions,
        "reference_volume_mm3": content.lesion_volume_mm3,
    }


def _reason(content: ScanContent, subject_has_lesions: bool, reason: str, reason_free: str) -> str:
    if content.lesion_volume_mm3 > 0:
        return reason
    if subject_has_lesions:
        return "lesion-free scan of a subject with lesions: a subject's scans stay together"
    return reason_free
