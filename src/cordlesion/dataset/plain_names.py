"""Names that are not BIDS: which scan a file is, and which mask belongs to it, by what the stars of globs stand for."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePath

from cordlesion.dataset.globs import below_literal_folders, joined, matching, stars, stem
from cordlesion.dataset.patient_folders import FolderPairs, Placed
from cordlesion.dataset.scan_names import ScanFile, scan_file

_OTHER_FOLDER = "Move it, or name its folder in `patterns` if that is no patient's (`labels/*.nii.gz`)."
_APART = {"derivatives", "sourcedata"}
"""Folders of BIDS with files that are no scans of the dataset, unless a glob names the folder."""


@dataclass(frozen=True)
class Keys:
    """Names under which a mask is searched for its image, and where that lies."""

    exact: frozenset[str]
    """With the folders."""
    loose: frozenset[str]
    """From the file name alone, or from one of several stars."""
    place: Placed
    """The image, or the mask itself."""


def plain_images(
    files: Sequence[Path], folder: Path, patterns: Sequence[str], masks: Iterable[str]
) -> dict[str, tuple[ScanFile, str]]:
    """Find and name the images of a dataset with other names than those of BIDS.

    Args:
        files: All files.
        folder: The dataset.
        patterns: Globs of images.
        masks: Globs of masks; what they match is no image.

    Returns:
        By name of the scan: its file and the glob that matched it.
    """
    no_images = {path for glob in masks for path in matching(files, folder, glob)}
    globs: dict[Path, str] = {}
    for glob in patterns:
        for path in matching(files, folder, glob):
            apart = _APART.intersection(path.relative_to(folder).parts)
            if path not in no_images and all(name in glob for name in apart):
                globs.setdefault(path, glob)
    names = _names({path.relative_to(folder): glob for path, glob in globs.items()})
    return {names[path.relative_to(folder)]: (_image(path, glob), glob) for path, glob in sorted(globs.items())}


def keys_of_images(images: Mapping[str, tuple[ScanFile, str]], folder: Path) -> dict[str, Keys]:
    """Return the names under which masks may refer to each image, by name of its scan."""
    places = {name: file.path.relative_to(folder) for name, (file, _) in images.items()}
    in_folder = Counter(place.parent for place in places.values())
    found = {}
    for name, (file, glob) in images.items():
        place = places[name]
        inside = below_literal_folders(place, glob)
        exact = {joined(stars(place, glob)), joined([*inside.parent.parts, stem(place, glob)])}
        if in_folder[place.parent] == 1:
            exact |= {joined(inside.parent.parts), joined(place.parent.parts)}
        loose = {joined(stars(PurePath(place.name), PurePath(glob).name)), joined([stem(place, glob)]), joined([name])}
        found[name] = Keys(frozenset(exact - {""}), frozenset(loose - {""}), _placed(file.path, folder, glob))
    return found


def match_masks(
    masks: Iterable[Path], folder: Path, glob: str, images: Mapping[str, Keys], ties: dict[Path, str]
) -> dict[str, list[ScanFile]]:
    """Assign masks that a glob matches to the scans.

    Args:
        masks: The masks.
        folder: The dataset.
        glob: The glob.
        images: Result of :func:`keys_of_images`.
        ties: Collects masks that fit several scans, or one in the folder of another patient, each with a sentence.

    Returns:
        The masks of each scan that has any.
    """
    exact, loose = (_by_key(images, by) for by in (lambda keys: keys.exact, lambda keys: keys.exact | keys.loose))
    known = {path: _mask_keys(path, folder, glob) for path in masks}
    folders = FolderPairs.of([keys.place for keys in images.values()], [keys.place for keys in known.values()])
    found: dict[str, list[ScanFile]] = {}
    for path, wanted in known.items():
        fitting = _fitting(wanted.exact, exact) or _fitting(wanted.exact | wanted.loose, loose)
        if len(fitting) > 1:
            ties[path] = (
                f"{path}: fits the scans {fitting[0]} and {fitting[1]}; the name must distinguish them. Use globs "
                "whose stars stand for the same text in the names of scan and mask."
            )
        elif fitting and (fault := folders.fault(images[fitting[0]].place, wanted.place, _OTHER_FOLDER)):
            ties[path] = fault
        elif fitting:
            found.setdefault(fitting[0], []).append(_image(path, glob))
    return found


def _mask_keys(path: Path, folder: Path, glob: str) -> Keys:
    place = path.relative_to(folder)
    named = stars(PurePath(place.name), PurePath(glob).name)
    loose = frozenset({joined(named), *map(joined, [[p] for p in named])} - {""})
    return Keys(frozenset({joined(stars(place, glob))} - {""}), loose, _placed(path, folder, glob))


def _placed(path: Path, folder: Path, glob: str) -> Placed:
    """Return a file with the folders below the dataset that the glob does not name literally."""
    return Placed.below(path, folder, PurePath(glob).parent.parts)


def _by_key(images: Mapping[str, Keys], of: Callable[[Keys], frozenset[str]]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, keys in images.items():
        for key in of(keys):
            found.setdefault(key, []).append(name)
    return found


def _fitting(keys: Iterable[str], images: Mapping[str, Sequence[str]]) -> list[str]:
    return sorted({name for key in keys for name in images.get(key, ())})


def _names(globs: Mapping[PurePath, str]) -> dict[PurePath, str]:
    """Name the scans: by file names if these differ, else by folders, else by both."""
    ways: tuple[Callable[[PurePath, str], str], ...] = (
        lambda place, glob: _image(Path(place), glob).name,
        lambda place, glob: joined(stars(place, glob)),
        lambda place, glob: joined([*below_literal_folders(place, glob).parent.parts, stem(place, glob)]),
        lambda place, _: joined([*place.parent.parts, place.name]),
    )
    for way in ways:
        names = {place: way(place, glob) for place, glob in globs.items()}
        if len({*names.values()} - {""}) == len(globs):
            break
    return names


def _image(path: Path, glob: str) -> ScanFile:
    """Parse the name of an image, without the channel of nnU-Net if the glob names one."""
    file = scan_file(path.with_name(f"{stem(path, glob)}.nii.gz")).as_image()
    return replace(file, path=path, is_derived=False)
