"""The study that `study init` writes for a folder of scans, whatever their names."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from pydantic import ValidationError

from cordlesion.config import DRAWN, FilePatterns, ReducedConfig, StudyConfig, builtin_study, study_of_text
from cordlesion.dataset.recognition.recognize import Recognized, recognize
from cordlesion.dataset.recognition.sentences import subject_hint
from cordlesion.dataset.scan import Scan
from cordlesion.errors import CordlesionError
from cordlesion.io.faults import first_fault
from cordlesion.io.formats import plural

_OBJECTIVE = """\
# The paper (section 2.5) takes median_voxel_f1; on few scans the mean chooses better thresholds.
threshold: {objective: mean_voxel_f1}"""
_LIGHT = {"filters: [16, 32, 64]": "filters: [8, 16, 32]", "overlap_fraction: 0.75": "overlap_fraction: 0.5"}
_BLOCK_OF_LOSSES = re.compile(r"^losses:.*?\n\n", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True)
class Cut:
    """What is cut of a study to try it out."""

    losses: tuple[str, ...]
    """The losses that stay."""
    reduced: ReducedConfig
    is_light: bool = False
    """Whether the network is smaller, and patches overlap less."""


@dataclass(frozen=True)
class InitialStudy:
    """A study to start from."""

    found: Recognized
    """The dataset."""
    cut: Cut | None = None
    """None: the whole study."""
    remarks: list[str] = field(default_factory=list)
    """What should be known before it runs, a sentence each."""

    @property
    def fault(self) -> str:
        """Why it cannot run; empty if it can."""
        return self.found.fault

    @cached_property
    def scans(self) -> list[Scan]:
        """The scans with a reference."""
        return [scan for scan in self.found.dataset.scans if scan.reference]

    @cached_property
    def text(self) -> str:
        """The study as YAML with comments."""
        place = json.dumps(str(self.found.folder.resolve()), ensure_ascii=False)
        output = "tried" if self.cut else "study"
        changes = {
            "# Put your BIDS folder in `dataset`; paths are": "# Paths are",
            "centerline: auto": f"centerline: {_centerline(self.found.dataset.scans)}",
            "threshold: {objective: median_voxel_f1} # section 2.5": _OBJECTIVE,
            "output: ../isbi2023\n": f"output: {output}\n{_patterns(self.found.patterns)}",
            "dataset: ../cohort\n": f"dataset: {place}\n",
        }
        text = _changed(builtin_study("isbi2023").read_text(encoding="utf-8"), changes)
        head = "".join(f"# {line}\n" for remark in [self.counts, *self.remarks] for line in remark.splitlines())
        return head + (_with_cut(text, self.cut) if self.cut else text)

    @property
    def counts(self) -> str:
        """The numbers of scans, subjects and references, a sentence."""
        scans = self.found.dataset.scans
        subjects = len({scan.subject for scan in scans})
        return f"{len(scans)} scans of {subjects} subjects, {len(self.scans)} with a reference."

    @cached_property
    def config(self) -> StudyConfig:
        """The study itself."""
        return study_of_text(self.text)


def start_study(dataset: Path, patterns: FilePatterns | None = None) -> InitialStudy:
    """Return the study of Hussein et al. for a folder of scans.

    Args:
        dataset: The folder: BIDS, a raw dataset of nnU-Net, or files with names that look alike.
        patterns: Patterns that the user chose; the others are recognised.

    Raises:
        CordlesionError: The folder does not exist, or no scan is recognised in it.
    """
    found = recognize(dataset, patterns)
    others = [*found.dataset.remarks, *subject_hint(found.folder, found.patterns, found.dataset)]
    without = [scan.scan_id for scan in found.dataset.scans if scan.reference is None]
    if without and not found.fault:
        those = plural(len(without), "scan has", "scans have")
        unknown = "it is unknown whether there are lesions"
        others.append(f"{those} no reference (first: {without[0]}): excluded, because {unknown}.")
    return InitialStudy(found, None, [*found.remarks, *others, *([found.fault] if found.fault else [])])


def wanted_patterns(
    image: Sequence[str], reference: Sequence[str], subjects: str | None, lesion_value: int | None
) -> FilePatterns:
    """Return the patterns that the user chose; what is not given has its default.

    Raises:
        CordlesionError: A pattern is empty, or a value is none of lesions; the sentence names the option.
    """
    given = {"image": tuple(image), "reference": tuple(reference), "subjects": subjects, "lesion_value": lesion_value}
    chosen = {key: value for key, value in given.items() if value is not None and value != ()}
    texts = {"image": image, "reference": reference, "subjects": () if subjects is None else (subjects,)}
    for key, patterns in texts.items():
        if not all(map(str.strip, patterns)):
            raise CordlesionError(f"--{key}: is empty; a pattern of file names is needed. Give one, or leave it out.")
    try:
        return FilePatterns.model_validate(chosen).below(Path.cwd())
    except ValidationError as error:
        raise CordlesionError(f"--{first_fault(error, chosen).replace('_', '-', 1)}. Mend the option.") from None


def _centerline(scans: Sequence[Scan]) -> str:
    """Return the source of the centerlines.

    Curves or masks that people drew or checked are better than found ones, if every scan has them.
    """
    return next((s for s, kind in DRAWN.items() if scans and all(getattr(scan, kind) for scan in scans)), "auto")


def _patterns(patterns: FilePatterns) -> str:
    """Return the section `patterns` with the keys that differ from the defaults; empty if none does."""
    changed = {key: value for key, value in patterns if value != getattr(FilePatterns(), key)}
    shown = (f"  {key}: {json.dumps(value, ensure_ascii=False)}\n" for key, value in changed.items())
    return "\npatterns: # the names of the files\n" + "".join(shown) if changed else ""


def _with_cut(text: str, cut: Cut) -> str:
    """Return the text of a study with less of everything."""
    losses = f"losses: [{', '.join(cut.losses)}]\n\n"
    reduced = json.dumps({key: value for key, value in cut.reduced if value is not None})
    (block,) = _BLOCK_OF_LOSSES.findall(text)
    return _changed(text, {block: losses} | (_LIGHT if cut.is_light else {})) + f"reduced: {reduced}\n"


def _changed(text: str, changes: Mapping[str, str]) -> str:
    """Return a text with other phrases; each of the old ones occurs once, or the built-in study is not what it was.

    Phrases are replaced in their order, so that what a user chose comes last and is not searched.
    """
    for phrase, other in changes.items():
        if text.count(phrase) != 1:
            raise ValueError(f"{phrase!r} occurs {text.count(phrase)} times in the built-in study, and not once")
        text = text.replace(phrase, other)
    return text
