"""Lesion rules: what a lesion is, and when it counts as detected. One table of presets.

Lesion-wise scores depend on the rule as much as on the segmentation, so a rule is written down completely:

1. **Components.** Lesions are connected components (``connectivity``) larger than ``min_volume_mm3``; smaller ones
   become background, in both masks.
2. **Pairs.** A lesion and a candidate (a component of the other mask) that share a voxel are a pair. Pairs below
   ``min_iou``, the intersection over union of the two components, do not count. With ``one_to_one``, pairs are taken
   by decreasing IoU, each lesion and each candidate at most once (greedy matching). Above an IoU of 1/2 at most one
   pair per component exists, so matching settles ties at exactly 1/2 only, and every way gives the same count.
3. **Overlap.** The overlap of a lesion is the sum over its counted pairs. It must be more than ``min_overlap`` of the
   lesion, and at least ``min_overlap_voxels``.
4. **Outside.** No candidate among the largest contributors, which together explain a share ``gamma`` of the overlap,
   may lie outside *every* lesion by more than ``max_outside`` of itself.

A predicted component is true by the same rule with the roles of the masks swapped. Precision is true predicted
components over predicted components, so it need not be made of the same matches as sensitivity (but with
``one_to_one`` it is).
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from cordlesion.errors import CordlesionError

CONNECTIVITY_RANK = {6: 1, 18: 2, 26: 3}
"""Faces, edges or corners that join two voxels -> rank of scipy's structuring element."""
# Spacings come from float32 headers: 24 voxels of 0.5 mm must not be "more than 3 mm3" by a rounding error.
_VOLUME_TOLERANCE = 1e-6
_LARGEST_MM3 = 1e9


@dataclass(frozen=True)
class LesionRule:
    """When a lesion counts as detected.

    Raises:
        CordlesionError: A value is outside its range.

    Examples:
        >>> import cordlesion
        >>> import numpy as np
        >>> strict = cordlesion.LesionRule(min_overlap=0.5, min_volume_mm3=0)
        >>> reference, prediction = np.zeros((2, 9, 9, 9), bool)
        >>> reference[2:6, 4, 4] = prediction[2:4, 4, 4] = True
        >>> cordlesion.evaluate(reference, prediction, (1, 1, 1), strict).n_detected_lesions
        0
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
    min_overlap_voxels: int = 1
    """Detected lesions have *at least* this many voxels covered by candidates."""
    min_iou: float = 0.0
    """Lesion and candidate are a pair when their intersection over union is *at least* this, in [0, 1]."""
    one_to_one: bool = False
    """Whether every lesion and every candidate has at most one partner (greedy, by decreasing IoU)."""
    owner: str = field(default="", compare=False, repr=False, kw_only=True)
    """Where the rule comes from, as printed after its name: "that of ..."."""
    references: tuple[str, ...] = field(default=(), compare=False, repr=False, kw_only=True)
    """Keys of the publications it comes from, in ``cordlesion.report.methods.references``."""

    def __post_init__(self) -> None:
        checks = (
            ("min_overlap", 0 <= self.min_overlap < 1, "at least 0 and below 1"),
            ("max_outside", 0 <= self.max_outside <= 1, "between 0 and 1"),
            ("gamma", 0 < self.gamma <= 1, "above 0 and at most 1"),
            (
                "min_volume_mm3",
                0 <= self.min_volume_mm3 <= _LARGEST_MM3,
                "0 or a positive volume, at most a cubic metre",
            ),
            ("connectivity", self.connectivity in CONNECTIVITY_RANK, "6, 18 or 26"),
            ("min_overlap_voxels", self.min_overlap_voxels >= 1, "1 or more"),
            ("min_iou", 0 <= self.min_iou <= 1, "between 0 and 1"),
        )
        for name, valid, needed in checks:
            if not valid:
                raise CordlesionError(f"The lesion rule has {name} = {getattr(self, name)}; it must be {needed}.")

    def min_voxels(self, voxel_mm3: float) -> int:
        """Return the number of voxels of the smallest component that counts as a lesion."""
        return math.floor(self.min_volume_mm3 / voxel_mm3 * (1 + _VOLUME_TOLERANCE)) + 1


RULES: Mapping[str, LesionRule] = MappingProxyType(
    {
        "study": LesionRule(owner="that of Hussein et al. 2023", references=("hussein2023", "commowick2018")),
        "anima": LesionRule(min_overlap=0.10, owner="that of the MSSEG challenges", references=("commowick2018",)),
        "ivadomed": LesionRule(
            min_overlap=0,
            max_outside=1,
            min_volume_mm3=0,
            connectivity=18,
            min_overlap_voxels=3,
            owner="that of ivadomed’s evaluation",
            references=("gros2021",),
        ),
        "multi_spine": LesionRule(
            min_overlap=0,
            max_outside=1,
            min_volume_mm3=0,
            connectivity=26,
            min_iou=0.2,
            owner="that of the MS-Multi-Spine challenge",
        ),
        "any_overlap": LesionRule(min_overlap=0, max_outside=1),
        "iou50": LesionRule(
            min_overlap=0,
            max_outside=1,
            min_volume_mm3=0,
            connectivity=26,
            min_iou=0.5,
            one_to_one=True,
            owner="that of panoptic segmentation",
            references=("kirillov2019",),
        ),
    }
)
"""Presets, by name.

* ``study``, or ``hussein2023``: 25 % covered, candidates at most 70 % outside (Hussein et al., ISBI 2023).
* ``anima``: the same with 10 %, the defaults of the MSSEG challenges' tool (Commowick et al., Sci. Rep. 2018).
* ``ivadomed``: 3 common voxels, 18-connected, no smallest lesion: the defaults of ivadomed's evaluation (Gros et al.,
  JOSS 2021). Its false-detection rate divides by detected *lesions* plus false components; precision here divides by
  predicted components, as in all rules.
* ``multi_spine``: any pair of IoU 0.2, 26-connected, many-to-many: the lesion level of the MS-Multi-Spine challenge
  (MICCAI 2024). The challenge asks for more than 0.2 on the side of the reference and for at least 0.2 on the other;
  here both ask for at least 0.2.
* ``any_overlap``: one common voxel; lesions as in ``study``, so that only the criterion differs.
* ``iou50``: one-to-one matches of IoU 0.5, 26-connected, no smallest lesion: the recognition quality of panoptic
  segmentation (Kirillov et al., CVPR 2019) as panoptica computes it by default (Kofler et al., 2023).
"""


_PAPER = frozenset({"hussein2023", "isbi2023", "paper", "study"})
"""Names of what comes from Hussein et al. 2023: a lesion rule, a grid of thresholds, a study."""


def row_name(name: str, table: Iterable[str]) -> str:
    """Return the key of a table that a name stands for: what comes from Hussein et al. 2023 has four names.

    Files and fingerprints hold the key of the table: ``study`` for the lesion rule, ``paper`` for the grid,
    ``isbi2023`` for the shipped study. Any other name is returned as it is.
    """
    keys = list(table)
    if name in keys or name not in _PAPER:
        return name
    return next((key for key in keys if key in _PAPER), name)


def resolve_rule(rule: str | LesionRule) -> LesionRule:
    """Return the rule itself or the preset of that name.

    Raises:
        CordlesionError: No preset has this name.
    """
    if isinstance(rule, LesionRule):
        return rule
    name = row_name(rule, RULES)
    if name not in RULES:
        raise CordlesionError(
            f"There is no lesion rule {rule!r}; choose one of {', '.join(RULES)}, or give a LesionRule."
        )
    return RULES[name]
