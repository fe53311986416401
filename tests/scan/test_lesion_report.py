"""The one-page report of a scan: what it says, that names stay text, and that it is one page."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from playwright.sync_api import Browser

from cordlesion.config import PostprocessConfig
from cordlesion.guard.verdict import NOT_COMPARED, Verdict
from cordlesion.io.volume import Volume
from cordlesion.lesions.coverage import Coverage
from cordlesion.lesions.measure import Lesion, LesionList, LesionLoad
from cordlesion.pictures.montage import montage
from cordlesion.scan.report import MAX_ROWS, Source, write_lesion_report
from support.page import Page

HOSTILE = "<img src=x onerror=alert(1)><script>alert('x')</script> & \"$5$\" {{ 7 * 7 }} </style>"
LESION = Lesion(
    lesion=1, volume_mm3=123.4, length_mm=14.5, position_mm=52.0, left_mm=2.14, anterior_mm=-0.81,
    peak_probability=0.913, mean_probability=0.5, n_voxels=500, x_mm=1, y_mm=2, z_mm=3, i=12.4, j=30.0, k=5.5,
)  # fmt: skip
COVERAGE = Coverage(58, 80, 145.2, "j", 61, "lost", 4, "conus", 0.93)
SOURCE = Source(
    scan="sub-01_ses-2",
    file="sub-01_ses-2_T2w.nii.gz",
    model="3-D U-Net",
    threshold=0.35,
    threshold_origin="the model's own",
    removal=PostprocessConfig(),
    centerline={"Source": "auto", "File": None, "Confidence": 0.931},
    peak_probability=0.21,
)


def found(n: int, **load: object) -> LesionList:
    """``n`` lesions down the cord, of decreasing size."""
    lesions = tuple(
        replace(LESION, lesion=k + 1, volume_mm3=round(500 / (k + 1), 2), position_mm=10.0 + 9 * k, length_mm=14.0)
        for k in range(n)
    )
    total = round(sum(lesion.volume_mm3 for lesion in lesions), 2)
    return LesionList(lesions, replace(LesionLoad(n, total, 9.0 * n + 5, 300.0, 0), **load))


def montage_of_noise() -> Figure:
    noise = np.random.default_rng(0).uniform(0, 1, (12, 20, 30)).astype(np.float32)
    mask = np.zeros(noise.shape, bool)
    mask[4:8, 8:12, 10:14] = True
    return montage(Volume(noise, np.diag([-1.0, 1.0, 1.0, 1.0])), mask)


@pytest.fixture(scope="module")
def picture() -> Figure:
    """What is not looked at may be empty."""
    return Figure(figsize=(6, 6))


def page(tmp_path: Path, lesions: LesionList, picture: Figure, source: Source = SOURCE) -> tuple[str, Page]:
    text = write_lesion_report(tmp_path / "report.html", source, lesions, picture).read_text(encoding="utf-8")
    return text, Page(text)


def test_the_page_says_what_was_found_and_how(tmp_path: Path, picture: Figure) -> None:
    one = LesionList((LESION,), LesionLoad(1, 123.4, 14.5, 145.0, 2))
    source = replace(SOURCE, remarks=["sform is used"], removal=PostprocessConfig(minimum_volume_mm3=5))
    _, parsed = page(tmp_path, one, picture, source)
    for said in (
        "1 lesion segmented in the spinal cord, 123 mm³, along 14 of the 145 mm of cord that were searched (10 %).",
        "1 123 14.5 52.0 2.1 left, 0.8 behind 0.91 0.50 12, 30, 6",
        "2 components of the mask are too small to count (3 mm³ or less).",
        "sub-01_ses-2_T2w.nii.gz",
        "p ≥ 0.35: the model's own; only in components larger than 5 mm³",
        "found in the scan by cordlesion, confidence 0.93",
        "Research use only. Not a medical device.",
        "Vertebral levels are not determined",
    ):
        assert said in parsed.text
    assert parsed.text.index("(10 %)") < parsed.text.index("sform is used") < parsed.text.index("Volume"), (
        "under the lead"
    )
    assert re.search(r"cordlesion \d+\.\d+\.\d+\S*, \d+ \w+ 20\d\d", parsed.text)


def test_the_page_says_what_was_searched_and_why_it_ends_there(tmp_path: Path, picture: Figure) -> None:
    one = LesionList((LESION,), LesionLoad(1, 123.4, 14.5, 145.2, 2))
    _, parsed = page(tmp_path, one, picture, replace(SOURCE, coverage=COVERAGE))
    assert "Searched 58 of 80 axial slices, 145 mm of cord: from j = 61 (cord lost) to 4 (conus)" in parsed.text
    assert "first axial slice with a centerline (cord lost) to the end of its last one (conus)." in parsed.text
    dashed = [attributes["x1"] for _, attributes in parsed.elements if "stroke-dasharray" in attributes]
    assert dashed == ["-12"], "left of the superior end"
    _, parsed = page(tmp_path, one, picture, replace(SOURCE, cord_only=False))
    assert "Searched" not in parsed.text


def test_no_lesion_is_said_plainly(tmp_path: Path, picture: Figure) -> None:
    _, parsed = page(tmp_path, found(0), picture)
    assert "No lesion was segmented in 300 mm of cord. This does not exclude lesions" in parsed.text
    assert "the highest probability anywhere is 0.21, the threshold 0.35" in parsed.text
    assert "table" not in parsed.tags


def test_a_model_that_gives_a_mask_has_no_probabilities_to_tell(tmp_path: Path, picture: Figure) -> None:
    """SCT's networks as shipped."""
    source = replace(SOURCE, peak_probability=None)
    one = LesionList((replace(LESION, peak_probability=None, mean_probability=None),), LesionLoad(1, 9, 14.5, 145.0, 0))
    _, parsed = page(tmp_path, one, picture, source)
    assert "0.8 behind n/a n/a 12, 30, 6" in parsed.text
    _, parsed = page(tmp_path, found(0), picture, source)
    assert "This does not exclude lesions: the model gives a mask without probabilities" in parsed.text
    assert "highest probability" not in parsed.text


def test_lesions_of_the_whole_image_are_not_said_to_be_in_the_cord(tmp_path: Path, picture: Figure) -> None:
    """A curve was given all the same."""
    source, load = replace(SOURCE, cord_only=False), LesionLoad(1, 123.4, 8.0, 10.0, 0)
    _, parsed = page(tmp_path, LesionList((LESION,), load), picture, source)
    assert "1 lesion segmented, 123 mm³, along 8 of the 10 mm of cord that the centerline covers (80 %)." in parsed.text
    _, parsed = page(tmp_path, found(0), picture, source)
    assert "No lesion was segmented . This does not exclude lesions" in parsed.text


@pytest.mark.parametrize(
    ("origin", "said"),
    [
        ("sct", "found in the scan by the Spinal Cord Toolbox, confidence 0.90"),
        (
            "t2_ctr.h5",
            "by the Spinal Cord Toolbox’s centerline network (t2_ctr.h5), with cordlesion’s curve, confidence",
        ),
    ],
)
def test_who_found_the_cord_is_told(tmp_path: Path, picture: Figure, origin: str, said: str) -> None:
    record = {"Source": origin, "File": None, "Confidence": 0.9}
    assert said in page(tmp_path, found(1), picture, replace(SOURCE, centerline=record))[1].text


def test_nothing_is_loaded_and_nothing_runs(tmp_path: Path) -> None:
    text, parsed = page(tmp_path, found(3), montage_of_noise())
    assert "image" in parsed.tags
    assert not {"script", "link", "iframe", "object", "embed", "img", "base", "form", "a"} & parsed.tags
    for _, attributes in parsed.elements:
        for name, value in attributes.items():
            assert not name.startswith("on")
            if name in ("src", "href", "xlink:href"):
                assert value is not None
                assert value.startswith(("#", "data:image/png;base64,"))
    assert not re.search(r"url\((?!['\"]?#)|@import", text)
    assert "default-src 'none'" in text


def test_names_stay_text(tmp_path: Path, picture: Figure) -> None:
    record = {"Source": "file", "File": HOSTILE, "Confidence": None}
    source = Source(HOSTILE, HOSTILE, HOSTILE, 0.35, HOSTILE, PostprocessConfig(), record, 0.2, [HOSTILE])
    text, parsed = page(tmp_path, found(2), picture, source)
    assert not {"script", "img"} & parsed.tags
    assert parsed.text.count(" ".join(HOSTILE.split())) == 7  # title, heading, file, model, threshold, curve, remark
    harmless, _ = page(tmp_path, found(2), picture)
    assert text.count("</style>") == harmless.count("</style>")
    assert not any(name.startswith("on") for _, attributes in parsed.elements for name in attributes)


def test_the_largest_lesions_are_listed_and_the_others_counted(tmp_path: Path, picture: Figure) -> None:
    _, parsed = page(tmp_path, found(MAX_ROWS + 8), picture)
    assert sum(tag == "tr" for tag, _ in parsed.elements) == 1 + MAX_ROWS
    assert f"The {MAX_ROWS} largest of {MAX_ROWS + 8} lesions; all are in lesions.tsv." in parsed.text
    _, parsed = page(tmp_path, found(MAX_ROWS), picture)
    assert "largest of" not in parsed.text


def test_bars_lie_along_the_cord_where_the_lesions_do(tmp_path: Path, picture: Figure) -> None:
    lesions = found(5)
    _, parsed = page(tmp_path, lesions, picture)
    bars = [{name: float(value or 0) for name, value in attributes.items()} for tag, attributes in parsed.elements
            if tag == "rect" and "rx" in attributes]  # fmt: skip
    assert len(bars) == 5
    scale = 700 / 300
    for bar, lesion in zip(bars, lesions.lesions, strict=True):
        assert bar["x"] == pytest.approx((lesion.position_mm - 7) * scale, abs=0.1)
        assert bar["width"] == pytest.approx(14 * scale, abs=0.1)
    for n, bar in enumerate(bars):
        for other in bars[n + 1 :]:
            apart = bar["x"] + bar["width"] <= other["x"] or other["x"] + other["width"] <= bar["x"]
            assert apart or bar["y"] != other["y"]


def test_without_a_centerline_there_is_no_map_and_the_page_says_how_length_is_meant(
    tmp_path: Path, picture: Figure
) -> None:
    one = LesionList((replace(LESION, left_mm=None, anterior_mm=None),), LesionLoad(1, 123.4, 14.5, None, 0))
    _, parsed = page(tmp_path, one, picture, replace(SOURCE, centerline=None))
    assert not any(attributes.get("rx") for _, attributes in parsed.elements)
    assert "1 lesion segmented, 123 mm³." in parsed.text
    assert "straight down from the top of the uppermost axial slice, because no centerline was used" in parsed.text


@pytest.mark.parametrize(
    ("left", "anterior", "said"),
    [(0.02, -0.03, "at the centre"), (-1.0, 0.0, "1.0 right"), (0.04, 2.26, "2.3 in front")],
)
def test_places_that_round_to_the_centre(
    tmp_path: Path, picture: Figure, left: float, anterior: float, said: str
) -> None:
    one = LesionList((replace(LESION, left_mm=left, anterior_mm=anterior),), LesionLoad(1, 123.4, 14.5, 145.0, 0))
    _, parsed = page(tmp_path, one, picture)
    assert f"52.0 {said} 0.91" in parsed.text


REASON = "the contrast of the surface of the cord to its centre is 1 %; in the training scans 11 to 44 %"
LONG_REASON = (
    "its voxels measure 1.00 x 1.00 x 1.00 mm (left to right, front to back, up and down); in the most similar "
    "training scan 2.38 x 0.56 x 0.56 mm"
)
UNUSUAL = Verdict("unusual", (REASON, LONG_REASON, REASON, REASON), 0.044, 0.05, 1.08, 44)


def test_the_page_says_how_the_scan_compares_with_the_training_scans(tmp_path: Path, picture: Figure) -> None:
    _, unusual = page(tmp_path, found(1), picture, replace(SOURCE, guard=UNUSUAL))
    assert f"This scan is unusual for this model: {REASON} its voxels measure 1.00 × 1.00 × 1.00 mm" in unusual.text
    assert "Guard unusual (p = 0.044 among 44 subjects of the training scans; unusual from 0.05 down)" in unusual.text
    like = Verdict("like the training scans", p_value=0.4, level=0.05, n_subjects=44)
    _, usual = page(tmp_path, found(1), picture, replace(SOURCE, guard=like))
    assert "for this model" not in usual.text
    assert "Guard like the training scans (p = 0.4 among" in usual.text


@pytest.mark.parametrize("guard", [NOT_COMPARED, UNUSUAL], ids=lambda guard: guard.status)
def test_the_page_prints_on_one_sheet(tmp_path: Path, picture: Figure, browser: Browser, guard: Verdict) -> None:
    """The longest page: as many rows as there may be, remarks, long names, the tallest pictures."""
    long = "a remark that is as long as remarks of this program are: " * 3
    origin = "the model's own, tuned on scans set aside for that (objective: median voxel F1, 95 % interval 0.2 to 0.5)"
    told = {
        "threshold_origin": origin,
        "remarks": [long, long],
        "model": "network " * 20,
        "coverage": COVERAGE,
        "guard": guard,
    }
    source = replace(SOURCE, **told)
    write_lesion_report(tmp_path / "report.html", source, found(MAX_ROWS + 8, n_too_small=9), picture)
    opened = browser.new_page()
    requests: list[str] = []
    opened.on("request", lambda request: requests.append(request.url))
    opened.goto((tmp_path / "report.html").as_uri())
    printed = opened.pdf(prefer_css_page_size=True)
    opened.close()
    assert len(re.findall(rb"/Type\s*/Page\b", printed)) == 1
    assert [url for url in requests if not url.startswith("data:")] == [(tmp_path / "report.html").as_uri()]
