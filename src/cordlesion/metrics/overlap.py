"""Which lesions are detected, decided on sizes and overlaps alone: no volume is touched here."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cordlesion.io.arrays import FloatArray, IntArray, Mask
from cordlesion.metrics.rules import LesionRule


@dataclass(frozen=True, eq=False)
class Overlaps:
    """The components of two masks and the voxels they share: all that a lesion rule needs to know."""

    sizes: IntArray
    """Voxels of each component of the reference ("lesions"), shape (L,)."""
    candidate_sizes: IntArray
    """Voxels of each component of the prediction ("candidates"), in scan order, shape (C,)."""
    lesions: IntArray
    """Lesion of each pair, from 0, shape (P,)."""
    candidates: IntArray
    """Candidate of each pair, from 0, shape (P,)."""
    voxels: IntArray
    """Common voxels of each pair, at least 1, shape (P,)."""

    @property
    def iou(self) -> FloatArray:
        """Intersection over union of the two components of each pair, shape (P,)."""
        union = self.sizes[self.lesions] + self.candidate_sizes[self.candidates] - self.voxels
        share: FloatArray = self.voxels / union
        return share

    def swapped(self) -> "Overlaps":
        """Return the same with the roles of the masks exchanged."""
        return Overlaps(self.candidate_sizes, self.sizes, self.candidates, self.lesions, self.voxels)

    def selected(self, pairs: Mask) -> "Overlaps":
        """Return the same components with some of the pairs."""
        return Overlaps(
            self.sizes, self.candidate_sizes, self.lesions[pairs], self.candidates[pairs], self.voxels[pairs]
        )

    def without_small(self, min_voxels: int) -> "Overlaps":
        """Return what is left when components of fewer voxels become background, in both masks."""
        lesions, candidates = self.sizes >= min_voxels, self.candidate_sizes >= min_voxels
        left = self.selected(lesions[self.lesions] & candidates[self.candidates])
        return Overlaps(
            self.sizes[lesions],
            self.candidate_sizes[candidates],
            lesions.cumsum()[left.lesions] - 1,
            candidates.cumsum()[left.candidates] - 1,
            left.voxels,
        )


def side_by_side(parts: Sequence[Overlaps]) -> Overlaps:
    """Return several as one, in which the components of each part are numbered after those of the parts before it."""
    lesion_starts = np.cumsum([0, *(len(part.sizes) for part in parts)])
    candidate_starts = np.cumsum([0, *(len(part.candidate_sizes) for part in parts)])
    return Overlaps(
        np.concatenate([part.sizes for part in parts]),
        np.concatenate([part.candidate_sizes for part in parts]),
        np.concatenate([part.lesions + start for part, start in zip(parts, lesion_starts, strict=False)]),
        np.concatenate([part.candidates + start for part, start in zip(parts, candidate_starts, strict=False)]),
        np.concatenate([part.voxels for part in parts]),
    )


def detect(overlaps: Overlaps, rule: LesionRule) -> tuple[Mask, Mask]:
    """Say which lesions are detected and, with the roles swapped, which candidates are true.

    Args:
        overlaps: Of components that the rule counts as lesions.
        rule: Decides what is detected.

    Returns:
        Shapes (L,) and (C,).
    """
    counted = overlaps.selected(_counted(overlaps, rule))
    return _detected(overlaps, counted, rule), _detected(overlaps.swapped(), counted.swapped(), rule)


def _counted(overlaps: Overlaps, rule: LesionRule) -> Mask:
    """Say which pairs count: those of enough IoU, reduced to a matching where the rule asks for one."""
    iou = overlaps.iou
    enough: Mask = iou >= rule.min_iou
    return _greedy_matching(overlaps, iou, enough) if rule.one_to_one else enough


def _greedy_matching(overlaps: Overlaps, iou: FloatArray, allowed: Mask) -> Mask:
    """Take pairs by decreasing IoU while both partners are free; of equal IoU, in scan order."""
    matched = np.zeros(len(iou), dtype=bool)
    taken_lesions: set[int] = set()
    taken_candidates: set[int] = set()
    for pair in np.lexsort((overlaps.candidates, overlaps.lesions, -iou)).tolist():
        lesion, candidate = int(overlaps.lesions[pair]), int(overlaps.candidates[pair])
        if allowed[pair] and lesion not in taken_lesions and candidate not in taken_candidates:
            matched[pair] = True
            taken_lesions.add(lesion)
            taken_candidates.add(candidate)
    return matched


def _detected(every: Overlaps, counted: Overlaps, rule: LesionRule) -> Mask:
    """Say which lesions the counted pairs detect; "outside" is measured against every lesion, counted or not."""
    inside = np.bincount(every.candidates, every.voxels, minlength=len(every.candidate_sizes))
    sprawls = (every.candidate_sizes - inside) / every.candidate_sizes > rule.max_outside
    lesions, candidates, overlap = counted.lesions, counted.candidates, counted.voxels
    covered = np.bincount(lesions, overlap, minlength=len(every.sizes))
    # By lesion, then by decreasing overlap; of equal overlaps the larger candidate comes first.
    order = np.lexsort((candidates, -every.candidate_sizes[candidates], -overlap, lesions))
    lesions, candidates, overlap = lesions[order], candidates[order], overlap[order]
    # Overlap that the candidates before this one explain, counted within each lesion.
    explained = overlap.cumsum() - overlap - (covered.cumsum() - covered)[lesions]
    tested = explained / covered[lesions] < rule.gamma
    detected: Mask = (covered / every.sizes > rule.min_overlap) & (covered >= rule.min_overlap_voxels)
    detected[lesions[tested & sprawls[candidates]]] = False
    return detected
