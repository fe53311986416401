"""Simulated scans against published figures of signal, scanners, lesions and readers.

The ranges come from measurements of public scans, Hussein et al. 2023, Bot 2004 and Thaler 2025; they were fixed
before the simulator was written. They apply to the median over the scans, unless the name of a test contains "each".
"""

import multiprocessing
from concurrent.futures import ProcessPoolExecutor

import nibabel as nib
import numpy as np
import pytest
from scipy import ndimage

from cordlesion.simulate import levels, plan_cohort, second_reader, simulate_scan
from cordlesion.simulate.anatomy import S_MM, radius_ratio
from cordlesion.simulate.canal import DISCS, RIM_MM, section_at
from cordlesion.simulate.frame import cord_frame

SEED = 2023
SCANS = 44
TOUCHING = np.ones((3, 3, 3), dtype=bool)
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def measured():
    """Measurements of the scans, one dictionary each; in two processes, because each image takes two seconds."""
    plans = [plan for subject in plan_cohort(SCANS, SEED) for plan in subject.scans(SEED)]
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
        return list(pool.map(measure, plans, chunksize=4))


def values(measured, name):
    found = np.array([scan[name] for scan in measured], dtype=float)
    return found[np.isfinite(found)]


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [
        ("csf", 2.2, 3.0), ("muscle", 0.18, 0.45), ("rim", 0.0, 0.45), ("air", 0.0, 0.12), ("edge_mm", 1.0, 1.8),
        ("noise", 0.025, 0.12), ("grey", 0.97, 1.25), ("shading", 1.2, 1.7), ("csf_cv", 0.08, 0.25),
    ],
)  # fmt: skip
def test_median_of_scans(measured, name, low, high):
    found = values(measured, name)
    assert len(found) > SCANS / 2
    assert low < np.median(found) < high


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [("csf", 1.6, 4.0), ("drawn_grey", 0.97, 1.25), ("body", 0.35, 1.7), ("shading", 1.05, 2.2)],
)
def test_each_scan(measured, name, low, high):
    found = values(measured, name)
    assert low <= found.min()
    assert found.max() <= high


def test_reference_without_lesions(measured):
    free = np.mean([scan["reference_lesions"] == 0 for scan in measured])
    assert 0.22 < free < 0.35


def test_lesions_of_the_reference(measured):
    counts = np.array([scan["reference_lesions"] for scan in measured if scan["reference_lesions"]])
    assert 2.2 < counts.mean() < 3.3
    # Target 5 to 9; in some 30 scans the percentile is uncertain by one lesion (a cohort of 120 scans has 6).
    assert 4 <= np.percentile(counts, 95) <= 10
    assert counts.max() <= 20


def test_lesions_in_the_image(measured):
    contrast = np.concatenate([scan["contrast"] for scan in measured])
    assert 1.20 < np.median(contrast) < 1.50
    low, high = np.percentile(contrast, [5, 95])
    assert low > 1.05
    assert high < 1.80
    with_lesions = [scan["lesion_share"] for scan in measured if scan["reference_lesions"]]
    assert 0.0003 < np.median(with_lesions) < 0.004


def test_reader_misses_lesions(measured):
    with_lesions = [scan for scan in measured if scan["reference_lesions"]]
    missed = sum(scan["missed"] for scan in with_lesions) / sum(scan["true_lesions"] for scan in with_lesions)
    assert 0.15 < missed < 0.45


def test_two_readers(measured):
    assert 0.5 < np.median(values(measured, "reader_dice")) < 0.8
    matched, total = (sum(scan[name] for scan in measured) for name in ("matched", "both_counts"))
    assert 0.6 < matched / total < 0.85


# --- measuring --------------------------------------------------------------------------------------------------------


def measure(plan):
    """Measure one scan; runs in another process."""
    scan = simulate_scan(plan)
    image = canonical(scan.image).astype(np.float32)
    true, reference, cord = (canonical(mask) for mask in (scan.true_lesions, scan.reference, scan.cord))
    window = near_cord(cord, scan.acquisition.spacing_mm)
    place = Places(scan, window)
    healthy = place.core & ~ndimage.binary_dilation(scan.evidence.share[window] > 0.02)
    along = profile(image[window], healthy, scan)
    flat = image[window] / along
    seen = reference & np.isfinite(image / along)
    spacing = scan.acquisition.spacing_mm
    return {
        "csf": median(flat, place.csf),
        "grey": median(flat, place.grey & healthy) / median(flat, place.white & healthy),
        "drawn_grey": scan.signals.grey,
        "body": median(flat, place.body),
        "muscle": median(flat, place.muscle),
        "rim": place.darkest_rim(flat),
        "air": np.percentile(image, 5) / np.nanmedian(along),
        "edge_mm": edge_width(flat, place),
        "noise": noise(flat, healthy, scan),
        "shading": np.nanmax(along) / np.nanmin(along),
        "csf_cv": csf_cv(image[window], place),
        "lesion_share": reference.sum() * np.prod(spacing) / (24 * 24 * cord.any(axis=(0, 1)).sum() * spacing[2]),
        "contrast": contrasts(image / along, seen),
        **count(true, reference, canonical(second_reader(scan, 1))),
    }


def canonical(volume):
    """Voxels with axes right, front, up."""
    return nib.orientations.apply_orientation(volume.data, nib.orientations.io_orientation(volume.affine))


def near_cord(cord, spacing_mm):
    """Window of 40 mm around the cord, all heights."""
    (x0, y0, _), (x1, y1, _) = np.argwhere(cord).min(axis=0), np.argwhere(cord).max(axis=0)
    pad = np.ceil(40 / np.array(spacing_mm)).astype(int)
    return np.s_[max(x0 - pad[0], 0) : x1 + pad[0], max(y0 - pad[1], 0) : y1 + pad[1], :]


def median(image, mask):
    return float(np.nanmedian(image[mask])) if mask.sum() >= 20 else np.nan


class Places:
    """Masks of the voxels of a window that are well inside a tissue."""

    def __init__(self, scan, window):
        acquisition, anatomy = scan.acquisition, scan.anatomy
        full = [acquisition.axis_mm(axis) for axis in range(3)]
        x, y, z = (axis[part] for axis, part in zip(full, window, strict=True))
        frame = cord_frame(anatomy, acquisition.pose, -full[1][0], -full[2][0])
        yy, zz = np.meshgrid(y, z, indexing="ij")
        points, forward = frame.section(yy.ravel(), zz.ravel())
        section = section_at(anatomy, points)

        def grid(values):
            return np.asarray(values, dtype=np.float32).reshape(1, len(y), len(z))

        from_cord = (x[:, None, None] - grid(np.interp(points, S_MM, frame.x_mm))).astype(np.float32)
        self.u = np.cos(frame.roll) * from_cord + np.sin(frame.roll) * grid(forward)
        self.v = np.cos(frame.roll) * grid(forward) - np.sin(frame.roll) * from_cord
        self.s, self.half_rl, self.half_ap = grid(points), grid(section.half_rl), grid(section.half_ap)
        cord = (self.s > 5) & (self.s < anatomy.conus_mm - 35)
        # The whole thickness of a sagittal slice must be inside.
        slab = acquisition.thickness_mm / 2 if acquisition.plane == "sagittal" else 0.0
        side = np.abs(self.u)
        self.core = cord & (radius_ratio(side + slab, self.v, self.half_rl - 0.9, self.half_ap - 0.9) < 1)
        shift, sac_ap = grid(section.sac_shift), grid(section.sac_half_ap - section.dent)
        sac = radius_ratio(side + slab, self.v - shift, grid(section.sac_half_rl) - 1, sac_ap - 1) < 1
        self.csf = (
            cord & sac & (radius_ratio(np.maximum(side - slab, 0), self.v, self.half_rl + 1, self.half_ap + 1) > 1)
        )
        self.front = self.v - (shift + sac_ap + RIM_MM)
        from_disc = grid(np.abs(points[:, None] - DISCS).min(axis=1))
        self.near_body = (self.s > levels.top_mm("C3")) & (from_disc > 5) & (side < 3)
        self.body = self.near_body & (self.front > 3) & (self.front < 11)
        behind = shift - sac_ap - self.v
        neck = (self.s > 30) & (self.s < 150)
        self.muscle = neck & (behind > 10) & (behind < 30) & (side > 6 + slab) & (side < 25)
        self.grey = self.core & ((side / grid(section.grey_half_rl) - 0.58) ** 2 < 0.1) & (np.abs(self.v) < 1.2)
        self.white = self.core & (side > 0.72 * self.half_rl) | self.core & (self.v < -0.5 * self.half_ap) & (
            side < 1.5
        )

    def darkest_rim(self, flat):
        """Return the darkest signal between fluid and vertebral bodies, at the heights of the bodies."""
        rows = self.near_body & (self.front > -RIM_MM - 0.5) & (self.front < 1.0)
        darkest = [
            np.nanmin(flat[..., k][rows[..., k]], initial=9.0) for k in np.flatnonzero(rows.sum(axis=(0, 1)) > 2)
        ]
        return float(np.median(darkest)) if darkest else np.nan


def profile(image, healthy, scan):
    """Return the cord signal along z, smoothed over 10 mm; NaN without cord."""
    levels_ = [
        np.median(image[..., k][healthy[..., k]]) if healthy[..., k].sum() > 2 else np.nan
        for k in range(image.shape[2])
    ]
    known = np.isfinite(levels_)
    smooth = max(10 / scan.acquisition.spacing_mm[2] / 2.355, 0.1)
    weight = ndimage.gaussian_filter1d(known.astype(float), smooth, mode="constant")
    total = ndimage.gaussian_filter1d(np.where(known, levels_, 0.0), smooth, mode="constant")
    return np.where(weight > 0.3, total / np.maximum(weight, 1e-6), np.nan).astype(np.float32)


def noise(flat, healthy, scan):
    """Return the SD of second differences along the cord, divided by sqrt(1.5)."""
    triple = healthy[..., 1:-1] & healthy[..., :-2] & healthy[..., 2:]
    difference = flat[..., 1:-1] - (flat[..., :-2] + flat[..., 2:]) / 2
    if scan.acquisition.plane == "axial" or triple.sum() < 200:
        return np.nan
    return float(np.nanstd(difference[triple]) / np.sqrt(1.5))


def csf_cv(image, place):
    slices = [image[..., k][place.csf[..., k]] for k in range(image.shape[2]) if place.csf[..., k].sum() >= 8]
    return float(np.median([part.std() / part.mean() for part in slices])) if slices else np.nan


def edge_width(flat, place):
    """Return the 10-90 % width of the edge between the cord and the fluid in front of it."""
    middle = (np.abs(place.u) < 1.2) & (place.s > 20) & (place.s < 130) & np.isfinite(flat)
    distance = np.broadcast_to(place.v - place.half_ap, flat.shape)
    bins = np.arange(-2.4, 2.4, 0.15)
    rings = [flat[middle & (distance >= low) & (distance < low + 0.15)] for low in bins]
    if min(len(ring) for ring in rings) < 5:
        return np.nan
    mean = np.array([np.median(ring) for ring in rings])
    cord, fluid = np.median(mean[bins < -1.5]), mean[bins > 0.5].max()
    rise = np.maximum.accumulate((mean - cord) / (fluid - cord))
    return float(np.interp(0.9, rise, bins) - np.interp(0.1, rise, bins))


def contrasts(flat, mask):
    labels, number = ndimage.label(mask, TOUCHING)
    return [float(np.median(flat[labels == k])) for k in range(1, number + 1)]


def count(true, reference, other):
    true_labels, true_number = ndimage.label(true, TOUCHING)
    labels, number = ndimage.label(reference, TOUCHING)
    other_labels, other_number = ndimage.label(other, TOUCHING)
    missed = true_number - len(set(true_labels[reference]) - {0})
    both = reference.any() and other.any()
    matched = len(set(labels[other]) - {0}) + len(set(other_labels[reference]) - {0})
    return {
        "true_lesions": true_number, "reference_lesions": number, "missed": missed,
        "reader_dice": 2 * np.sum(reference & other) / (reference.sum() + other.sum()) if both else np.nan,
        "matched": matched if reference.any() else 0, "both_counts": number + other_number if reference.any() else 0,
    }  # fmt: skip
