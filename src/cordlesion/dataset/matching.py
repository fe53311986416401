"""Matches references and predictions of any tool by the names of their scans."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from cordlesion.config import FilePatterns
from cordlesion.dataset.patient_folders import other_patients
from cordlesion.dataset.scan_names import (
    DEFAULT_SUFFIX,
    Scan,
    ScanFile,
    files_below,
    files_by_scan,
    illegible,
    nearest_scans,
    scan_file,
)
from cordlesion.errors import CordlesionError

IMAGE_SUFFIXES = (".nii.gz", ".nii")
MASK_NAMES = (*FilePatterns().reference, "*_label-lesion_mask.nii*", "*_label-lesion_desc-*_mask.nii*")
"""Patterns that distinguish a lesion mask from other files of its scan."""
PROBABILITY_NAMES = ("*_probseg.nii.gz", "*_probseg.nii")
_OWN_FOLDER = "Put the files to compare into a separate folder."


@dataclass(frozen=True)
class MapPair:
    """The reference of a scan and its prediction (a mask or a probability map)."""

    scan_id: str
    subject: str
    session: str
    reference: Path
    prediction: Path
    cord_mask: Path | None = None
    """Needed only if lesions are restricted to the cord."""
    lesion_value: float | None = None
    """The value of lesions in the reference, if it may contain other values."""
    predicted_value: float | None = None
    """The value of lesions in a predicted mask."""


def list_files(folder: Path, suffixes: tuple[str, ...] = IMAGE_SUFFIXES) -> list[Path]:
    """Return the files of a kind in a folder and its subfolders, sorted; for a file, the file itself.

    Raises:
        CordlesionError: There is no such file or folder.
    """
    if folder.is_file():
        return [folder]
    if not folder.is_dir():
        raise CordlesionError(f"{folder}: no such file or folder. Check the path.")
    return [path for path in files_below(folder) if path.name.endswith(suffixes)]


def pair_files(
    reference: Path,
    prediction: Path,
    names: Sequence[str] = MASK_NAMES,
    list_predictions: Callable[[Path], Sequence[Path]] = list_files,
    list_references: Callable[[Path], Sequence[Path]] = list_files,
) -> tuple[list[MapPair], list[tuple[str, str]]]:
    """Match references with predictions: two files, or the files of two folders by the names of their scans.

    BIDS names are matched by entities and suffixes, other names must be equal. If a folder contains a name several
    times (a folder per patient, with the same file name in each), files are matched by their relative path. If a folder
    contains several kinds of files, only those with names of lesion masks (or predictions with ``names``) are used.
    Files that match no other are compared again without words such as ``lesion`` or ``pred`` at the end of their names.
    Files whose folders show that they are of two patients are no pair.

    Args:
        reference: A file, or a folder.
        prediction: A file, or a folder.
        names: Patterns of predictions, for folders with other files.
        list_predictions: Lists the files of the folder of predictions.
        list_references: The same for references.

    Returns:
        The pairs, sorted by name; and each file that cannot be used, with the reason.

    Raises:
        CordlesionError: A path does not exist, two files fit one scan, or nothing matches.
    """
    if reference.is_file() and prediction.is_file():
        return _named({scan_file(reference): prediction}), []
    listed, shown = list(list_references(reference)), list(list_predictions(prediction))
    for folder, images in ((reference, listed), (prediction, shown)):
        _require_images(folder, images)
    unusable = [(str(path), fault) for path in (*listed, *shown) if (fault := illegible(path))]
    references, predictions = _by_place(
        reference, named_files(listed, MASK_NAMES), prediction, named_files(shown, names)
    )
    _refuse_duplicates(references, predictions)
    found = one_file_each(predictions, {file: file for file in references})
    found |= _without_kind(references, predictions, found)
    faults = other_patients(
        found, {file: file.path for file in references}, reference, [file.path for file in predictions], prediction
    )
    by_path = {found.pop(file): fault for file, fault in faults.items()}
    if faults and not found:
        raise CordlesionError(next(iter(faults.values())))
    if not found:
        _refuse_repeated(named_files(listed, MASK_NAMES), named_files(shown, names))
        raise CordlesionError(
            f"{prediction}: none of its {len(predictions)} files matches one of the {len(references)} in {reference} "
            f"({predictions[0].path.name}, {references[0].path.name}); equal BIDS entities (sub-, ses-, acq- ...) and "
            "suffixes or equal file names are needed. Rename them."
        )
    used = set(found.values())
    alone = [_unmatched(file, "prediction", faults.get(file)) for file in references if file not in found]
    alone += [_unmatched(file, "reference", by_path.get(file.path)) for file in predictions if file.path not in used]
    return _named(found), [*unusable, *alone]


def _without_kind(
    references: Sequence[ScanFile], predictions: Sequence[ScanFile], found: Mapping[ScanFile, Path]
) -> dict[ScanFile, Path]:
    """Match what is left without the words that state what a file is, such as ``lesion`` or ``pred``."""
    used = set(found.values())
    left = {file: file.without_kind for file in references if file not in found and not file.entities}
    rest = [file.without_kind for file in predictions if file.path not in used and not file.entities]
    wanted, first = {file.key for file in rest}, dict[str, ScanFile]()
    for file in left.values():
        if (same := first.setdefault(file.key, file)) is not file and file.key in wanted:
            raise _duplicate_error(same, file, _OWN_FOLDER)
    unique = {file: short for file, short in left.items() if first[short.key] is short}
    return one_file_each(rest, unique)


def _require_images(folder: Path, images: Sequence[Path]) -> None:
    """Reject a folder without files to compare, with advice if it contains exports of nnU-Net."""
    if images:
        return
    exports = any(path.suffix == ".npz" for path in files_below(folder))
    remedy = "nnU-Net's .npz exports are probabilities: give them with --probability" if exports else "Check the folder"
    raise CordlesionError(f"{folder}: no NIfTI file found; .nii.gz or .nii files are needed. {remedy}.")


def one_file_each(
    files: Sequence[ScanFile], scans: Mapping[Scan, ScanFile], remedy: str = _OWN_FOLDER
) -> dict[Scan, Path]:
    """Find the file of each scan.

    Args:
        files: Files of one kind.
        scans: The parsed name of each scan.
        remedy: What the user can do if two files fit one scan, as a sentence.

    Raises:
        CordlesionError: Two files fit one scan, or a file fits two scans equally well.
    """
    found = files_by_scan(files, scans)
    for fitting in found.values():
        # Two links to one file count once.
        others = [file for file in fitting[1:] if file.path.resolve() != fitting[0].path.resolve()]
        if others:
            raise _duplicate_error(fitting[0], others[0], remedy)
    return {scan: fitting[0].path for scan, fitting in found.items()}


def images_behind(pairs: Sequence[MapPair], images: Sequence[ScanFile], root: Path, reference: Path) -> dict[str, Path]:
    """Find the image of each pair, by the name of its reference.

    Args:
        pairs: Result of :func:`pair_files`.
        images: Images of any scans.
        root: Their folder.
        reference: The folder of the references.

    Returns:
        The image by ``scan_id``; pairs without an image, or with one in the folder of another patient, are left out.

    Raises:
        CordlesionError: Two images fit one pair equally well.
    """
    found = _images_by_name(pairs, images, root)
    references = {pair.scan_id: pair.reference for pair in pairs}
    faults = other_patients(found, references, reference, [file.path for file in images], root)
    return {name: path for name, path in found.items() if name not in faults}


def _images_by_name(pairs: Sequence[MapPair], images: Sequence[ScanFile], root: Path) -> dict[str, Path]:
    by_base: dict[str, list[ScanFile]] = {}
    for image in _placed(images, root, True) if _repeats(images) else images:
        by_base.setdefault(image.key, []).append(image.as_image())
    found: dict[str, Path] = {}
    for pair in pairs:
        file = scan_file(pair.reference)
        near = nearest_scans(file if file.entities else replace(file, base=pair.scan_id), by_base)
        if len(near) > 1:
            raise _duplicate_error(near[0], near[1], _OWN_FOLDER)
        if near:
            found[pair.scan_id] = near[0].path
    if found:
        return found
    plain = [file.without_kind for file in images if not file.entities]
    return one_file_each(plain, {pair.scan_id: scan_file(pair.reference).without_kind for pair in pairs})


def named_files(files: Sequence[Path], names: Sequence[str]) -> list[ScanFile]:
    """Parse the names of files; if some match one of the patterns ``names``, only those are returned.

    Files with names that cannot be written to a table are left out.
    """
    named = [path for path in files if any(path.match(name) for name in names)]
    return [scan_file(path) for path in named or files if not illegible(path)]


def _by_place(
    reference: Path, references: list[ScanFile], prediction: Path, predictions: list[ScanFile]
) -> tuple[list[ScanFile], list[ScanFile]]:
    """Add folder names to the names of files in both trees, if file names alone do not distinguish scans."""
    if not (_repeats(references) or _repeats(predictions)):
        return references, predictions
    alike = len({file.key for file in (*references, *predictions)}) == 1
    placed = _placed(references, reference, alike), _placed(predictions, prediction, alike)
    if {file.key for file in placed[0]} & {file.key for file in placed[1]}:
        return placed
    # If names differ between the trees, folders with one file each identify the patients.
    folders = _placed(references, reference, True), _placed(predictions, prediction, True)
    return placed if any(map(_repeats, folders)) else folders


def _repeats(files: Sequence[ScanFile]) -> bool:
    """Return whether a name that is not BIDS occurs twice."""
    counts = Counter(file.key for file in files if not file.entities)
    return any(number > 1 for number in counts.values())


def _placed(files: Sequence[ScanFile], root: Path, by_folder: bool) -> list[ScanFile]:
    """Add the folders below ``root`` to names that are not BIDS, or replace these names by the folders."""
    if not root.is_dir():
        return list(files)
    folders = [file.path.parent.relative_to(root).parts for file in files]
    return [
        file
        if file.entities or not folder
        else replace(file, base="_".join(folder if by_folder else (*folder, file.base)))
        for file, folder in zip(files, folders, strict=True)
    ]


def _named(found: Mapping[ScanFile, Path]) -> list[MapPair]:
    """Create pairs; each is named after its reference, by the short name if it is unique."""
    brief = {file: _brief_name(file) for file in found}
    counts = Counter(brief.values())
    full = {file: name if counts[name] == 1 else _full_name(file) for file, name in brief.items()}
    ordered = sorted(found, key=lambda file: full[file])
    return [MapPair(full[file], file.subject, file.session, file.path, found[file]) for file in ordered]


def _brief_name(file: ScanFile) -> str:
    return "_".join([file.base, *(word for word in file.words if word != DEFAULT_SUFFIX)])


def _full_name(file: ScanFile) -> str:
    return "_".join(filter(None, [file.base, *file.version, *file.words, file.unclear]))


def _refuse_duplicates(references: Sequence[ScanFile], predictions: Sequence[ScanFile]) -> None:
    """Reject two references with one name, if a prediction would fit both."""
    predicted, first = {file.key for file in predictions}, dict[str, ScanFile]()
    for file in references:
        duplicate = first.setdefault(_full_name(file), file)
        if duplicate is not file and file.key in predicted:
            raise _duplicate_error(duplicate, file, _OWN_FOLDER)


def _refuse_repeated(*trees: Sequence[ScanFile]) -> None:
    """Raise an error if names occur several times in a tree, because then nothing matches."""
    for files in trees:
        first: dict[str, ScanFile] = {}
        for file in files:
            if (duplicate := first.setdefault(file.key, file)) is not file and not file.entities:
                raise _duplicate_error(duplicate, file, "Use different file names, or the same folders in both trees.")


def _duplicate_error(one: ScanFile, other: ScanFile, remedy: str) -> CordlesionError:
    return CordlesionError(f"{other.path}: is of the same scan as {one.path}; one file per scan is needed. {remedy}")


def _unmatched(file: ScanFile, wanted: str, fault: str | None) -> tuple[str, str]:
    usual = f"{file.path}: no {wanted} for {file.name}; one file each is needed. Add it, or remove this one."
    return str(file.path), fault or usual
