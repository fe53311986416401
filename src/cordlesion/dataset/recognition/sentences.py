"""Sentences about the files of a folder: what was seen, what was used, and the option that fits."""

import shlex
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from cordlesion.config import FilePatterns
from cordlesion.dataset.bids import Dataset
from cordlesion.dataset.globs import matching
from cordlesion.dataset.recognition.groups import Group
from cordlesion.dataset.recognition.words import IMAGE, OTHER_MASK
from cordlesion.dataset.subjects import read_subjects
from cordlesion.errors import CordlesionError

_MAX_FILES = 30
_MAX_GROUPS = 8
_SUBJECTS = ("{subject}/*", "{subject}_*", "{subject}-*")
_OPTIONS = {"image": "--image", "reference": "--reference", "subjects": "--subjects", "lesion_value": "--lesion-value"}


def command(folder: Path, patterns: FilePatterns) -> str:
    """Return the command that sets up a study with these patterns."""
    return " ".join(["cordlesion study init", shlex.quote(str(folder)), *options(patterns)])


def options(patterns: FilePatterns) -> Iterator[str]:
    """Yield the options of `study init` for the patterns that differ from the defaults."""
    for key, option in _OPTIONS.items():
        value = getattr(patterns, key, None)
        if value != getattr(FilePatterns(), key, None):
            for one in value if isinstance(value, tuple) else (value,):
                yield f"{option} {shlex.quote(str(one))}"


def used(patterns: FilePatterns) -> str:
    """Return the sentence about the patterns that are used."""
    references = f"references (manual lesion masks) are {_listed(patterns.reference)}"
    return f"Scans are {_listed(patterns.image)}; {references}."


def unused(folder: Path, patterns: FilePatterns, groups: Sequence[Group]) -> list[str]:
    """Return a sentence about files that look like other lesion masks or T2w images, if there are any."""
    taken = {path for glob in (*patterns.image, *patterns.reference) for path in _all(folder, groups, glob)}
    left = [group for group in groups if group.kind < OTHER_MASK or group.contrast == "T2w"]
    others = [group for group in left if not {folder / seen.place for seen in group.files} & taken]
    return [f"Not used: {_list(others)}."] if others else []


def ambiguous(folder: Path, choices: Sequence[FilePatterns]) -> str:
    """Return the sentence about several patterns that fit, with the command for each."""
    lines = [f"  {command(folder, patterns)}" for patterns in choices[:_MAX_GROUPS]]
    return "\n".join([f"{folder}: several files could be the scans or their references. Choose one:", *lines])


def no_scan(folder: Path, patterns: FilePatterns, groups: Sequence[Group], files: Sequence[Path]) -> str:
    """Return the sentence about a folder without a scan: what was seen, and the option that names the scans."""
    head = f"{folder}: no scan found; files named {_listed(patterns.image)} are needed."
    images = [group for group in groups if group.kind == IMAGE]
    if not groups:
        others = f"but {_endings(files)}. Convert the scans to NIfTI." if files else "and no other. Check the folder."
        return f"{head} It holds no NIfTI file (.nii.gz, .nii), {others}"
    if not images:
        return f"{head} Seen: {_list(groups)}, which look like masks. Name the scans with --image GLOB."
    lines = [f"  {command(folder, _with_image(patterns, group))}   # {group}" for group in images[:_MAX_GROUPS]]
    return "\n".join([f"{head} Seen: {_list(groups)}. If these are the scans:", *lines])


def no_reference(folder: Path, patterns: FilePatterns, n_scans: int, groups: Sequence[Group]) -> str:
    """Return the sentence about a dataset without references: the files that look like masks, and the option."""
    head = f"{folder}: {n_scans} scans, no reference; masks named {_listed(patterns.reference)} are needed."
    masks = [group for group in groups if group.kind < IMAGE]
    add = "Add masks, all zeros where a scan has no lesion, or name them: `study init --reference GLOB`."
    if not masks:
        return f"{head} No file looks like a mask; seen: {_list(groups)}. {add}"
    files = [str(seen.place) for group in masks for seen in group.files]
    more = [f"  ... and {len(files) - _MAX_FILES} more"] if len(files) > _MAX_FILES else []
    example = patterns.model_copy(update={"reference": (masks[0].by_path,)})
    return "\n".join(
        [
            f"{head} These {len(files)} files look like masks, but none fits one scan by its name:",
            *(f"  {name}" for name in files[:_MAX_FILES]),
            *more,
            f"{add} What its stars stand for must be the same in the names of scan and mask, for example:",
            f"  {command(folder, example)}",
        ]
    )


def subject_hint(folder: Path, patterns: FilePatterns, found: Dataset) -> list[str]:
    """Return sentences about patterns of subjects that would join scans, where every scan counts as a person."""
    if patterns.subjects or any(scan.subject.startswith("sub-") for scan in found.scans):
        return []
    people = {text: _people(folder, found, text) for text in _SUBJECTS}
    fitting = {text: n for text, n in people.items() if 1 < n < len(found.scans)}
    return [
        f"With --subjects '{text}' there are {n} subjects instead of {len(found.scans)}. Is that the patient?"
        for text, n in fitting.items()
    ]


def _people(folder: Path, found: Dataset, text: str) -> int:
    """Return the number of people by a pattern; 0 if it does not fit every scan."""
    images = [scan.image for scan in found.scans]
    subjects = read_subjects(text)
    try:
        return len({subjects.person(path.relative_to(folder)).subject for path in images})
    except CordlesionError:
        return 0


def _with_image(patterns: FilePatterns, group: Group) -> FilePatterns:
    return patterns.model_copy(update={"image": (group.globs[0],)})


def _list(groups: Sequence[Group]) -> str:
    more = f"; {len(groups) - _MAX_GROUPS} other kinds" if len(groups) > _MAX_GROUPS else ""
    return "; ".join(map(str, groups[:_MAX_GROUPS])) + more if groups else "no NIfTI file"


def _listed(globs: Sequence[str]) -> str:
    return " or ".join(globs)


def _all(folder: Path, groups: Sequence[Group], glob: str) -> Iterator[Path]:
    places = groups[0].others if groups else ()
    return matching([folder / place for place in places], folder, glob)


def _endings(files: Sequence[Path]) -> str:
    counts = Counter(path.suffix.lower() or "no ending" for path in files)
    return ", ".join(f"{n} files with {ending}" for ending, n in counts.most_common(3))
