"""Masks beside their references: the pictures, the table of lesions and the page, from files."""

import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.colors import to_hex
from scipy import ndimage

from cordlesion.dataset.matching import MapPair
from cordlesion.dataset.scan_names import scan_file
from cordlesion.errors import CordlesionError
from cordlesion.io.tables import read_table
from cordlesion.maps.agreement import judge_lesions, summarize, write_agreement
from cordlesion.maps.evaluate import evaluate_files
from cordlesion.metrics import RULES, ScanMetrics, evaluate
from cordlesion.pictures.style import FALSE_NEGATIVE, FALSE_POSITIVE, TRUE_POSITIVE
from support.images import box, noise, write_image
from support.page import Page

LESION, MISSED, FALSE = box((4, 10), (4, 10), (4, 10)), box((14, 18), (4, 8), (25, 29)), box((14, 18), (14, 18), (4, 7))
HOSTILE = "sub-<img src=x onerror=alert(1)>&'$5$"


def write_scans(folder: Path) -> tuple[Path, Path, Path]:
    """Three scans: one lesion found, one missed and one false; all found; nothing there but a false lesion."""
    reference, prediction, images = (folder / name for name in ("reference", "prediction", "images"))
    masks = {"a": (LESION | MISSED, LESION | FALSE), "b": (LESION, LESION), "c": (0 * LESION, FALSE)}
    for name, (drawn, predicted) in masks.items():
        write_image(reference / f"sub-{name}_label-lesion_seg.nii.gz", drawn)
        write_image(prediction / f"sub-{name}_label-lesion_mask.nii.gz", predicted)
        write_image(images / f"sub-{name}_T2w.nii.gz", noise())
    return reference, prediction, images


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path, Path]:
    return write_scans(tmp_path)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The figures of the three scans."""
    folder = tmp_path_factory.mktemp("agreement")
    assert draw(write_scans(folder), folder) == {}
    return folder / "figures"


def draw(folders: tuple[Path, Path, Path], folder: Path, **options: object) -> dict[str, str]:
    reference, prediction, images = folders
    options = {"images": images, "figure_format": "svg"} | options
    return evaluate_files(
        reference, prediction, output=folder / "metrics.tsv", figures=folder / "figures", **options
    ).excluded


def labels(path: Path) -> set[str]:
    """Texts of a picture that name lesions."""
    return set(re.findall(r">([RP]\d+)</text>", path.read_text(encoding="utf-8")))


def test_every_scan_has_a_picture_whose_names_are_those_of_the_table(drawn) -> None:
    assert sorted(path.name for path in drawn.iterdir()) == [
        "index.html", "lesion_agreement.json", "lesion_agreement.tsv", "sub-a.svg", "sub-b.svg", "sub-c.svg",
    ]  # fmt: skip
    table = read_table(drawn / "lesion_agreement.tsv")
    told = {(row["scan_id"], row["name"]): (row["agrees"], row["n_voxels"]) for _, row in table.iterrows()}
    assert told == {
        ("sub-a", "R1"): (1, 216), ("sub-a", "R2"): (0, 64), ("sub-a", "P1"): (1, 216), ("sub-a", "P2"): (0, 48),
        ("sub-b", "R1"): (1, 216), ("sub-b", "P1"): (1, 216), ("sub-c", "P1"): (0, 48),
    }  # fmt: skip
    assert labels(drawn / "sub-a.svg") == {"R1", "R2", "P2"}
    assert labels(drawn / "sub-b.svg") == {"R1"}
    assert labels(drawn / "sub-c.svg") == {"P1"}


def test_names_have_the_colour_of_what_became_of_the_lesion(drawn) -> None:
    text = (drawn / "sub-a.svg").read_text(encoding="utf-8")
    for name, color in (("R1", TRUE_POSITIVE), ("R2", FALSE_NEGATIVE), ("P2", FALSE_POSITIVE)):
        written = re.findall(rf'style="([^"]*)"[^>]*>{name}</text>', text)
        assert written
        fills = {found[1] if (found := re.search(r"fill: (#\w{6})", one)) else "#000000" for one in written}
        assert fills == {to_hex(color)}


def test_the_page_shows_the_worst_scan_first(drawn) -> None:
    parsed = Page((drawn / "index.html").read_text(encoding="utf-8"))
    sources = [attributes["src"] for tag, attributes in parsed.elements if tag == "img"]
    assert sources == ["sub-a.svg", "sub-b.svg", "sub-c.svg"]
    assert "1 of 2 lesions detected, 1 false positive among 2 predicted" in parsed.text
    assert "lesion-free, 1 false positive (10 mm³)" in parsed.text


def test_scans_are_found_in_the_dataset_of_the_references(folders, tmp_path) -> None:
    reference, prediction, images = folders
    anat = tmp_path / "bids/sub-b/anat"
    anat.mkdir(parents=True)
    (images / "sub-b_T2w.nii.gz").rename(anat / "sub-b_T2w.nii.gz")
    (tmp_path / "bids/derivatives").mkdir()
    for name in "ac":
        (prediction / f"sub-{name}_label-lesion_mask.nii.gz").unlink()
    sizes = []
    for place in ("bids/derivatives/labels", "alone"):
        reference = reference.rename(tmp_path / place)
        draw((reference, prediction, images), tmp_path / place, images=None, figure_format="png")
        picture = (tmp_path / place / "figures/sub-b.png").read_bytes()
        assert picture.startswith(b"\x89PNG")
        sizes.append(len(picture))
    # A background of noise takes many times the bytes of a black one.
    assert sizes[0] > 3 * sizes[1]


def test_an_image_of_another_grid_is_told_and_the_others_are_drawn(folders, tmp_path) -> None:
    write_image(folders[2] / "sub-b_T2w.nii.gz", noise((24, 24, 41)))
    faults = draw(folders, tmp_path)
    assert list(faults) == ["sub-b"]
    assert "both must share one grid" in faults["sub-b"]
    assert len(read_table(tmp_path / "metrics.tsv")) == 3
    assert not (tmp_path / "figures/sub-b.svg").exists()
    assert (tmp_path / "figures/sub-c.svg").exists()


def test_images_without_a_folder_for_figures_are_refused(folders, tmp_path) -> None:
    with pytest.raises(CordlesionError, match="no folder for the figures; add --figures"):
        evaluate_files(folders[0], folders[1], output=tmp_path / "metrics.tsv", images=folders[2])


def test_names_that_are_markup_stay_text(tmp_path, cli) -> None:
    for kind, data in (("label-lesion_seg", LESION), ("label-lesion_mask", FALSE | LESION), ("T2w", noise())):
        write_image(tmp_path / kind / f"{HOSTILE}_{kind}.nii.gz", data)
    folders = {"--reference": "label-lesion_seg", "--prediction": "label-lesion_mask", "--images": "T2w"}
    given = [part for option, name in folders.items() for part in (option, tmp_path / name)]
    written = ("-o", tmp_path / "metrics.tsv", "--figures", tmp_path / "figures", "--figure-format", "svg", "-q")
    assert cli("evaluate", *given, *written).status == 0
    parsed = Page((tmp_path / "figures/index.html").read_text(encoding="utf-8"))
    assert "script" not in parsed.tags
    (picture,) = (attributes for tag, attributes in parsed.elements if tag == "img")
    assert set(picture) == {"src", "alt", "loading"}
    assert HOSTILE in parsed.text
    drawn = (tmp_path / "figures" / f"{scan_file(HOSTILE).name}.svg").read_text(encoding="utf-8")
    inside = Page(drawn[drawn.index("<svg") :])
    assert "img" not in inside.tags
    assert HOSTILE in inside.text


def blobs(seed: int, share: float) -> np.ndarray:
    smooth = ndimage.gaussian_filter(np.random.default_rng(seed).uniform(0, 1, (14, 14, 20)), 1.2)
    return smooth >= np.quantile(smooth, share)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 500), share=st.floats(0.8, 0.97), rule=st.sampled_from(sorted(RULES)))
def test_judged_lesions_add_up_to_the_metrics(seed: int, share: float, rule: str) -> None:
    """Every number stands for one component, and its verdict is that of a mask with this lesion alone."""
    reference, prediction, spacing = blobs(seed, share), blobs(seed + 1, share) | blobs(seed, 0.98), (0.6, 0.7, 1.1)
    judged, metrics = judge_lesions(reference, prediction, spacing, RULES[rule]), evaluate(
        reference, prediction, spacing, rule
    )  # fmt: skip
    assert (len(judged.detected), judged.detected.sum()) == (metrics.n_reference_lesions, metrics.n_detected_lesions)
    assert (len(judged.true), judged.true.sum()) == (metrics.n_predicted_lesions, metrics.n_true_predicted_lesions)
    sizes = [len(voxels) for voxels in judged.reference.voxels]
    assert sizes == sorted(sizes, reverse=True)
    for voxels, detected in zip(judged.reference.voxels, judged.detected, strict=True):
        touched = prediction[tuple(voxels.T)]
        if not touched.any():
            assert not detected
        if rule == "any_overlap":
            kept = np.zeros_like(prediction)
            for index in judged.predicted.voxels:
                kept[tuple(index.T)] = True
            assert detected == kept[tuple(voxels.T)].any()


def test_a_line_tells_how_well_masks_agree() -> None:
    metrics = ScanMetrics(0.5, 0.5, 0.712, 1.0, 0.5, 0.6, 1, 1, 4, 2, 120.4, 80.0)
    assert summarize(metrics) == "voxel F1 0.71, 1 of 1 lesion detected, 2 false positives among 4 predicted"


def test_lesions_of_another_body_part_are_shown_without_a_cord(shared, tmp_path) -> None:
    """In a brain no cord is followed; every lesion of the picture's slices is in view."""
    brain = shared("data", "brain")
    reference = brain / "sub-07_FLAIR_label-lesion_seg.nii.gz"
    pair = MapPair("sub-07", "sub-07", "", reference, reference)
    assert write_agreement(tmp_path, [pair], {"sub-07": brain / "sub-07_FLAIR.nii.gz"}, picture_format="svg") == {}
    table = read_table(tmp_path / "lesion_agreement.tsv")
    assert table["left_mm"].isna().all()
    assert table["agrees"].all()
    assert {f"R{n}" for n in range(1, 5)} <= labels(tmp_path / "sub-07.svg")
