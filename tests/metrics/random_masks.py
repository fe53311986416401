"""Random masks, probability maps and lesion rules for property tests."""

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from cordlesion.metrics import LesionRule

shapes = hnp.array_shapes(min_dims=3, max_dims=3, min_side=1, max_side=6)
spacings = st.sampled_from([(1, 1, 1), (0.5, 0.5, 3), (0.75, 1, 1.25)])
rules = st.builds(
    LesionRule,
    min_overlap=st.sampled_from([0, 0.1, 0.25, 0.5]),
    max_outside=st.sampled_from([0, 0.5, 0.7, 1]),
    gamma=st.sampled_from([0.01, 0.5, 0.65, 1]),
    min_volume_mm3=st.sampled_from([0, 1, 2, 3]),
    connectivity=st.sampled_from([6, 18, 26]),
    min_overlap_voxels=st.sampled_from([1, 1, 2, 3]),
    min_iou=st.sampled_from([0, 0, 0.1, 0.2, 0.5]),
    one_to_one=st.booleans(),
)
densities = st.sampled_from([0, 0.1, 0.3, 0.5, 0.7, 1])
seeds = st.integers(0, 2**32 - 1)
VALUES = np.array([0, 0.1, 0.25, 0.5, 0.7, 0.9, 1], dtype=np.float32)


@st.composite
def volumes(draw, n=2):
    """Blocky random masks of one shape, from empty to full."""
    shape, rng = draw(shapes), np.random.default_rng(draw(seeds))
    return [rng.random(shape) < draw(densities) for _ in range(n)]


@st.composite
def maps(draw):
    """A mask, and a map of few values, in C or Fortran order; with or without a wide margin where p = 0."""
    (reference,) = draw(volumes(n=1))
    rng = np.random.default_rng(draw(seeds))
    p = rng.choice(VALUES, size=reference.shape, p=rng.dirichlet(np.ones(len(VALUES))))
    margin = draw(st.sampled_from([0, 0, 2]))
    reference, p = np.pad(reference, margin), np.pad(p, margin)
    return (np.asfortranarray(reference), np.asfortranarray(p)) if draw(st.booleans()) else (reference, p)
