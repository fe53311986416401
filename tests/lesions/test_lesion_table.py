"""Lesions as numbers, against a naive list of voxels in world coordinates."""

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, fields

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from cordlesion.cord.centerline import Centerline
from cordlesion.errors import CordlesionError
from cordlesion.io.orient import from_las, to_las
from cordlesion.io.tables import read_table
from cordlesion.io.volume import Volume
from cordlesion.lesions.coverage import Coverage
from cordlesion.lesions.measure import Lesion, LesionLoad, cord_ruler, measure_lesions, number_lesions
from cordlesion.lesions.tables import Segmented, add_to_tables, check_tables
from cordlesion.metrics import LesionRule
from support.strategies import centerlines, make_scan, scans

STRAIGHT = Centerline(np.full(2, 11.0), np.full(2, 12.0), np.array([5.0, 34.0]))


def blobs(scan: Volume, seed: int, share: float = 0.85) -> tuple[np.ndarray, np.ndarray]:
    """A smooth map on the scan's grid, and its mask."""
    noise = np.random.default_rng(seed).uniform(0, 1, scan.data.shape)
    probability = ndimage.gaussian_filter(noise, 1.0).astype(np.float32)
    return probability, probability >= np.quantile(probability, share)


def naive(scan: Volume, mask: np.ndarray, probability: np.ndarray) -> list[dict]:
    """Components over voxels in the file's own order, one by one."""
    labels, n = ndimage.label(mask)
    voxel_mm3 = float(np.prod(nib.affines.voxel_sizes(scan.affine)))
    found = []
    for number in range(1, n + 1):
        index = np.argwhere(labels == number)
        if len(index) * voxel_mm3 <= 3.0:
            continue
        values = [float(probability[tuple(voxel)]) for voxel in index]
        world = [scan.affine @ [*voxel, 1] for voxel in index]
        center = np.mean(world, axis=0)[:3]
        found.append(
            {"n_voxels": len(index), "volume_mm3": len(index) * voxel_mm3, "peak_probability": max(values),
             "mean_probability": sum(values) / len(values), "center": center, "ijk": index.mean(axis=0)}
        )  # fmt: skip
    return sorted(found, key=lambda one: -one["n_voxels"])


@settings(max_examples=40, deadline=None)
@given(scan=scans(), seed=st.integers(0, 1000))
def test_lesions_on_any_grid_equal_a_naive_list(scan: Volume, seed: int) -> None:
    probability, mask = blobs(scan, seed)
    ours, theirs = measure_lesions(scan, mask, probability), naive(scan, mask, probability)
    assert [one.lesion for one in ours.lesions] == list(range(1, len(theirs) + 1))
    assert [one.n_voxels for one in ours.lesions] == [one["n_voxels"] for one in theirs]
    assert ours.load.n_lesions == len(theirs)
    assert ours.load.n_lesions + ours.load.n_too_small == ndimage.label(mask)[1]
    assert ours.load.volume_mm3 == pytest.approx(sum(one["volume_mm3"] for one in theirs), abs=0.01 * (1 + len(theirs)))
    for one in ours.lesions:
        # Lesions of one size may be listed in another order: the file's is not that of LAS.
        center = np.array((one.x_mm, one.y_mm, one.z_mm))
        same_size = [other for other in theirs if other["n_voxels"] == one.n_voxels]
        other = min(same_size, key=lambda o: float(np.abs(center - o["center"]).max()))
        theirs = [left for left in theirs if left is not other]
        np.testing.assert_allclose(center, other["center"], atol=0.006)
        np.testing.assert_allclose((one.i, one.j, one.k), other["ijk"], atol=0.006)
        assert one.volume_mm3 == pytest.approx(other["volume_mm3"], abs=0.006)
        assert one.peak_probability == pytest.approx(other["peak_probability"], abs=6e-5)
        assert one.mean_probability == pytest.approx(other["mean_probability"], abs=6e-5)


@st.composite
def scans_with_curves(draw: st.DrawFn) -> tuple[Volume, Centerline]:
    scan = draw(scans())
    return scan, draw(centerlines(scan))


def walked(las: Volume, curve: Centerline, z: float) -> float:
    """Length of the curve from the upper face of its first slice to ``z``, in small steps; negative above."""
    face = curve.z[-1] + 0.5
    steps = np.linspace(face, z, 20_001)
    points = nib.affines.apply_affine(las.affine, np.stack([*curve.at(steps), steps], axis=1))
    length = float(np.linalg.norm(np.diff(points, axis=0), axis=1).sum())
    return length if z <= face else -length


@settings(max_examples=40, deadline=None)
@given(drawn=scans_with_curves(), seed=st.integers(0, 1000))
def test_places_along_the_cord_equal_a_walk_along_the_curve(drawn: tuple[Volume, Centerline], seed: int) -> None:
    scan, curve = drawn
    _, mask = blobs(scan, seed, 0.97)
    las = to_las(scan)
    found = measure_lesions(scan, mask, None, curve)
    inside = to_las(Volume(mask, scan.affine)).data
    numbered = number_lesions(inside, float(np.prod(las.spacing_mm)))
    smooth = cord_ruler(las, curve).curve
    touched: set[int] = set()
    for one, voxels in zip(found.lesions, numbered.voxels, strict=True):
        slices = {int(z) for z in voxels[:, 2]}
        touched |= slices
        top, bottom = (walked(las, smooth, z) for z in (max(slices) + 0.5, min(slices) - 0.5))
        # Between the middles of slices a curve may bend; the ruler sees the bends that lie on its own points.
        assert one.length_mm == pytest.approx(bottom - top, rel=0.01, abs=0.02)
        assert one.position_mm == pytest.approx((top + bottom) / 2, rel=0.01, abs=0.02)
        x, y = smooth.at(voxels[:, 2].astype(float))
        assert one.left_mm == pytest.approx(np.mean((voxels[:, 0] - x) * las.spacing_mm[0]), abs=0.006)
        assert one.anterior_mm == pytest.approx(np.mean((voxels[:, 1] - y) * las.spacing_mm[1]), abs=0.006)
        assert (one.peak_probability, one.mean_probability) == (None, None)
    cord = [z for z in touched if smooth.z[0] <= z <= smooth.z[-1]]
    lengths = [walked(las, smooth, z - 0.5) - walked(las, smooth, z + 0.5) for z in cord]
    assert found.load.affected_mm == pytest.approx(sum(lengths), rel=0.01, abs=0.02)
    assert found.load.cord_mm == pytest.approx(
        walked(las, smooth, smooth.z[0] - 0.5) - walked(las, smooth, smooth.z[-1] + 0.5), rel=0.01, abs=0.02
    )


def test_a_leaning_cord_is_longer_than_its_slices() -> None:
    """A cord that goes 3 mm to the left on each 4 mm of height: 5 mm of length for every 4 mm."""
    z = np.arange(40.0)
    scan = Volume(np.zeros((64, 8, 40)), np.diag([-1.0, 1.0, 1.0, 1.0]))
    mask = np.zeros(scan.data.shape, bool)
    mask[20:24, 3:5, 20:24] = True
    (one,) = measure_lesions(scan, mask, None, Centerline(5 + 0.75 * z, np.full(40, 3.5), z)).lesions
    assert one.length_mm == pytest.approx(5.0)
    # The first slice's upper half, in which the curve goes straight up, and the rest of the way.
    assert one.position_mm == pytest.approx(0.5 + (39 - 21.5) * 1.25, abs=0.006)
    assert one.left_mm == pytest.approx(21.5 - (5 + 0.75 * 21.5), abs=0.01)
    assert one.anterior_mm == pytest.approx(0)


def test_a_curve_drawn_on_voxels_is_no_longer_than_the_cord() -> None:
    """In a sagittal scan it jumps by a slice of 3 mm now and then."""
    z = np.arange(300.0)
    jumping = Centerline(np.round(5 + 0.02 * z), np.full(300, 10.0), z)
    scan = Volume(np.zeros((16, 20, 300), np.uint8), np.diag([-3.0, 0.5, 0.5, 1.0]))
    jumps = np.abs(np.diff(jumping.x)).sum() * 3
    true = float(np.hypot(300 * 0.5, 0.02 * 300 * 3))
    measured = cord_ruler(scan, jumping).length_mm
    assert jumps > 15
    assert true <= measured < true + 0.1 * jumps


def test_lesion_above_the_curve_has_a_negative_position() -> None:
    scan = make_scan("LAS", (0.6, 0.6, 2.0), (24, 24, 40), (0, 0, 0), seed=0)
    mask = np.zeros(scan.data.shape, bool)
    mask[9:13, 10:14, 36:38] = True
    (one,) = measure_lesions(scan, mask, None, STRAIGHT).lesions
    assert one.position_mm == pytest.approx((34.5 - 36.5) * 2.0)


def test_a_lesion_in_the_whole_cord_begins_where_the_cord_begins() -> None:
    scan = Volume(np.zeros((20, 20, 19)), np.diag([-0.5, 0.5, 7.5, 1.0]))
    mask = np.zeros(scan.data.shape, bool)
    mask[9:12, 9:12] = True
    found = measure_lesions(scan, mask, None, Centerline(np.full(19, 10.0), np.full(19, 10.0), np.arange(19.0)))
    (one,) = found.lesions
    assert (found.load.cord_mm, found.load.affected_mm, one.length_mm) == (142.5, 142.5, 142.5)
    assert one.position_mm - one.length_mm / 2 == 0
    (straight,) = measure_lesions(scan, mask).lesions
    assert straight.position_mm == one.position_mm


@pytest.mark.parametrize(("ends", "cord_mm"), [((17.0, 21.0), 10.0), ((16.6, 20.6), 10.0)], ids=["whole", "between"])
def test_no_more_cord_is_affected_than_there_is(ends: tuple[float, float], cord_mm: float) -> None:
    """A curve of five slices, and lesions in the whole scan, as a model of the foreground may find them."""
    scan = make_scan("LAS", (0.6, 0.6, 2.0), (24, 24, 40), (0, 0, 0), seed=0)
    mask = np.zeros(scan.data.shape, bool)
    mask[4:8, 4:8, 2:38] = True
    load = measure_lesions(scan, mask, None, Centerline(np.full(2, 11.0), np.full(2, 12.0), np.array(ends))).load
    assert (load.affected_mm, load.cord_mm) == (cord_mm, cord_mm)
    mask[..., 15:] = False
    assert measure_lesions(scan, mask, None, STRAIGHT).load.affected_mm == 20.0
    mask[..., 5:] = False
    assert measure_lesions(scan, mask, None, STRAIGHT).load.affected_mm == 0.0


def test_overlapping_lengths_are_counted_once() -> None:
    scan = make_scan("PIR", (0.6, 0.6, 2.0), (24, 24, 40), (0.1, 0, 0.2), seed=0)
    mask = np.zeros((24, 24, 40), bool)
    mask[4:8, 4:8, 10:15] = mask[14:18, 14:18, 12:20] = mask[4:8, 4:8, 30:32] = True
    found = measure_lesions(scan, np.ascontiguousarray(from_las(mask, scan)).astype(bool), None, STRAIGHT)
    assert [one.length_mm for one in found.lesions] == [16.0, 10.0, 4.0]
    assert found.load.affected_mm == pytest.approx(10 * 2.0 + 4.0)
    assert found.load.cord_mm == pytest.approx(30 * 2.0)


def test_no_lesion_and_no_curve() -> None:
    scan = make_scan("LAS", (0.6, 0.6, 2.0), (24, 24, 40), (0, 0, 0), seed=0)
    found = measure_lesions(scan, np.zeros(scan.data.shape, bool))
    assert found.lesions == ()
    assert found.load == LesionLoad(n_lesions=0, volume_mm3=0, affected_mm=0, cord_mm=None, n_too_small=0)


def test_numbers_follow_the_rule() -> None:
    mask = np.zeros((24, 24, 40), bool)
    mask[2:4, 2:4, 2:4] = mask[4:7, 4:7, 4:7] = True  # they touch at a corner
    assert [len(v) for v in number_lesions(mask, 1.0).voxels] == [27, 8]
    assert [len(v) for v in number_lesions(mask, 1.0, LesionRule(connectivity=26)).voxels] == [35]
    strict = number_lesions(mask, 1.0, LesionRule(min_volume_mm3=8))
    assert ([len(v) for v in strict.voxels], strict.n_too_small) == ([27], 1)


def test_tables_say_what_their_columns_mean(tmp_path) -> None:
    add_to_tables(tmp_path, {})
    for name, of in (("lesions", (Lesion,)), ("lesion_load", (LesionLoad, Coverage))):
        columns = read_table(tmp_path / f"{name}.tsv").columns.tolist()
        described = json.loads((tmp_path / f"{name}.json").read_text())
        assert (
            set(columns)
            == set(described)
            == ({"scan_id", *(f.name for kind in of for f in fields(kind))} | set(columns[1:2]))
            - {"spread", "disagreement"}  # of ensembles only
        )
        assert all(text["Description"] for text in described.values())
        assert all(("mm" in column) == ("Units" in text) for column, text in described.items())


def test_rows_of_other_scans_stay_and_those_of_a_scan_done_again_go(tmp_path) -> None:
    scan = make_scan("LAS", (0.6, 0.6, 2.0), (24, 24, 40), (0, 0, 0), seed=0)
    probability, mask = blobs(scan, 1, 0.97)
    with_curve = measure_lesions(scan, mask, probability, STRAIGHT)
    without = measure_lesions(scan, mask, probability)
    nothing = measure_lesions(scan, np.zeros_like(mask), probability)

    def add(**found: object) -> None:
        add_to_tables(tmp_path, {n: Segmented(0.5, f.load, f.lesions) for n, f in found.items()})

    add(a=with_curve, b=without)
    add(b=nothing, c=nothing)
    lesions, loads = (read_table(tmp_path / f"{name}.tsv") for name in ("lesions", "lesion_load"))
    assert set(lesions["scan_id"]) == {"a"}
    assert lesions["left_mm"].tolist() == [one.left_mm for one in with_curve.lesions]
    assert loads["scan_id"].tolist() == ["a", "b", "c"]
    assert loads["n_lesions"].tolist() == [len(with_curve.lesions), 0, 0]
    add(a=nothing, d=without)
    again = read_table(tmp_path / "lesions.tsv")
    assert set(again["scan_id"]) == {"d"}
    assert again["left_mm"].isna().all()
    assert [asdict(one)["n_voxels"] for one in without.lesions] == again["n_voxels"].tolist()


def test_writers_at_the_same_time_lose_no_rows(tmp_path) -> None:
    load = LesionLoad(n_lesions=0, volume_mm3=0, affected_mm=0, cord_mm=None, n_too_small=0)
    names = [f"{n:02d}" for n in range(24)]
    with ThreadPoolExecutor(4) as pool:  # an open file is what holds a lock, so that threads stand for processes
        list(pool.map(lambda name: add_to_tables(tmp_path, {name: Segmented(0.5, load, ())}), names))
    assert sorted(read_table(tmp_path / "lesion_load.tsv")["scan_id"]) == names


def test_a_table_of_another_kind_is_refused_before_the_work(tmp_path) -> None:
    (tmp_path / "lesions.tsv").write_text("scan_id\tlesion\nsub-1\t1\n")
    with pytest.raises(CordlesionError, match=r"lesions\.tsv: lacks the columns volume_mm3"):
        check_tables(tmp_path)
