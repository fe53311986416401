"""Find the scans of a BIDS dataset and the masks that belong to them, by file names alone."""

import csv
from collections.abc import Iterable, Mapping
from fnmatch import fnmatch
from pathlib import Path

from cordlesion.config import FilePatterns
from cordlesion.dataset.scan import Scan
from cordlesion.errors import CordlesionError
from cordlesion.reading import cannot_read

_DESCRIBES_THE_FILE = {"label", "desc", "space", "res", "den", "lesion", "seg"}
"""Entities that say what a derived file is, not which scan it belongs to (``lesion-manual`` and ``seg-manual`` too)."""
_CONTRASTS = {"T1w", "T2w", "PDw", "T2starw", "T2star", "FLAIR", "PSIR", "STIR", "UNIT1", "MTS", "inplaneT2", "dwi"}
"""Suffixes of images; a mask may keep that of the image it was drawn on (``sub-01_T2w_label-lesion_seg``)."""


def entities(name: str) -> dict[str, str]:
    """Split a BIDS file name into its ``key-value`` pairs; suffixes such as ``T2w`` are left out."""
    stem = name.split(".")[0]
    return dict(part.split("-", 1) for part in stem.split("_") if "-" in part)


def scan_name(name: str) -> str:
    """Return the entities of a file name that name its scan, e.g. ``sub-001_ses-01_acq-sag``."""
    kept = (f"{key}-{value}" for key, value in entities(name).items() if key not in _DESCRIBES_THE_FILE)
    return "_".join(kept)


def find_scans(folder: Path | str, patterns: FilePatterns | None = None) -> tuple[list[Scan], list[str]]:
    """List the scans of a BIDS dataset, with reference, cord mask and centerline where there are any.

    Args:
        folder: The dataset; masks may lie beside the scans or in ``derivatives``.
        patterns: How files are recognised.

    Returns:
        The scans, sorted by name, and a sentence for each reference without an image.

    Raises:
        CordlesionError: The folder holds no scan, two scans have one name, or two masks of one kind fit one scan.
    """
    folder, patterns = Path(folder), patterns or FilePatterns()
    if not folder.is_dir():
        raise CordlesionError(f"{folder}: no such folder; a BIDS dataset is needed. Check the path.")
    # A link to a file that was never fetched (DataLad) counts: reading it tells the user, leaving it out would not.
    files = sorted(p for p in folder.rglob("*") if (p.is_file() or p.is_symlink()) and not p.name.startswith("."))
    images = _by_scan(_matching((p for p in files if _is_raw(p.relative_to(folder))), patterns.image), "images")
    if not images:
        raise CordlesionError(
            f"{folder}: no scan found; files named {' or '.join(patterns.image)} in sub-* folders are needed. "
            "Check the folder, or set `patterns` in the study."
        )
    drawn = _drawn_on({suffix for path in images.values() for suffix in _suffixes(path.name)}, files)
    references = _by_scan(_matching(drawn, patterns.reference), "references")
    cord_masks = _by_scan(_matching(drawn, patterns.cord_mask), "cord masks")
    centerlines = _by_scan(_matching(drawn, patterns.centerline), "centerlines")
    sites, scanners = _of_participants(folder, "site"), _of_participants(folder, "scanner")
    scans = [
        Scan(name, _subject(name), entities(name).get("ses", ""), sites.get(_subject(name), ""), image,
             references.get(name), cord_masks.get(name), centerlines.get(name), scanners.get(_subject(name), ""))
        for name, image in images.items()
    ]  # fmt: skip
    orphans = [
        f"{path}: a reference without an image; {name}_T2w.nii.gz is needed. Add the scan or remove the mask."
        for name, path in references.items()
        if name not in images
    ]
    return scans, orphans


def _subject(scan_id: str) -> str:
    return f"sub-{entities(scan_id)['sub']}"


def _suffixes(name: str) -> list[str]:
    return [part for part in name.split(".")[0].split("_") if "-" not in part]


def _drawn_on(contrasts: set[str], files: Iterable[Path]) -> list[Path]:
    """Leave out the files that name another contrast than the images have: masks of the same subject's other scans."""
    other = _CONTRASTS - contrasts
    return [path for path in files if not other.intersection(_suffixes(path.name))]


def _is_raw(relative: Path) -> bool:
    return (
        "derivatives" not in relative.parts
        and relative.parts[0].startswith("sub-")
        and "sub" in entities(relative.name)
    )


def _matching(files: Iterable[Path], patterns: tuple[str, ...]) -> list[Path]:
    """Return the files of every pattern; a file of an earlier pattern hides those of later ones for its scan."""
    files = list(files)
    found: dict[str, list[Path]] = {}
    for pattern in patterns:
        matches = [p for p in files if fnmatch(p.name, pattern)]
        taken = set(found)
        for path in matches:
            if scan_name(path.name) not in taken:
                found.setdefault(scan_name(path.name), []).append(path)
    return [path for paths in found.values() for path in paths]


def _by_scan(files: Iterable[Path], kind: str) -> Mapping[str, Path]:
    table: dict[str, Path] = {}
    for path in files:
        name = scan_name(path.name)
        if name in table:
            raise CordlesionError(
                f"{path}: a second file beside {table[name]} for scan {name}; one of the {kind} is needed. "
                "Rename or move the other, or set `patterns` in the study."
            )
        table[name] = path
    return dict(sorted(table.items()))


def _of_participants(folder: Path, column: str) -> dict[str, str]:
    """Return a column of participants.tsv by subject; nothing where there is no such table."""
    path = folder / "participants.tsv"
    if not path.is_file():
        return {}
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            rows = list(csv.DictReader(stream, delimiter="\t"))
    except OSError as error:
        raise cannot_read(path, error, "the table of the subjects") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise CordlesionError(f"{path}: not a table ({error}). Save it as tab-separated text in UTF-8.") from error
    told = {row["participant_id"]: row.get(column) or "" for row in rows if row.get("participant_id")}
    return {subject: value for subject, value in told.items() if value != "n/a"}
