"""Random scans for property tests: every orientation, oblique, anisotropic."""

import itertools

import nibabel as nib
import numpy as np
from hypothesis import strategies as st

from cordlesion.cord.centerline import Centerline
from cordlesion.io.orient import to_las
from cordlesion.io.volume import Volume

AXES = [
    "".join(letters) for order in itertools.permutations(("RL", "AP", "IS")) for letters in itertools.product(*order)
]
"""The 48 orientations."""


def make_scan(
    orientation: str, spacing_las: tuple[float, ...], shape_las: tuple[int, ...], angles: tuple[float, ...], seed: int
) -> Volume:
    """Make a noise scan that is LAS up to rotation by ``angles`` (radians) and then stored in ``orientation``."""
    rng = np.random.default_rng(seed)
    affine = np.eye(4)
    affine[:3, :3] = nib.eulerangles.euler2mat(*angles) @ np.diag([-1.0, 1.0, 1.0]) @ np.diag(spacing_las)
    affine[:3, 3] = rng.uniform(-100, 100, 3)
    data = rng.uniform(0, 100, shape_las).astype(np.float32)
    las = nib.orientations.axcodes2ornt("LAS")
    transform = nib.orientations.ornt_transform(las, nib.orientations.axcodes2ornt(orientation))
    stored = nib.orientations.apply_orientation(data, transform)
    return Volume(np.ascontiguousarray(stored), affine @ nib.orientations.inv_ornt_aff(transform, data.shape))


@st.composite
def scans(draw: st.DrawFn) -> Volume:
    spacing = tuple(draw(st.floats(0.35, 5.0)) for _ in range(3))
    shape = tuple(draw(st.integers(5, 24)) for _ in range(3))
    angles = tuple(draw(st.floats(-0.3, 0.3)) for _ in range(3))
    return make_scan(draw(st.sampled_from(AXES)), spacing, shape, angles, draw(st.integers(0, 2**16)))


@st.composite
def centerlines(draw: st.DrawFn, scan: Volume) -> Centerline:
    """A polyline inside the image, over a part of its axial slices; it may touch the border."""
    nx, ny, nz = to_las(scan).data.shape
    first = draw(st.integers(0, nz - 1))
    last = draw(st.integers(first, nz - 1))
    z = np.unique(np.linspace(first, last, draw(st.integers(1, 4))).round())
    inside = [draw(st.lists(st.floats(0, n - 1), min_size=len(z), max_size=len(z))) for n in (nx, ny)]
    return Centerline(np.array(inside[0]), np.array(inside[1]), z)
