import numpy as np
import pytest

from cordlesion.simulate.kspace import acquire_slice, sample_stored

FIELD = (60.0, 80.0)
MATRIX = (120, 160)
FINE = (180, 250)


def centres(count, size):
    return (np.arange(count) + 0.5) * size / count - size / 2


def bump(shape, y0=3.0, z0=-7.0, sd=4.0):
    y, z = centres(shape[0], FIELD[0])[:, None], centres(shape[1], FIELD[1])[None, :]
    return np.exp(-((y - y0) ** 2 + (z - z0) ** 2) / (2 * sd**2)).astype(np.float32)


def acquire(fine, noise=0.0, acquired_mm=(0.5, 0.5), filter_sd_mm=0.0, shift_mm=(0.0, 0.0), seed=0):
    return acquire_slice(
        fine, FIELD, MATRIX, acquired_mm=acquired_mm, filter_sd_mm=filter_sd_mm, noise=noise, shift_mm=shift_mm,
        rng=np.random.default_rng(seed),
    )  # fmt: skip


def test_smooth_object_is_reproduced_at_the_stored_voxel_centres():
    assert acquire(bump(FINE)) == pytest.approx(bump(MATRIX), abs=2e-3)


def test_motion_shifts_the_object():
    assert acquire(bump(FINE), shift_mm=(1.0, -2.0)) == pytest.approx(bump(MATRIX, 4.0, -9.0), abs=2e-3)


def test_filter_blurs_by_its_sd():
    blurred = acquire(bump(FINE), filter_sd_mm=1.5)
    sd = np.hypot(4.0, 1.5)
    assert blurred == pytest.approx(16 / sd**2 * bump(MATRIX, sd=sd), abs=2e-3)


def test_noise_is_rician_with_the_given_sd():
    bright = acquire(np.full(FINE, 10.0, np.float32), noise=0.2, acquired_mm=(0.9, 0.7), filter_sd_mm=0.4)
    assert bright.std() == pytest.approx(0.2, rel=0.05)
    air = acquire(np.zeros(FINE, np.float32), noise=0.2, acquired_mm=(0.9, 0.7), filter_sd_mm=0.4)
    assert air.mean() == pytest.approx(0.2 * np.sqrt(np.pi / 2), rel=0.05)


def test_zero_filling_correlates_neighbours():
    def correlation(acquired_mm):
        noise = acquire(np.full(FINE, 10.0, np.float32), noise=0.2, acquired_mm=acquired_mm) - 10
        return np.corrcoef(noise[:-1].ravel(), noise[1:].ravel())[0, 1]

    assert abs(correlation((0.5, 0.5))) < 0.05
    assert correlation((1.0, 1.0)) > 0.4


def test_sharp_edge_rings():
    edge = np.zeros(FINE, np.float32)
    edge[60:120] = 1
    row = acquire(edge, acquired_mm=(1.0, 0.5))[:, 80]
    # Gibbs: the overshoot of a truncated step is 9 % of its height.
    assert row.max() == pytest.approx(1.09, abs=0.03)


def test_sample_stored_is_exact_on_a_plane():
    plane = (centres(FINE[0], FIELD[0])[:, None] + 2 * centres(FINE[1], FIELD[1])[None, :]).astype(np.float32)
    wanted = centres(MATRIX[0], FIELD[0])[:, None] + 2 * centres(MATRIX[1], FIELD[1])[None, :]
    assert sample_stored(plane, MATRIX)[1:-1, 1:-1] == pytest.approx(wanted[1:-1, 1:-1], abs=1e-3)
