"""Subject-wise sets and folds, balanced for lesion load and site (Hussein et al. 2023, section 2.2)."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pandas as pd

from cordlesion.config import SETS, SetName, SplitConfig
from cordlesion.dataset.balance import assign_groups
from cordlesion.dataset.columns import SPLITS
from cordlesion.dataset.scan import Scan, ScanContent
from cordlesion.errors import CordlesionError

LEARNING_SETS: tuple[SetName, ...] = SETS[:-1]
"""The sets of the scans that a fold does not test."""

BALANCED = "balanced for lesion load and site"
TESTED_WHOLE = "subject with a lesion-free scan, which goes to test: so do all scans of the subject"


def split_scans(scans: Sequence[Scan], contents: Mapping[str, ScanContent], config: SplitConfig) -> pd.DataFrame:
    """Assign every scan to a set; all scans of a subject stay together.

    Subjects with lesions are assigned in the configured proportions of scans with lesions; number and volume of lesions
    and sites are balanced. By default, every lesion-free scan goes to the test set, together with all scans of its
    subject (Hussein et al.); with ``config.lesion_free``, such subjects are stratified, too.

    With several folds, each subject is in the test set of exactly one fold, the test sets of the folds are balanced,
    and each fold divides the other subjects into train, validation and threshold set in their proportions. Subjects
    with lesion-free scans are in their test set only, unless they are stratified.

    Args:
        scans: The scans of the dataset.
        contents: Lesion load and image hash, by scan name.
        config: Proportions, folds and seed.

    Returns:
        One row per scan (and fold) with the columns of ``splits.tsv``.

    Raises:
        CordlesionError: Fewer subjects with lesions than sets or folds need, or one image in two sets.
    """
    learning = _learning(scans, contents, config)
    if config.folds == 1:
        sets = [_single_split(scans, contents, config, learning)]
    else:
        sets = list(_folds(scans, contents, config, learning))
    reason_free = f"subject without lesions ({config.lesion_free})"
    reason_mixed = TESTED_WHOLE if config.lesion_free == "test" else ""
    return split_table(scans, contents, sets, BALANCED, reason_free, reason_mixed)


def split_table(
    scans: Sequence[Scan],
    contents: Mapping[str, ScanContent],
    folds: Sequence[Mapping[str, str]],
    reason: str,
    reason_free: str,
    reason_mixed: str = "",
) -> pd.DataFrame:
    """Create the table ``splits.tsv`` and check it.

    Args:
        scans: The scans of the dataset.
        contents: Lesion load and image hash, by scan name.
        folds: The set of each included subject, one mapping per fold.
        reason: Reason for the set of scans with lesions.
        reason_free: Reason for the set of subjects without lesions.
        reason_mixed: Reason for the set of subjects with both kinds of scans, if it differs.

    Raises:
        CordlesionError: As :func:`check_split`.
    """
    reasons = _reasons(scans, contents, reason, reason_free, reason_mixed)
    rows = [
        {**_facts(scan, contents[scan.scan_id]), "fold": fold, "set": sets[scan.subject]}
        | {"reason": reasons[scan.scan_id]}
        for fold, sets in enumerate(folds, start=1)
        for scan in scans
        if scan.subject in sets
    ]
    several = ("fold",) if len(folds) > 1 else ()
    columns = SPLITS.only((*SPLITS.required_names, *several)).names
    table = pd.DataFrame(rows, columns=list(columns))
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
    """Divide the subjects of ``scans`` into sets in the configured proportions, including lesion-free subjects.

    Args:
        scans: All scans of the subjects.
        contents: Lesion load and image hash, by scan name.
        names: The sets.
        config: Proportions and seed.
        key: Key of the random generator, in addition to the seed.
        whole: Name of all scans, for messages.

    Returns:
        The set of each subject.

    Raises:
        CordlesionError: Fewer subjects with lesions than sets.
    """
    wanted = np.array([config.proportions[name] for name in names], dtype=np.float64)
    purpose = f"one for each of the sets {', '.join(names)}"
    groups = assign_groups(scans, contents, wanted / wanted.sum(), [config.seed, *key], whole, purpose)
    return {subject: names[group] for subject, group in groups.items()}


def check_split(table: pd.DataFrame, image_hashes: Mapping[str, str]) -> None:
    """Reject a split with data leakage or empty sets.

    Raises:
        CordlesionError: In a fold, a scan is listed twice, a subject is in two sets, two sets contain the same image, a
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
            f"splits.tsv: {', '.join(twice)} in the test sets of two folds; results of folds are pooled, so each scan "
            "must be tested once only. Move it to another set in all folds except one."
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
                f"{where}: the set {name!r} contains no scan with a lesion; each set needs at least one. "
                "Change `split.proportions` or `split.seed`, or add references."
            )


def _refuse_shared(table: pd.DataFrame, key: "pd.Series[str]", what: str, remedy: str, where: str) -> None:
    for _, group in table.groupby(key.to_numpy()):
        if group["set"].nunique() > 1:
            places = ", ".join(f"{row.scan_id} ({row.set})" for row in group.itertuples())
            raise CordlesionError(f"{where}: one {what} in two sets: {places}. {remedy}")


def _learning(scans: Sequence[Scan], contents: Mapping[str, ScanContent], config: SplitConfig) -> list[Scan]:
    """Return the scans that may be used for training: by default, of subjects with lesions in all scans."""
    if config.lesion_free == "stratified":
        return list(scans)
    tested = {scan.subject for scan in scans if not contents[scan.scan_id].lesion_volume_mm3 > 0}
    return [scan for scan in scans if scan.subject not in tested]


def _single_split(
    scans: Sequence[Scan], contents: Mapping[str, ScanContent], config: SplitConfig, learning: Sequence[Scan]
) -> dict[str, str]:
    wanted = np.array([config.proportions[name] for name in SETS], dtype=np.float64)
    learned = {scan.subject for scan in learning}
    tested = [scan for scan in scans if scan.subject not in learned]
    has_lesions = any(contents[scan.scan_id].lesion_volume_mm3 > 0 for scan in tested)
    purpose = f"one for each of the sets {', '.join(LEARNING_SETS if has_lesions else SETS)}"
    groups = assign_groups(learning, contents, wanted / wanted.sum(), [config.seed], "the dataset", purpose, tested)
    sets: dict[str, str] = {subject: SETS[group] for subject, group in groups.items()}
    return sets | {scan.subject: "test" for scan in tested}


def _folds(
    scans: Sequence[Scan], contents: Mapping[str, ScanContent], config: SplitConfig, learning: Sequence[Scan]
) -> Iterator[dict[str, str]]:
    even = np.full(config.folds, 1 / config.folds)
    tested_in = assign_groups(
        scans, contents, even, [config.seed, 3], "the dataset", "one for the test set of each fold"
    )
    for fold in range(config.folds):
        rest = [scan for scan in learning if tested_in[scan.subject] != fold]
        tested = {subject: "test" for subject, home in tested_in.items() if home == fold}
        whole = f"the dataset without the test set of fold {fold + 1}"
        yield tested | share_subjects(rest, contents, LEARNING_SETS, config, (2, fold + 1), whole)


def _facts(scan: Scan, content: ScanContent) -> dict[str, object]:
    return {
        "scan_id": scan.scan_id,
        "subject": scan.subject,
        "session": scan.session,
        "site": scan.site,
        "n_reference_lesions": content.n_lesions,
        "reference_volume_mm3": content.lesion_volume_mm3,
    }


def _reasons(
    scans: Sequence[Scan], contents: Mapping[str, ScanContent], reason: str, reason_free: str, reason_mixed: str
) -> dict[str, str]:
    """Return the reason for the set of each scan."""
    with_lesions = {scan.scan_id for scan in scans if contents[scan.scan_id].lesion_volume_mm3 > 0}
    affected = {scan.subject for scan in scans if scan.scan_id in with_lesions}
    mixed = affected & {scan.subject for scan in scans if scan.scan_id not in with_lesions}
    follows = reason_mixed or "lesion-free scan of a subject with lesions: a subject's scans stay together"
    return {
        scan.scan_id: reason_free if scan.subject not in affected
        else follows if scan.subject in mixed and (reason_mixed or scan.scan_id not in with_lesions)
        else reason
        for scan in scans
    }  # fmt: skip
