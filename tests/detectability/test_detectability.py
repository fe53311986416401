"""Detection limits: those of a toy detector of known limit are recovered, from files."""

import math
import shutil
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from scipy.special import expit

from cordlesion.config import PACKAGED_BUNDLE
from cordlesion.detectability.design import Design
from cordlesion.detectability.figure import draw_curves
from cordlesion.detectability.found import detections
from cordlesion.detectability.implant import implant_files
from cordlesion.detectability.measure import measure_detectability
from cordlesion.detectability.strata import strata
from cordlesion.detectability.tables import DETECTABILITY, DETECTED, FALSE_LESIONS, LIMITS
from cordlesion.errors import CordlesionError
from cordlesion.io.tables import read_table, write_table
from cordlesion.io.volume import read_probability
from cordlesion.metrics import RULES, evaluate
from cordlesion.model.bundle import save_bundle
from cordlesion.simulate.true_lesions import TRUE_LESIONS, TrueLesion
from support.images import write_image
from support.models import untrained_bundle
from support.tubes import make_tube

SHAPE = (12, 12, 60)
LABELS = "derivatives/labels"
LIMIT_MM3 = {1.2: 120.0, 1.6: 30.0}
"""Volume of which the toy detector finds half the lesions, by contrast."""
SLOPE = 4.0


def box(volume, place):
    """About ``volume`` voxels of 1 mm3 around a position along the last axis."""
    edge = max(1, round((volume / 2) ** (1 / 3)))
    mask = np.zeros(SHAPE, bool)
    mask[3 : 3 + edge, 3 : 3 + edge, place : place + max(1, round(volume / edge**2))] = True
    return mask


def chance(volume, contrast):
    return expit(SLOPE * np.log(volume / LIMIT_MM3[contrast]))


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    """A dataset of 90 copies with two lesions each, and the maps of a detector of known limit."""
    folder, rng = tmp_path_factory.mktemp("toy"), np.random.default_rng(0)
    rows = []
    for number in range(91):
        name = "sub-01_rec-" + (f"implant{number:02d}" if number else "unchanged")
        numbered, p = np.zeros(SHAPE, np.uint8), np.zeros(SHAPE, np.float32)
        for lesion, place in enumerate((4, 34) if number else (), start=1):
            volume, contrast = float(np.exp(rng.uniform(np.log(4), np.log(300)))), float(rng.choice([1.2, 1.6]))
            mask = box(volume, place)
            numbered[mask] = lesion
            # At t = 0.5 its limit is the known one, at t = 0.9 it finds nothing.
            p[mask] = 0.8 if rng.random() < chance(volume, contrast) else 0.3
            rows.append(
                TrueLesion(name, "sub-01", lesion, volume, float(mask.sum()), 10.0, contrast, contrast, "lateral", "",
                           place, 2.0, 1.0, 1.0)
            )  # fmt: skip
        p[9:12, 9:12, 50:52] = 0.6 if number < 3 else 0
        write_image(folder / "data/sub-01/anat" / f"{name}_T2w.nii.gz", rng.random(SHAPE).astype(np.float32))
        for suffix, data in (("desc-lesions_dseg", numbered), ("label-lesion_seg", (numbered > 0) * 1)):
            labels = folder / "data" / LABELS / "sub-01/anat" / f"{name}_{suffix}.nii.gz"
            write_image(labels, data.astype(np.uint8), np.diag([-1.0, 1, 1, 1]))
        write_image(folder / "maps" / f"{name}_label-lesion_probseg.nii.gz", p, np.diag([-1.0, 1, 1, 1]))
        write_image(
            folder / "data/sub-01/anat" / f"{name}_T2w.nii.gz", rng.random(SHAPE).astype(np.float32),
            np.diag([-1.0, 1, 1, 1]),
        )  # fmt: skip
    write_table(folder / "data" / LABELS / TRUE_LESIONS.file, pd.DataFrame(map(asdict, rows)), TRUE_LESIONS)
    return folder


@pytest.fixture(scope="module")
def measured(toy):
    return measure_detectability(
        toy / "data", toy / "out", probability=toy / "maps", contrast=(1.0, 1.4, math.inf), threshold=0.5
    )


def own(table):
    return table[table["operating_point"] == "own"].reset_index(drop=True)


def test_the_known_limit_is_recovered_with_its_interval(measured):
    limits = own(measured.limits)
    for row, truth in zip(limits.itertuples(), (120.0, 30.0), strict=True):
        assert row.size_50_low <= truth <= row.size_50_high
        assert row.size_50_mm3 == pytest.approx(truth, rel=0.4)
        assert row.size_50_high / row.size_50_low < 4
        # 90 % are found at exp(log(9) / slope) times the limit: of the faint lesions 208 mm3.
        assert row.size_90_low <= truth * 9 ** (1 / SLOPE) <= row.size_90_high
        assert row.size_90_mm3 > row.size_50_mm3
        assert row.units == "scans"


def test_detection_rises_with_size_and_with_contrast(measured):
    shares = own(measured.shares).set_index(["by", "band"])["sensitivity"]
    by_volume = shares["volume"].to_numpy()
    assert (np.diff(by_volume) >= -0.05).all()
    assert by_volume[-1] - by_volume[0] > 0.7
    assert shares["contrast"].is_monotonic_increasing
    limits = own(measured.limits)
    assert limits["size_50_mm3"].is_monotonic_decreasing


def test_the_threshold_changes_what_is_found_and_what_is_false(measured):
    everything = measured.shares[(measured.shares["by"] == "all") & (measured.shares["operating_point"] == "given")]
    found = everything.set_index("threshold")["n_found"]
    assert found[0.25] == len(measured.detected.drop_duplicates(["scan_id", "lesion"]))
    assert found[0.9] == 0
    assert found.is_monotonic_decreasing
    assert found[0.5] == own(measured.shares)["n_found"].iloc[0]
    false = measured.false.set_index(["operating_point", "threshold"])["n_false_lesions"]
    assert (false["given", 0.55], false["given", 0.65]) == (1, 0)
    assert measured.false["n_scans"].unique().tolist() == [1]


def test_every_lesion_is_counted_once_at_each_threshold_as_the_lesion_rule_has_it(toy, measured):
    rows = own(measured.detected)
    assert not rows.duplicated(["scan_id", "lesion"]).any()
    truth = read_table(toy / "data" / LABELS / TRUE_LESIONS.file)
    assert len(rows) == len(truth) == 180
    # Boxes of one voxel are no lesions of more than 3 mm3 for `evaluate`, but are asked for here.
    assert rows["found"].notna().all()


@pytest.mark.usefixtures("measured")
def test_the_tables_on_disk_are_declared(toy):
    for spec in (DETECTED, DETECTABILITY, LIMITS, FALSE_LESIONS):
        table = read_table(toy / "out" / spec.file, spec)
        assert list(table) == list(spec.names)
        assert not table.duplicated([name for name in spec.key if name in table]).any()
    assert (toy / "out/detectability.png").stat().st_size > 20_000


def test_masks_have_one_operating_point(toy, tmp_path, cli):
    for path in (toy / "maps").iterdir():
        p = read_probability(path)
        mask = (p.data >= 0.5).astype(np.uint8)
        write_image(tmp_path / "masks" / path.name.replace("probseg", "mask"), mask, p.affine)
    done = cli("detectability", toy / "data", "--prediction", tmp_path / "masks", "-o", tmp_path / "out", "-q",
               "--contrast-bands", 1.4)  # fmt: skip
    assert done.status == 0, done.error
    of_masks, of_maps = (read_table(folder / DETECTED.file) for folder in (tmp_path / "out", toy / "out"))
    assert of_masks["found"].tolist() == own(of_maps)["found"].tolist()
    assert of_masks["threshold"].isna().all()


def test_matching_agrees_with_evaluate_where_every_lesion_is_one_component():
    rng = np.random.default_rng(2)
    for rule in RULES.values():
        numbered = np.zeros(SHAPE, np.uint8)
        mask = np.zeros(SHAPE, bool)
        for lesion, place in enumerate((2, 20, 40), start=1):
            truth = box(rng.uniform(20, 120), place)
            numbered[truth] = lesion
            mask |= np.roll(truth, tuple(rng.integers(-1, 2, 3)), axis=(0, 1, 2)) & (rng.random() < 0.7)
        own_counts = detections(numbered, mask, (1, 1, 1), rule)
        metrics = evaluate(numbered > 0, mask, (1, 1, 1), rule)
        assert sum(own_counts.found.values()) == metrics.n_detected_lesions
        assert own_counts.n_false == metrics.n_false_lesions


def test_a_lesion_in_pieces_is_one_lesion_and_one_without_voxels_is_none():
    numbered = np.zeros(SHAPE, np.uint8)
    numbered[2:5, 2:5, 2:5] = numbered[2:5, 2:5, 8:11] = 1
    numbered[8:10, 8:10, 30:33] = 3
    mask = np.zeros(SHAPE, bool)
    mask[2:5, 2:5, 2:5] = True
    result = detections(numbered, mask, (1, 1, 1), RULES["study"])
    assert result.found == {1: True, 3: False}
    assert (result.n_false, result.false_mm3) == (0, 0.0)


def test_strata_hold_every_lesion_once():
    rng = np.random.default_rng(0)
    lesions = pd.DataFrame(
        {
            "subject": rng.choice(["sub-01", "sub-02"], 50), "volume_mm3": rng.uniform(1, 500, 50),
            "contrast": rng.uniform(1.05, 2.2, 50), "distance_mm": rng.uniform(0, 6, 50), "level": "",
            "column": rng.choice(["lateral", "posterior"], 50), "position_mm": rng.uniform(0, 200, 50),
        }
    )  # fmt: skip
    for labelled in (lesions, lesions.assign(level=rng.choice(["C3", "T2", "C10"], 50))):
        counts = pd.Series(0, index=[by for by, *_ in strata(labelled)]).groupby(level=0).sum()
        for by, _, index in strata(labelled):
            counts[by] += len(index)
        assert set(counts) == {50}
    assert [band for by, band, _ in strata(lesions.assign(level="C3")) if by == "level"] == ["C3"]


def test_a_bundle_is_measured_on_implanted_scans(tmp_path, cli):
    tube = make_tube(noise=6.0, length_mm=40.0)
    write_image(tmp_path / "scan.nii.gz", tube.scan.data, tube.scan.affine)
    write_image(tmp_path / "cord.nii.gz", tube.cord.astype(np.uint8), tube.scan.affine)
    implant_files([tmp_path / "scan.nii.gz"], tmp_path / "data", cord_masks=[tmp_path / "cord.nii.gz"], copies=1,
                  design=Design(volumes_mm3=(60.0, 90.0)))  # fmt: skip
    save_bundle(tmp_path / "bundle", untrained_bundle())
    done = cli("detectability", tmp_path / "data", "-m", tmp_path / "bundle", "-o", tmp_path / "out", "-q")
    assert done.status == 0, done.error
    assert len(list((tmp_path / "out/maps").glob("*_probseg.nii.gz"))) == 2
    assert set(read_table(tmp_path / "out" / DETECTABILITY.file)["operating_point"]) == {"own", "given"}
    # The maps can be measured again, by another rule, without the model.
    again = measure_detectability(
        tmp_path / "data", tmp_path / "again", probability=tmp_path / "out/maps", rule="anima"
    )
    assert len(again.shares)


def test_what_cannot_be_measured_is_refused(toy, tmp_path):
    with pytest.raises(CordlesionError, match="Give exactly one"):
        measure_detectability(toy / "data", tmp_path / "out")
    with pytest.raises(CordlesionError, match="has no table of known lesions"):
        measure_detectability(toy / "maps", tmp_path / "out", probability=toy / "maps")
    with pytest.raises(CordlesionError, match="is no grid"):
        measure_detectability(toy / "data", tmp_path / "out", probability=toy / "maps", grid="odd")
    with pytest.raises(CordlesionError, match="There is no lesion rule"):
        measure_detectability(toy / "data", tmp_path / "out", probability=toy / "maps", rule="odd")
    for bands in ((0, 1.6, 1.4, 9), (0, float("nan"), 9)):
        with pytest.raises(CordlesionError, match="rising numbers are needed"):
            measure_detectability(toy / "data", tmp_path / "out", probability=toy / "maps", contrast=bands)
    write_image(tmp_path / "maps/other_probseg.nii.gz", np.zeros(SHAPE, np.float32))
    with pytest.raises(CordlesionError, match="none of its 1 files"):
        measure_detectability(toy / "data", tmp_path / "out", probability=tmp_path / "maps")
    assert not (tmp_path / "out").exists()


def test_a_map_on_another_grid_is_named_before_maps_that_are_missing(toy, tmp_path):
    """One map of 91 is there, and it cannot be used: that is what to mend first."""
    name = "sub-01_rec-implant01_label-lesion_probseg.nii.gz"
    write_image(tmp_path / "maps" / name, np.zeros((5, 5, 5), np.float32))
    with pytest.raises(CordlesionError, match=rf"{name}: .*grid"):
        measure_detectability(toy / "data", tmp_path / "out", probability=tmp_path / "maps")
    (tmp_path / "none").mkdir()
    with pytest.raises(CordlesionError, match="none: holds no probability map; one per scan is needed"):
        measure_detectability(toy / "data", tmp_path / "out", probability=tmp_path / "none")


def test_false_lesions_are_counted_in_the_whole_scan_and_only_in_scans_without_lesions(toy, tmp_path):
    """At a corner of the scan too, far from any cord: maps are given for all of the scan."""
    maps = tmp_path / "maps"  # of two scans; the others are left out
    for name in ("unchanged", "implant05"):
        path = maps / f"sub-01_rec-{name}_label-lesion_probseg.nii.gz"
        p = read_probability(toy / "maps" / path.name)
        data = np.zeros(SHAPE, np.float32) if name == "unchanged" else p.data.copy()
        data[0:2, 0:2, 0:2] = data[10:12, 0:2, 58:60] = 0.7
        write_image(path, data, p.affine)
    measured = measure_detectability(toy / "data", tmp_path / "out", probability=maps, threshold=0.5)
    (row,) = own(measured.false).itertuples()
    assert (row.n_scans, row.n_false_lesions, row.false_volume_mm3) == (1, 2, 16.0)


def test_the_model_in_the_package_has_a_name(toy, tmp_path, monkeypatch):
    used = []

    def predict(bundle, *_):
        used.append(bundle)
        raise CordlesionError("enough")

    monkeypatch.setattr("cordlesion.detectability.bundle_maps.predict_dataset", predict)
    for named in (Path("packaged"), Path("elsewhere")):
        with pytest.raises(CordlesionError, match="enough"):
            measure_detectability(toy / "data", tmp_path / "out", bundle=named)
    assert used == [PACKAGED_BUNDLE, Path("elsewhere")]


def test_a_dataset_without_lesions_is_refused_before_anything_is_predicted(toy, tmp_path):
    data = shutil.copytree(toy / "data", tmp_path / "data")
    table = data / "derivatives/labels/true_lesions.tsv"
    table.write_text(table.read_text().splitlines(keepends=True)[0])
    with pytest.raises(CordlesionError, match="its table has no lesion"):
        measure_detectability(data, tmp_path / "out", probability=toy / "maps")
    assert not (tmp_path / "out").exists()


def test_a_figure_without_curves_says_why():
    axes = Figure().add_subplot()
    draw_curves(axes, [])
    assert "no band of contrast has 10 lesions" in axes.texts[0].get_text()
