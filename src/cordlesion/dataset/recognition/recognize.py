"""Which files of a folder are scans and references: by the names of BIDS, of nnU-Net, or by names that look alike."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path

from cordlesion.config import FilePatterns
from cordlesion.dataset.bids import Dataset, NoScanError, list_dataset, read_dataset
from cordlesion.dataset.recognition.groups import Group, group_files
from cordlesion.dataset.recognition.nnunet import nnunet_layout
from cordlesion.dataset.recognition.sentences import ambiguous, no_reference, no_scan, unused, used
from cordlesion.dataset.recognition.words import CONSENSUS, IMAGE, LESION, MASK, look_at
from cordlesion.dataset.scan import Scan
from cordlesion.errors import CordlesionError

_ENDINGS = (".nii.gz", ".nii")
Choice = tuple[FilePatterns, Dataset]


@dataclass(frozen=True)
class Recognized:
    """A dataset, and the patterns by which its files are found."""

    folder: Path
    """The dataset; below the given folder where that holds one of nnU-Net."""
    patterns: FilePatterns
    dataset: Dataset
    """What the patterns find."""
    remarks: list[str] = field(default_factory=list)
    """What was recognised, a sentence each; empty for the names of BIDS."""
    fault: str = ""
    """Why no study can run on it, with the option that changes this; empty if one can."""


def recognize(folder: Path, given: FilePatterns | None = None) -> Recognized:
    """Find the scans and references of a folder.

    Args:
        folder: The dataset.
        given: Patterns that the user chose: those that differ from the defaults are used as they are.

    Raises:
        CordlesionError: The folder does not exist, or no scan is recognised; the sentence names the option that fits.
    """
    wanted = given or FilePatterns()
    changed = {key: value for key, value in wanted if value != getattr(FilePatterns(), key)}
    named = {"image", "reference"} & changed.keys()
    if not named and (layout := nnunet_layout(folder)):
        patterns = layout.patterns.model_copy(update=changed)
        remarks = [f"{layout.folder}: a raw dataset of nnU-Net. {used(patterns)}", *layout.remarks]
        return _checked(layout.folder, patterns, read_dataset(layout.folder, patterns), remarks)
    first = _read(folder, wanted)
    if first and (first.refusals or _n_matched(first) == len(first.scans)):
        return _checked(folder, wanted, first, [used(wanted)] if named else [])
    groups = _groups(folder)
    if first and _n_matched(first):
        return _checked(folder, wanted, first, [*([used(wanted)] if named else []), *unused(folder, wanted, groups)])
    choices = _choices(folder, wanted, groups, bool(first) or "image" in named, "reference" in named)
    if len(choices) == 1:
        ((patterns, found),) = choices
        remarks = [f"{folder}: recognised by names: {used(patterns)}", *unused(folder, patterns, groups)]
        return _checked(folder, patterns, found, remarks)
    fault = ambiguous(folder, [patterns for patterns, _ in choices]) if choices else ""
    if first is None:
        raise CordlesionError(fault or no_scan(folder, wanted, groups, list_dataset(folder)))
    return Recognized(folder, wanted, first, [], fault or no_reference(folder, wanted, len(first.scans), groups))


def require_references(folder: Path, patterns: FilePatterns, scans: Sequence[Scan]) -> None:
    """Refuse a dataset of which no scan has a reference.

    Raises:
        CordlesionError: A sentence with the files that look like masks.
    """
    if scans and not any(scan.reference or scan.why_none("reference") for scan in scans):
        raise CordlesionError(no_reference(folder, patterns, len(scans), _groups(folder)))


def _read(folder: Path, patterns: FilePatterns) -> Dataset | None:
    """Return the dataset; None if the patterns match no scan."""
    list_dataset(folder)  # so that only a folder without scans is None
    try:
        return read_dataset(folder, patterns)
    except NoScanError:
        return None


def _checked(folder: Path, patterns: FilePatterns, found: Dataset, remarks: list[str]) -> Recognized:
    fault = "\n".join(found.refusals_to_show)
    if not fault and not _n_matched(found):
        fault = no_reference(folder, patterns, len(found.scans), _groups(folder))
    return Recognized(folder, patterns, found, remarks, fault)


def _n_matched(found: Dataset) -> int:
    return sum(scan.reference is not None for scan in found.scans)


def _groups(folder: Path) -> list[Group]:
    files = [path.relative_to(folder) for path in list_dataset(folder) if path.name.endswith(_ENDINGS)]
    return group_files(look_at([place for place in files if place.parts[0] != "sourcedata"]))


def _choices(
    folder: Path, wanted: FilePatterns, groups: Sequence[Group], has_images: bool, has_references: bool
) -> list[Choice]:
    """Return the patterns that give most scans a reference: several if these differ, none if no pattern gives any.

    References are searched among masks with a word for a consensus, then for lesions, then for any mask.
    """
    images = [wanted.image] if has_images else list(_image_globs(groups))
    for kind in (CONSENSUS, LESION, MASK):
        # The mask of another contrast may lie on another grid, and show other lesions.
        ours = [group for group in groups if group.kind == kind and group.contrast in ("", "T2w")]
        references = [wanted.reference] if has_references else list(_globs(ours))
        tried: list[Choice] = []
        for image, reference in product(images, references):
            patterns = wanted.model_copy(update={"image": image, "reference": reference})
            if (found := _read(folder, patterns)) and _n_matched(found):
                tried.append((patterns, found))
        if tried:
            return _best(tried)
    return []


def _best(tried: Sequence[Choice]) -> list[Choice]:
    """Return those that match most references with the fewest globs; several if they match others, one if not.

    Several globs are right where each adds references. Where two match masks of one scan, one must be chosen.
    """
    alone = {_pairs(found): len(_pairs(found)) for patterns, found in tried if _n_globs(patterns) == 2}
    good = [choice for choice in tried if _n_globs(choice[0]) == 2 or sum(alone.values()) <= _n_matched(choice[1])]
    most = max(_n_matched(found) for _, found in good)
    distinct: dict[frozenset[tuple[Path, Path | None]], Choice] = {}
    for patterns, found in sorted(good, key=lambda choice: _n_globs(choice[0])):
        if _n_matched(found) == most:
            distinct.setdefault(_pairs(found), (patterns, found))
    return list(distinct.values())


def _n_globs(patterns: FilePatterns) -> int:
    return len(patterns.image) + len(patterns.reference)


def _pairs(found: Dataset) -> frozenset[tuple[Path, Path | None]]:
    return frozenset((scan.image, scan.reference) for scan in found.scans if scan.reference)


def _image_globs(groups: Sequence[Group]) -> Iterator[tuple[str, ...]]:
    """Yield globs of T2w images to try; of images of no named contrast only where no name has one."""
    images = [group for group in groups if group.kind == IMAGE and "derivatives" not in group.files[0].place.parts]
    ours = [group for group in images if group.contrast == "T2w"]
    if not ours and all(not group.contrast for group in images):
        ours = images
    yield from _globs(ours)


def _globs(groups: Sequence[Group]) -> Iterator[tuple[str, ...]]:
    """Yield globs to try: of each group alone and of all together, by name and with folders."""
    if len(groups) > 1:
        for way in ("by_name", "by_path", "by_end"):
            yield tuple(dict.fromkeys(getattr(group, way) for group in groups))
    for group in groups:
        yield from ((glob,) for glob in group.globs)
