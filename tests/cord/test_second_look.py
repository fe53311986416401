"""The second look at a curve: the right place of every view, and structures that no longer pass."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cordlesion.cord import finder, second_look
from cordlesion.cord.best_path import BestPath
from cordlesion.cord.finder import find_cord
from cordlesion.cord.network import CELL_MM, PARTS, PIXEL_MM
from cordlesion.cord.second_look import MAX_LOG_ODDS_AGAIN, NEAR_CELLS, log_odds_again
from cordlesion.cord.slabs import resampling, slab_borders, slab_contrast
from cordlesion.errors import CordlesionError
from cordlesion.io.volume import Volume
from cordlesion.simulate.axial_slices import draw_stack
from cordlesion.simulate.cordless_slices import cordless_images
from cordlesion.simulate.randomness import keyed_rng


def bright_cells(las, slabs, _weights):
    """Stand in for the network: log-odds of 9 in cells with bright pixels, else of -9."""
    across = [resampling(n, step) for n, step in zip(las.data.shape[:2], las.spacing_mm[:2], strict=True)]
    pixels = slab_contrast(las, slabs, across)[0]
    n, nx, ny = pixels.shape
    cells = pixels.reshape(n, nx // 2, 2, ny // 2, 2).max(axis=(2, 4))
    odds = np.full((len(PARTS), *cells.shape), -9.0, np.float32)
    odds[PARTS.index("cord")][cells > 1] = 9
    return odds, np.zeros((2, *cells.shape), np.float32)


def scan_with_rod(steps, slope):
    """Return a dark scan with one bright rod, and its place in mm in each slice, shape (2, N)."""
    shape = [round(n / step) for n, step in zip((150, 190), steps, strict=False)]
    slices = 12
    places = np.stack([60 + slope * np.arange(slices), 110 - slope * np.arange(slices)])
    mesh = np.meshgrid(*[np.arange(n) * step for n, step in zip(shape, steps, strict=False)], indexing="ij")
    rods = [np.hypot(mesh[0] - x, mesh[1] - y) < 3 for x, y in places.T]
    # Pixels of the lowest value count as padding, so the surroundings vary a little.
    surroundings = 0.001 * np.add(*mesh)[..., None]
    data = (np.stack(rods, axis=2) + surroundings).astype(np.float32)
    return Volume(data, np.diag([-steps[0], steps[1], steps[2], 1.0])), places


@settings(deadline=None, max_examples=12)
@given(
    steps=st.tuples(st.floats(0.6, 2), st.floats(0.6, 2), st.sampled_from([3.0, 5.0])),
    slope=st.floats(-1.5, 1.5),
    first=st.integers(0, 3),
    aside=st.sampled_from([(0, 0), (25, 0), (0, -25)]),
)
def test_every_view_looks_at_the_place_of_the_curve(steps, slope, first, aside):
    las, places = scan_with_rod(steps, slope)
    slabs = slab_borders(las.data.shape[2], steps[2])
    cells = np.rint((places + np.reshape(aside, (2, 1)) - PIXEL_MM / 2) / CELL_MM).astype(np.int64)[:, first:]
    cord = BestPath(first, *cells, np.ones(cells.shape[1], np.int64), 1.0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(second_look, "slab_evidence", bright_cells)
        seen = log_odds_again(las, cord, slabs, {})
    assert seen.shape == (12 - first,)
    np.testing.assert_array_equal(seen, -MAX_LOG_ODDS_AGAIN if any(aside) else MAX_LOG_ODDS_AGAIN)
    assert np.hypot(*aside) > 2 * NEAR_CELLS * CELL_MM or not any(aside)


@pytest.mark.parametrize("index", [101, 115])
def test_a_structure_that_passes_once_is_refused_in_the_second_look(monkeypatch, index):
    """A bright tube in air, and a fold of a simulated brain, as long as the scan."""
    rng = keyed_rng("without cord", 70_001, index)
    count, gap_mm = int(rng.integers(8, 60)), float(rng.uniform(1, 6))
    data = np.moveaxis(cordless_images(rng, count, rimmed_share=0, stillness=1), 0, 2)
    data = data + rng.normal(0, rng.uniform(0.01, 0.15) * data.std(), data.shape)
    scan = Volume(data.astype(np.float32), np.diag([-1.0, 1.0, gap_mm, 1.0]))
    with pytest.raises(CordlesionError, match=r"no spinal cord was found; .* but when it is cut out and mirrored"):
        find_cord(scan)
    monkeypatch.setattr(finder, "MIN_LOG_ODDS_AGAIN", -MAX_LOG_ODDS_AGAIN)
    assert len(find_cord(scan).z) == count


def test_a_drawn_cord_is_surer_in_the_second_look_than_needed():
    """The margin of simulated cords is wide: unseen scans of patients are harder."""
    stack = draw_stack(31, 0, 4.0)
    scan = Volume(np.moveaxis(stack.images, 0, 2), np.diag([-1.0, 1.0, 4.0, 1.0]))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(finder, "MIN_LOG_ODDS_AGAIN", 4.0)
        assert len(find_cord(scan).z) > 10
