"""Which file of a comparator belongs to which scan, by BIDS entities, and how each file is used."""

import hashlib
import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatch
from pathlib import Path

import pandas as pd

from cordlesion.config import ComparatorConfig, ComparatorKind, PreprocessConfig
from cordlesion.dataset.matching import (
    IMAGE_SUFFIXES,
    MASK_NAMES,
    PROBABILITY_NAMES,
    list_files,
    named_files,
    one_file_each,
)
from cordlesion.dataset.patient_folders import other_patients
from cordlesion.dataset.scan_names import ScanFile, files_below, scan_file
from cordlesion.errors import CordlesionError
from cordlesion.io.fingerprints import digest, file_hash
from cordlesion.io.outputs import portable_path
from cordlesion.io.progress import show_message
from cordlesion.io.reading import read_json
from cordlesion.io.writing import json_text
from cordlesion.nnunet.predictions import of_folds
from cordlesion.study_folder.tables import COMPARATORS

USED, NOT_NEEDED, NO_SCAN, MISSING = "used", "not needed", "no such scan", "missing"
"""States of a file: measured; of a scan that is not measured; of no scan of the dataset; absent."""
_SUFFIXES: dict[ComparatorKind, tuple[str, ...]] = {"maps": IMAGE_SUFFIXES, "masks": IMAGE_SUFFIXES, "npz": (".npz",)}
_MOST_MISSING = 20
_CARD, _CHANCE = "model.json", "lesion_calibration"
_NAMES: dict[ComparatorKind, Sequence[str]] = {"maps": PROBABILITY_NAMES, "masks": MASK_NAMES, "npz": ()}


@dataclass(frozen=True)
class Comparator:
    """A comparator with its files, grouped by the role of their scans in the study."""

    config: ComparatorConfig
    files: Mapping[str, Path]
    """Files of scans in a threshold or test set, by scan; empty if the comparator is a model."""
    hashes: Mapping[str, str]
    """SHA-256 of each file, by scan; for a model by file name."""
    others: Mapping[str, Path] = field(default_factory=dict)
    """Files of other scans of the dataset, by scan."""
    of_no_scan: Mapping[str, Path] = field(default_factory=dict)
    """Files of no scan of the dataset, by the name that such a scan would have."""
    preprocess: PreprocessConfig | None = None
    """A model's own; None for files."""

    def origin(self, scan_id: str) -> str:
        """Return a fingerprint of all inputs of a scan's map or mask except the scan itself."""
        source = self.hashes if self.config.kind == "bundle" else self.hashes[scan_id]
        return digest(self.config.kind, self.config.lesion_class, self.config.threshold, source, *self._lesion_value)

    def preprocess_in(self, study: PreprocessConfig) -> PreprocessConfig | None:
        """Return a model's own preprocessing with the study's source of centerlines, which depends on the dataset."""
        own = self.preprocess
        if own is None or own.region != "cord" or study.region != "cord":
            return own
        return own.model_copy(update={"centerline": study.centerline})

    @property
    def fingerprint(self) -> str:
        """A hash of all inputs of the comparator's results except the scans."""
        return digest(
            self.config.name,
            self.config.kind,
            self.config.lesion_class,
            self.config.threshold,
            self.hashes,
            *self._lesion_value,
        )

    @property
    def _lesion_value(self) -> list[int]:
        # A setting that is not used is left out, so that older fingerprints stay as they are.
        return [] if self.config.lesion_value is None else [self.config.lesion_value]


def match_comparator(config: ComparatorConfig, measured: Collection[str], scans: Mapping[str, Path]) -> Comparator:
    """Find a comparator's files for the measured scans, and hash them.

    Args:
        config: The comparator.
        measured: Names of the scans that are in a threshold or test set.
        scans: The images of all scans of the dataset, by name.

    Raises:
        CordlesionError: The folder is missing, two of its files fit one scan, a file of that name lies in the folder of
            another patient, or it is no bundle.
    """
    if not config.path.is_dir():
        raise CordlesionError(
            f"{config.path}: no such folder; the comparator {config.name!r} needs it. Check its path in the study."
        )
    if config.kind == "bundle":
        return _bundle(config)
    names = {name: _named(name, image) for name, image in scans.items()}
    suffixes = {word for name in names.values() for word in name.words}
    given = [file.as_matched(config.files, suffixes) for file in _given(config)]
    remedy = f"Narrow them to one per scan by `files:` of the comparator {config.name!r}, a pattern on the file name."
    found = one_file_each(given, names, remedy)
    images = Path(os.path.commonpath([image.parent for image in scans.values()])) if scans else Path()
    faults = other_patients(found, scans, images, [file.path for file in given], config.path)
    if needed := sorted(faults.keys() & set(measured)):
        raise CordlesionError(faults[needed[0]])
    found = {name: path for name, path in found.items() if name not in faults}
    files = {name: path for name, path in found.items() if name in measured}
    others = {name: path for name, path in found.items() if name not in measured}
    of_no_scan = _of_no_scan(given, set(found.values()))
    hashes = {name: file_hash(path) for name, path in files.items()}
    return Comparator(config, files, hashes, others, of_no_scan)


def _named(scan_id: str, image: Path) -> ScanFile:
    """Return the parsed name of a scan; outside of BIDS, folders may be a part of it."""
    file = scan_file(image).as_image()
    return file if file.entities else replace(file, base=scan_id)


def refuse_references(comparator: Comparator, references: Mapping[str, Path | None]) -> None:
    """Refuse a comparator whose files are the references themselves: its scores would be perfect.

    Args:
        comparator: The comparator.
        references: Of the scans, by name.

    Raises:
        CordlesionError: A file is the reference of its scan.
    """
    for name, path in comparator.files.items():
        reference = references.get(name)
        if reference is not None and path.samefile(reference):
            raise CordlesionError(
                f"{path}: is the reference of {name} itself; what the comparator {comparator.config.name!r} found is "
                "needed. Give another folder, or narrow it by `files`."
            )


def comparator_table(comparators: Iterable[Comparator], measured: Sequence[str], folder: Path) -> pd.DataFrame:
    """Return how each file is used: a row per comparator and file, or scan without one (``comparators.tsv``).

    Args:
        comparators: All of them.
        measured: Names of the scans that are measured.
        folder: The study folder; files are named relative to it.
    """
    rows: list[tuple[object, ...]] = []
    for comparator in comparators:
        about = (comparator.config.name, comparator.config.kind)
        if comparator.config.kind == "bundle":
            rows.append((*about, "n/a", USED, portable_path(comparator.config.path, folder), digest(comparator.hashes)))
            continue
        for name in measured:
            path = comparator.files.get(name)
            state, file = (USED, portable_path(path, folder)) if path else (MISSING, "n/a")
            rows.append((*about, name, state, file, comparator.hashes.get(name, "n/a")))
        left_out = {name: path for name, path in comparator.files.items() if name not in measured}
        for state, files in ((NOT_NEEDED, {**left_out, **comparator.others}), (NO_SCAN, comparator.of_no_scan)):
            rows += [(*about, name, state, portable_path(path, folder), "n/a") for name, path in files.items()]
    return pd.DataFrame(rows, columns=list(COMPARATORS.names))


def warn_unmatched(comparator: Comparator, table: Path) -> None:
    """Report how many of a comparator's files match no scan; ``table`` lists them all."""
    if n := len(comparator.of_no_scan):
        files = "1 file matches" if n == 1 else f"{n} files match"
        show_message(
            f"comparator {comparator.config.name}: {files} no scan ({_some(list(comparator.of_no_scan))}): {table}"
        )


def require_files(table: pd.DataFrame) -> None:
    """Refuse comparators that lack files.

    Medians over different scans cannot be compared, so a comparator is measured on all scans or not at all.

    Args:
        table: What :func:`comparator_table` returned.

    Raises:
        CordlesionError: A scan has no file.
    """
    faults = []
    for name, rows in table.groupby("comparator", sort=False):
        missing, used = (rows.loc[rows["state"] == state, "scan_id"].tolist() for state in (MISSING, USED))
        if missing:
            faults.append(
                f"comparator {name}: no file for {len(missing)} of {len(missing) + len(used)} "
                f"scans of the threshold and test sets ({_some(missing, _MOST_MISSING)}); methods are compared on the "
                "same scans. Add the files, named by the same BIDS entities, or remove the comparator."
                f"{_unmatched(rows.loc[rows['state'] == NO_SCAN, 'scan_id'].tolist())}"
            )
    if faults:
        raise CordlesionError("\n".join(faults))


def _bundle(config: ComparatorConfig) -> Comparator:
    from cordlesion.model.bundle import read_card

    card = read_card(config.path)  # refuses what is no bundle before hours of training
    cut = card.built_in_threshold
    if cut is not None and config.threshold is None:
        raise CordlesionError(
            f"{config.path}: this model cuts its probabilities at {cut:g} by itself and gives masks, which have no "
            f"threshold to be tuned. Set `threshold: {cut:g}` of the comparator {config.name!r}."
        )
    hashes = {path.relative_to(config.path).as_posix(): _model_hash(path) for path in files_below(config.path)}
    return Comparator(config, {}, hashes, preprocess=card.cord_settings)


def _model_hash(path: Path) -> str:
    """Return the hash of a file of a model; of a card as it is without the chance of lesions, which changes no map."""
    card = read_json(path, dict) if path.name == _CARD else {}
    if card.pop(_CHANCE, None) is None:
        return file_hash(path)
    return hashlib.sha256(json_text(card).encode()).hexdigest()


def _given(config: ComparatorConfig) -> list[ScanFile]:
    listed = of_folds(config.path, list_files(config.path, _SUFFIXES[config.kind]))
    files = [path for path in listed if fnmatch(path.name, config.files)]
    if not files:
        wanted = " or ".join(f"*{suffix}" for suffix in _SUFFIXES[config.kind])
        raise CordlesionError(
            f"{config.path}: holds no file {wanted} named {config.files}; the comparator {config.name!r} needs one per "
            "scan. Check `files` and the path in the study."
        )
    return named_files(files, _NAMES[config.kind] if config.files == "*" else ())


def _of_no_scan(given: Sequence[ScanFile], used: Collection[Path]) -> dict[str, Path]:
    """Name the files of no scan by the scan that they would belong to, or by their file name if several would."""
    of_no_scan: dict[str, Path] = {}
    for file in given:
        if file.path not in used:
            of_no_scan[file.path.name if file.name in of_no_scan else file.name] = file.path
    return of_no_scan


def _unmatched(names: Sequence[str]) -> str:
    """Name the files that may be the missing ones under another name."""
    if not names:
        return ""
    return (
        f" Of its files, {len(names)} match no scan ({_some(names)}). A word in their names that is no suffix of the "
        "scans must be spelled out by `files` (*_nnUNet_probseg.nii.gz)."
    )


def _some(names: Sequence[str], most: int = 3) -> str:
    shown = ", ".join(names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"
