"""The study that `study init` writes for a folder of scans, whatever their names."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cordlesion.config import DRAWN, FilePatterns, ReducedConfig, StudyConfig, builtin_study, study_of_text
from cordlesion.dataset.recognition.recognize import Recognized, recognize
from cordlesion.dataset.recognition.sentences import subject_hint
from cordlesion.dataset.scan import Scan
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

    @property
    def scans(self) -> list[Scan]:
        """The scans with a reference."""
        return [scan for scan in self.found.dataset.scans if scan.reference]

    @property
    def text(self) -> str:
        """The study as YAML with comments."""
        text = builtin_study("isbi2023").read_text(encoding="utf-8")
        place = json.dumps(str(self.found.folder.resolve()), ensure_ascii=False)
        output = "tried" if self.cut else "study"
        text = text.replace("dataset: ../cohort", f"dataset: {place}").replace("../isbi2023", output)
        text = text.replace("centerline: auto", f"centerline: {_centerline(self.found.dataset.scans)}")
        text = text.replace("threshold: {objective: median_voxel_f1} # section 2.5", _OBJECTIVE)
        text = text.replace(f"output: {output}\n", f"output: {output}\n{_patterns(self.found.patterns)}")
        text = text.replace("# Put your BIDS folder in `dataset`; paths are", "# Paths are")
        head = "".join(f"# {line}\n" for remark in [self.counts, *self.remarks] for line in remark.splitlines())
        return head + (_with_cut(text, self.cut) if self.cut else text)

    @property
    def counts(self) -> str:
        """The numbers of scans, subjects and references, a sentence."""
        scans = self.found.dataset.scans
        subjects = len({scan.subject for scan in scans})
        return f"{len(scans)} scans of {subjects} subjects, {len(self.scans)} with a reference."

    @property
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
    """Return the patterns that the user chose; what is not given has its default."""
    given = {"image": tuple(image), "reference": tuple(reference), "lesion_value": lesion_value}
    who = FilePatterns(subjects=subjects).below(Path.cwd())
    return who.model_copy(update={key: value for key, value in given.items() if value})


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
    if cut.is_light:
        for usual, light in _LIGHT.items():
            text = text.replace(usual, light)
    return _BLOCK_OF_LOSSES.sub(losses, text) + f"reduced: {reduced}\n"
