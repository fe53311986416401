"""The profile of a training set: features and voxels of its scans, and the extent of their lesions."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from cordlesion.errors import CordlesionError
from cordlesion.guard.features import FEATURES, stack_features
from cordlesion.io.arrays import FloatArray, IntArray
from cordlesion.io.faults import first_fault
from cordlesion.io.reading import read_json
from cordlesion.io.writing import write_text
from cordlesion.lesions.measure import number_lesions
from cordlesion.preprocess.cord_stack import StackGeometry
from cordlesion.preprocess.stack_file import CordStack

FILE = "profile.json"
MIN_SUBJECTS = 8
"""With fewer subjects there is no profile: any new scan could be the most unusual one by chance."""
MAX_SUBJECTS = 500
"""More subjects make no p-value that matters smaller, but the file larger."""
Finite = Annotated[float, Field(allow_inf_nan=False)]
Edge = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class LesionExtent(BaseModel):
    """The largest values of any reference of the training set."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    n_lesions: Annotated[int, Field(ge=0)]
    longest_share: Annotated[float, Field(ge=0, le=1)] | None = None
    """Length of a lesion as a share of the cord in the scan; absent where the model looks beyond the cord."""
    mean_section_mm2: Annotated[float, Field(ge=0)] | None = None
    """Volume of all lesions divided by the length of the cord in the scan."""


class ScanProfile(BaseModel):
    """What the scans look like that a model was made with: contents of ``profile.json`` in its bundle."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    format: Literal[1] = 1
    made_from: str = ""
    """Fingerprint of the stacks and of the features."""
    features: dict[str, tuple[Finite, ...]]
    """For each feature the value in one scan of each subject, which was drawn by its name."""
    voxels_mm: tuple[tuple[Edge, Edge, Edge], ...]
    """Voxel edges of every scan (left to right, front to back, up and down); first one scan of each subject."""
    subjects: tuple[int, ...]
    """The subject of each row of ``voxels_mm``; the first rows are those of the subjects 0, 1, ..."""
    lesions: LesionExtent

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if not self.features or not self.features.keys() <= FEATURES.keys():
            raise ValueError(f"its features are {', '.join(self.features)}; some of {', '.join(FEATURES)} are needed")
        if len(self.subjects) != len(self.voxels_mm) or self.subjects[: self.n_subjects] != (*range(self.n_subjects),):
            raise ValueError("scans and subjects do not fit")
        if {len(values) for values in self.features.values()} != {self.n_subjects} or self.n_subjects < MIN_SUBJECTS:
            raise ValueError(f"a value of each feature for each of {MIN_SUBJECTS} or more subjects is needed")
        return self

    @property
    def n_subjects(self) -> int:
        """Subjects, each with one scan that represents it."""
        return len(set(self.subjects))

    @property
    def points(self) -> FloatArray:
        """The features as they are compared, a row for each subject."""
        return np.stack([FEATURES[name].scaled(np.array(values)) for name, values in self.features.items()], axis=1)

    def point(self, features: Mapping[str, float]) -> FloatArray:
        """Return the features of a scan as they are compared, in the order of :attr:`points`."""
        return np.array([FEATURES[name].scaled(np.array(features[name])) for name in self.features])

    def span(self, name: str) -> tuple[float, float]:
        """Return the lowest and highest value of a feature."""
        return round(min(self.features[name]), 3), round(max(self.features[name]), 3)

    @property
    def drawn(self) -> IntArray:
        """Which scan represents each subject."""
        return np.arange(self.n_subjects)


@dataclass(frozen=True)
class ProfiledScan:
    """What a profile takes from one scan."""

    features: Mapping[str, float]
    voxels_mm: tuple[float, float, float]
    n_lesions: int
    longest_share: float | None
    mean_section_mm2: float | None


def profile_scan(stack: CordStack, spacing_mm: float) -> ProfiledScan:
    """Measure the stack of a training scan and its reference."""
    lesions = number_lesions(stack.reference, spacing_mm**3).voxels
    share = section = None
    if stack.geometry.background is None:
        n_slices = stack.geometry.n_slices
        share = max((float(np.ptp(voxels[:, 2]) + 1) / n_slices for voxels in lesions), default=0.0)
        section = sum(map(len, lesions)) * spacing_mm**2 / n_slices
    features = stack_features(stack.image, stack.geometry, spacing_mm)
    return ProfiledScan(features, voxel_edges(stack.geometry, spacing_mm), len(lesions), share, section)


def voxel_edges(geometry: StackGeometry, spacing_mm: float) -> tuple[float, float, float]:
    """Return the voxel edges of the scan that a stack was cut from, in LAS order."""
    x, y, z = (round(spacing_mm / step, 4) for step in geometry.step)
    return x, y, z


def choose_scans(subjects: Mapping[str, str]) -> dict[str, list[str]]:
    """Return the scans of each subject of a profile, the one that represents it first.

    Both subjects and scans are drawn by hashes of their names, which do not depend on what a scan looks like.

    Args:
        subjects: The subject of each scan, by the scan's name.
    """
    scans: dict[str, list[str]] = {}
    for scan in sorted(subjects, key=_draw):
        scans.setdefault(subjects[scan], []).append(scan)
    return {subject: scans[subject] for subject in sorted(scans, key=_draw)[:MAX_SUBJECTS]}


def make_profile(subjects: Iterable[list[ProfiledScan]], made_from: str = "") -> ScanProfile | None:
    """Make the profile of a training set; None for fewer than :data:`MIN_SUBJECTS` subjects.

    Args:
        subjects: The scans of each subject, the one that represents it first.
        made_from: What identifies the stacks.
    """
    cohort = list(subjects)
    if len(cohort) < MIN_SUBJECTS:
        return None
    others = [(number, scan) for number, scans in enumerate(cohort) for scan in scans[1:]]
    ordered = [(number, scans[0]) for number, scans in enumerate(cohort)] + others
    every = [scan for _, scan in ordered]
    names = list(every[0].features)
    return ScanProfile(
        made_from=made_from,
        features={name: tuple(round(scans[0].features[name], 5) for scans in cohort) for name in names},
        voxels_mm=tuple(scan.voxels_mm for scan in every),
        subjects=tuple(number for number, _ in ordered),
        lesions=LesionExtent(
            n_lesions=max(scan.n_lesions for scan in every),
            longest_share=_largest(scan.longest_share for scan in every),
            mean_section_mm2=_largest(scan.mean_section_mm2 for scan in every),
        ),
    )


def read_profile(bundle: Path) -> ScanProfile | None:
    """Read the profile of a bundle; None if it has none.

    Raises:
        CordlesionError: The file is damaged, or of a later version.
    """
    path = bundle / FILE
    if not path.is_file():
        return None
    try:
        return ScanProfile.model_validate(content := read_json(path))
    except ValidationError as error:
        raise CordlesionError(
            f"{path}: {first_fault(error, content)}. Remove this file, and scans are not compared with "
            "the training scans; or run the study, which replaces it."
        ) from None


def write_profile(bundle: Path, profile: ScanProfile) -> None:
    """Write the profile of a bundle, without spaces: it is for programs, and has thousands of numbers."""
    write_text(bundle / FILE, profile.model_dump_json() + "\n")


def _largest(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return round(max(known), 4) if known else None


def _draw(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()
