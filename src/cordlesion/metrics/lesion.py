"""Lesion-wise agreement: which lesions are detected, and which predicted components are true.

The study counts a lesion as detected when the candidates overlap it by 25 % and do not go outside by more than 70 %.
This is the two-part criterion of the MSSEG challenge (Commowick et al., Sci. Rep. 2018), whose evaluation tool was
published by the same laboratory; the points that the paper leaves open are settled as that tool settles them:

* lesions are 6-connected components of more than 3 mm3; smaller ones count as background in both masks;
* the overlap of a lesion is the sum over all candidates that touch it, so a lesion found in pieces is found;
* "outside" is the share of a candidate outside *every* lesion, relative to the candidate's own size;
* only the largest contributors that together explain a share ``gamma`` of the overlap must stay inside;
* precision is the same count with the masks' roles swapped, so true predictions and detected lesions may differ in
  number, and F1 is the harmonic mean of the two ratios.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from cordlesion.errors import CordlesionError
from cordlesion.metrics.voxel import UNDEFINED, Box, Mask, Scores, bounding_box

# Faces, edges or corners that join two voxels -> rank of scipy's structuring element.
_CONNECTIVITY_RANK = {6: 1, 18: 2, 26: 3}
# Spacings come from float32 headers: 24 voxels of 0.5 mm must not be "more than 3 mm3" by a rounding error.
_VOLUME_TOLERANCE = 1e-6


@dataclass(frozen=True)
class LesionRule:
    """When a lesion counts as detected.

    Raises:
        CordlesionError: A value is outside its range.
    """

    min_overlap: float = 0.25
    """Detected lesions have *more* than this share covered by candidates, in [0, 1)."""
    max_outside: float = 0.70
    """Candidates with more than this share of themselves outside every lesion are refused, in [0, 1]."""
    gamma: float = 0.65
    """Candidates are tested by decreasing overlap until they explain this share of the overlap, in (0, 1]."""
    min_volume_mm3: float = 3.0
    """Components count as lesions when *larger* than this; 0 keeps all."""
    connectivity: int = 6
    """Neighbours that join voxels into one lesion: 6 (faces), 18 (and edges) or 26 (and corners)."""

    def __post_init__(self) -> None:
        checks = (
            ("min_overlap", 0 <= self.min_overlap < 1, "at least 0 and below 1"),
            ("max_outside", 0 <= self.max_outside <= 1, "between 0 and 1"),
            ("gamma", 0 < self.gamma <= 1, "above 0 and at most 1"),
            ("min_volume_mm3", 0 <= self.min_volume_mm3 < math.inf, "0 or a positive volume"),
            ("connectivity", self.connectivity in _CONNECTIVITY_RANK, "6, 18 or 26"),
        )
        for name, valid, needed in checks:
            if not valid:
                raise CordlesionError(f"The lesion rule has {name} = {getattr(self, name)}; it must be {needed}.")

    def min_voxels(self, voxel_mm3: float) -> int:
        """Return the number of voxels of the smallest component that counts as a lesion."""
        return math.floor(self.min_volume_mm3 / voxel_mm3 * (1 + _VOLUME_TOLERANCE)) + 1


RULES: Mapping[str, LesionRule] = MappingProxyType(
    {
        "study": LesionRule(),
        "anima": LesionRule(min_overlap=0.10),
    }
)
"""Presets: ``study`` is the paper's 25 % / 70 %; ``anima`` has the defaults of the MSSEG challenges' tool."""


@dataclass(frozen=True, eq=False)
class Components:
    """The lesions of one mask."""

    labels: npt.NDArray[np.int32]
    """Number of the lesion (from 1) at each voxel, 0 outside; shape (X, Y, Z)."""
    sizes: npt.NDArray[np.int64]
    """Voxels of each lesion; lesion k has size ``sizes[k - 1]``."""

    def within(self, box: Box) -> "Components":
        """Return the same lesions, seen through a box; their sizes stay those of the whole lesions."""
        return Components(self.labels[box], self.sizes)


@dataclass(frozen=True)
class LesionCounts:
    """Lesions of both masks, and how many of them the other mask confirms."""

    n_reference: int
    n_detected: int
    n_predicted: int
    n_true_predicted: int


def resolve_rule(rule: str | LesionRule) -> LesionRule:
    """Return the rule itself or the preset of that name.

    Raises:
        CordlesionError: No preset has this name.
    """
    if isinstance(rule, LesionRule):
        return rule
    if rule not in RULES:
        raise CordlesionError(
            f"There is no lesion rule {rule!r}; choose one of {', '.join(RULES)}, or give a LesionRule."
        )
    return RULES[rule]


def label_components(mask: Mask, rule: LesionRule, voxel_mm3: float) -> Components:
    """Find the lesions of a mask: its connected components above the rule's minimum volume.

    Args:
        mask: Shape (X, Y, Z).
        rule: Gives the connectivity and the minimum volume.
        voxel_mm3: Volume of a voxel.
    """
    labels = np.zeros(mask.shape, dtype=np.int32)
    box = bounding_box(mask)
    # Contiguous, because the labelling is several times slower on the Fortran order of NIfTI files.
    inside = np.ascontiguousarray(mask[box])
    found = inside.astype(np.int32)
    n_found = 1
    # A full box is one component: at threshold 0 there is a whole volume to label, and nothing to search.
    if not inside.all():
        structure = ndimage.generate_binary_structure(3, _CONNECTIVITY_RANK[rule.connectivity])
        n_found = ndimage.label(inside, structure, output=found)
    sizes = np.bincount(found.ravel(), minlength=n_found + 1)
    kept = sizes >= rule.min_voxels(voxel_mm3)
    kept[0] = False
    labels[box] = np.where(kept, kept.cumsum(), 0).astype(np.int32)[found]
    return Components(labels, sizes[kept])


def count_lesions(reference: Components, prediction: Components, rule: LesionRule) -> LesionCounts:
    """Count the detected reference lesions and, with the roles swapped, the true predicted ones.

    Args:
        reference: Lesions of the reference.
        prediction: Lesions of the prediction, in the same box.
        rule: Decides what is detected.
    """
    common = (reference.labels > 0) & (prediction.labels > 0)
    # One whole number per pair: sorting those is many times faster than sorting pairs.
    n_columns = len(prediction.sizes) + 1
    keys = reference.labels[common].astype(np.int64) * n_columns + prediction.labels[common]
    pairs, overlap = np.unique(keys, return_counts=True)
    lesions, candidates = pairs // n_columns - 1, pairs % n_columns - 1
    detected = _detected(reference.sizes, prediction.sizes, lesions, candidates, overlap, rule)
    true = _detected(prediction.sizes, reference.sizes, candidates, lesions, overlap, rule)
    return LesionCounts(len(detected), int(detected.sum()), len(true), int(true.sum()))


def lesion_scores(counts: LesionCounts) -> Scores:
    """Score a mask from its lesion counts.

    Without a reference lesion (an empty reference, or only lesions below the minimum volume) all three are undefined
    (NaN). Without a predicted one they are 0.
    """
    if counts.n_reference == 0:
        return UNDEFINED
    sensitivity = counts.n_detected / counts.n_reference
    precision = counts.n_true_predicted / counts.n_predicted if counts.n_predicted else 0.0
    total = sensitivity + precision
    return Scores(sensitivity, precision, 2 * sensitivity * precision / total if total else 0.0)


def _detected(
    sizes: npt.NDArray[np.int64],
    candidate_sizes: npt.NDArray[np.int64],
    lesions: npt.NDArray[np.int64],
    candidates: npt.NDArray[np.int64],
    overlap: npt.NDArray[np.int64],
    rule: LesionRule,
) -> Mask:
    """Say which lesions the candidates detect, from the list of overlapping pairs.

    Args:
        sizes: Voxels of each lesion, shape (L,).
        candidate_sizes: Voxels of each candidate, shape (C,).
        lesions: Lesion of each pair, from 0, shape (P,).
        candidates: Candidate of each pair, from 0, shape (P,).
        overlap: Common voxels of each pair, shape (P,).
        rule: Decides what is detected.

    Returns:
        Shape (L,).
    """
    covered = np.bincount(lesions, overlap, minlength=len(sizes))
    inside = np.bincount(candidates, overlap, minlength=len(candidate_sizes))
    sprawls = (candidate_sizes - inside) / candidate_sizes > rule.max_outside
    # By lesion, then by decreasing overlap; of equal overlaps the larger candidate comes first.
    order = np.lexsort((candidates, -candidate_sizes[candidates], -overlap, lesions))
    lesions, candidates, overlap = lesions[order], candidates[order], overlap[order]
    # Overlap that the candidates before this one explain, counted within each lesion.
    explained = overlap.cumsum() - overlap - (covered.cumsum() - covered)[lesions]
    tested = explained / covered[lesions] < rule.gamma
    detected: Mask = covered / sizes > rule.min_overlap
    detected[lesions[tested & sprawls[candidates]]] = False
    return detected
