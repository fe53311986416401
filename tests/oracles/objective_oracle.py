"""The objectives once more, in fractions, from counts of voxels and lesions; nothing of the package is used."""

import statistics
from dataclasses import dataclass
from fractions import Fraction


@dataclass(frozen=True)
class Counts:
    """One scan at one cell of the grid."""

    reference: int
    predicted: int
    common: int
    n_reference: int
    n_detected: int
    n_predicted: int
    n_true: int
    group: tuple[str, str] | None = None
    """Subject and name of the scans that repeat each other."""

    @property
    def lesion_free(self):
        return self.reference == 0


def ratio(a, b):
    return Fraction(a, b) if b else Fraction(0)


def harmonic(a, b):
    return 2 * a * b / (a + b) if a + b else Fraction(0)


def voxel_f1(scan):
    return Fraction(2 * scan.common, scan.reference + scan.predicted)


def f_beta(scan, beta):
    weight = Fraction(beta) ** 2
    return (1 + weight) * scan.common / (weight * scan.reference + scan.predicted)


def lesion_f1(scan):
    return harmonic(ratio(scan.n_detected, scan.n_reference), ratio(scan.n_true, scan.n_predicted))


def bearing(scans):
    return [scan for scan in scans if not scan.lesion_free]


def lesion_sensitivity(scans, budget):
    scans = [scan for scan in scans if scan.n_reference or scan.lesion_free]
    false = Fraction(sum(scan.n_predicted - scan.n_true for scan in scans), len(scans))
    if false > budget:
        return budget - false
    return Fraction(sum(scan.n_detected for scan in scans), sum(scan.n_reference for scan in scans))


def joint(scans):
    free = [scan for scan in scans if scan.lesion_free]
    clean = Fraction(sum(scan.n_predicted == 0 for scan in free), len(free))
    return harmonic(statistics.median(map(voxel_f1, bearing(scans))), clean)


def icc(groups):
    """ICC(1,1) of a one-way analysis of variance (Shrout and Fleiss 1979); None where nothing varies."""
    values, n_groups = [value for group in groups for value in group], len(groups)
    means = [Fraction(sum(group), len(group)) for group in groups]
    mean = Fraction(sum(values), len(values))
    within = sum((v - m) ** 2 for g, m in zip(groups, means, strict=True) for v in g) / (len(values) - n_groups)
    between = sum(len(g) * (m - mean) ** 2 for g, m in zip(groups, means, strict=True)) / (n_groups - 1)
    usual = (len(values) - Fraction(sum(len(g) ** 2 for g in groups), len(values))) / (n_groups - 1)
    total = between + (usual - 1) * within
    return (between - within) / total if total else None


def repeatability(scans, floor):
    f1 = statistics.mean(map(voxel_f1, bearing(scans)))
    if f1 < floor:
        return f1 - floor
    groups = {}
    for scan in scans:
        if scan.group:
            groups.setdefault(scan.group, []).append(scan.predicted)
    return max(icc([group for group in groups.values() if len(group) > 1]) or Fraction(0), Fraction(0))


SCORES = {
    "median_voxel_f1": lambda scans: statistics.median(map(voxel_f1, bearing(scans))),
    "mean_voxel_f1": lambda scans: statistics.mean(map(voxel_f1, bearing(scans))),
    "plateau_voxel_f1": lambda scans: statistics.mean(map(voxel_f1, bearing(scans))),
    "plateau_voxel_f1:0.1": lambda scans: statistics.mean(map(voxel_f1, bearing(scans))),
    "pooled_voxel_f1": lambda scans: Fraction(
        2 * sum(scan.common for scan in scans), sum(scan.reference + scan.predicted for scan in scans)
    ),
    "median_lesion_f1": lambda scans: statistics.median(lesion_f1(scan) for scan in scans if scan.n_reference),
    "mean_lesion_f1": lambda scans: statistics.mean(lesion_f1(scan) for scan in scans if scan.n_reference),
    "f_beta": lambda scans: statistics.median(f_beta(scan, 2) for scan in bearing(scans)),
    "f_beta:0.5": lambda scans: statistics.median(f_beta(scan, Fraction(1, 2)) for scan in bearing(scans)),
    "lesion_sensitivity": lambda scans: lesion_sensitivity(scans, 1),
    "lesion_sensitivity:0.25": lambda scans: lesion_sensitivity(scans, Fraction(1, 4)),
    "joint_f1_specificity": joint,
    "repeatability": lambda scans: repeatability(scans, Fraction(3, 10)),
    "repeatability:0.5": lambda scans: repeatability(scans, Fraction(1, 2)),
}


TOLERANCES = {"plateau_voxel_f1": Fraction(2, 100), "plateau_voxel_f1:0.1": Fraction(1, 10)}
"""How much lower than the highest a score may be to count as equal; 0 elsewhere."""


def takes_part(objective, scan, scans=()):
    """Whether a scan enters the objective at all; ``scans`` are those that may repeat it."""
    if objective.startswith("repeatability"):
        return not scan.lesion_free or (scan.group and sum(one.group == scan.group for one in scans) > 1)
    if objective in ("median_lesion_f1", "mean_lesion_f1"):
        return scan.n_reference > 0
    if objective.startswith("lesion_sensitivity"):
        return scan.n_reference > 0 or scan.lesion_free
    return not scan.lesion_free or objective in ("pooled_voxel_f1", "joint_f1_specificity")
