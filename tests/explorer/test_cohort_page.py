"""The page of all scans, links, notes and commands in Chromium."""

import shlex
from functools import partial
from io import StringIO
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from opened_page import Opened
from payloads import parse, unpack

from cordlesion.io.tables import read_table

ROWS = "#table tbody tr"


@pytest.fixture(scope="module")
def sweep(study: Path) -> pd.DataFrame:
    rows = read_table(study / "sweep.tsv")
    return rows[rows["set"] == "test"].set_index(["loss", "threshold", "scan_id"]).sort_index()


def table(opened: Opened) -> dict[str, list[str]]:
    """Return the cells of each scan in the table; the first ones are volume, squares, TP, FP, F1 of the left model."""
    cells = "(rows) => rows.map((row) => [...row.cells].map((cell) => cell.innerText))"
    return {name: rest for name, *rest in opened.page.locator(ROWS).evaluate_all(cells)}


def move(opened: Opened, side: str, level: int) -> None:
    opened.after(partial(opened.page.locator(f'[data-side="{side}"] input[type="range"]').fill, str(level)))


def test_one_slider_moves_the_counts_of_all_scans(opened, sweep, study):
    opened.follow("page=cohort&sort=name&a=bce_seed-0&b=soft")
    froc = read_table(study / "froc.tsv").query("set == 'test' and loss == 'bce'").set_index("threshold")
    seen = set()
    for t in (0.9, 0.5, 0.1):
        move(opened, "a", round(100 * t) + (t > 0.225))
        assert opened.link()["ta"] == f"{t:g}"
        rows = sweep.loc["bce", t]
        shown = table(opened)
        assert set(shown) == set(rows.index)
        for name, row in rows.iterrows():
            _, _, tp, fp, f1, *_ = shown[name]
            lesions = int(row["n_reference_lesions"])
            assert tp.split(" ")[0] == (f"{row['n_detected_lesions']:.0f}/{lesions}" if lesions else "–")
            assert int(fp.split(" ")[0]) == row["n_predicted_lesions"] - row["n_true_predicted_lesions"]
            assert f1 == ("–" if pd.isna(row["voxel_f1"]) else f"{row['voxel_f1']:.2f}")
        total = rows[["n_detected_lesions", "n_reference_lesions"]].sum().astype(int)
        assert opened.text("a", '[data-total="tp"]').startswith(f"{total.iloc[0]}/{total.iloc[1]} (")
        assert opened.text("a", '[data-total="fp"]').startswith(f"{froc.loc[t, 'false_per_scan']:.2f}/scan")
        dot = opened.page.locator('[data-side="a"] .froc .dot')
        at = dot.get_attribute("cx"), dot.get_attribute("cy")
        tried = opened.page.locator('[data-side="a"] .froc .tried').evaluate_all(
            "(all) => all.map((one) => [one.getAttribute('cx'), one.getAttribute('cy')])"
        )
        assert list(at) in tried
        seen.add(at)
    assert len(seen) == 3


def test_the_slider_stops_at_the_thresholds_of_the_tables(opened):
    opened.follow("page=cohort&a=bce_seed-0")
    move(opened, "a", 38)  # t = 0.37, as 0.225 is among the thresholds
    assert opened.link()["ta"] == "0.35"
    opened.after(lambda: opened.page.keyboard.press("."))
    assert opened.link()["ta"] == "0.4"
    opened.after(opened.page.locator('[data-goto="scan"]').click)
    move(opened, "a", 38)
    assert opened.link()["ta"] == "0.37"
    assert "at t = 0.35" in opened.text("a", ".of-set")


def test_scans_are_sorted_by_what_the_slider_changes(opened, sweep, study):
    opened.follow("page=cohort&sort=change&a=bce_seed-0&b=bce_seed-0&together=1")
    tuned = read_table(study / "thresholds.tsv").set_index("loss").loc["bce", "threshold"]
    opened.after(lambda: opened.page.locator('[data-side="a"] input[type="range"]').fill("91"))
    opened.page.wait_for_timeout(400)  # the list is made again when the slider rests
    false = lambda t: sweep.loc["bce", t]["n_predicted_lesions"] - sweep.loc["bce", t]["n_true_predicted_lesions"]  # noqa: E731
    found = lambda t: sweep.loc["bce", t]["n_detected_lesions"]  # noqa: E731
    change = (false(0.9) - false(tuned)).abs() + (found(0.9) - found(tuned)).abs()
    listed = list(table(opened))
    assert change[listed].is_monotonic_decreasing
    assert change.max() > 0
    opened.after(lambda: opened.page.locator("#filter").select_option("changed"))
    assert list(table(opened)) == [name for name in listed if change[name] > 0]


def test_search_and_filter(opened, sweep):
    opened.follow("page=cohort&sort=name")
    every = list(table(opened))
    opened.after(lambda: opened.page.locator("#search").fill(every[1][:9].upper()))
    assert list(table(opened)) == [name for name in every if every[1][:9] in name]
    opened.after(lambda: opened.page.locator("#search").fill("no such scan"))
    assert opened.page.locator("#table").inner_text() == "No scan fits the filter and the search."
    opened.after(lambda: opened.page.locator("#search").fill(""))
    opened.after(lambda: opened.page.locator("#filter").select_option("free"))
    rows = sweep.loc["bce", 0.5]
    assert list(table(opened)) == sorted(rows.index[rows["n_reference_lesions"] == 0])
    link = opened.address()
    opened.follow("sort=name")
    opened.after(lambda: opened.page.goto(link))
    assert opened.link()["filter"] == "free"


def test_notes_are_kept_and_exported(opened):
    page = opened.page
    name = opened.link()["scan"]
    assert page.locator("#scan").inner_text() == name
    opened.after(lambda: page.keyboard.press("-"))
    opened.after(lambda: page.get_by_label("Comment on this scan").fill("low\tcontrast & motion"))
    page.keyboard.press("Enter")
    opened.after(lambda: page.get_by_role("button", name="Cohort").click())
    assert table(opened)[name][-1] == "✕ fail low contrast & motion"
    page.reload()
    page.locator("body[data-ready]").wait_for()
    with page.expect_download() as download:
        page.get_by_role("button", name="Export notes (1)").click()
    assert download.value.suggested_filename == "tiny_notes.tsv"
    text = Path(download.value.path()).read_text()
    rows = pd.read_csv(StringIO(text), sep="\t", dtype=str, keep_default_na=False)
    assert rows.to_dict("records")[0] | {"subject": "", "session": ""} == {
        "scan_id": name,
        "subject": "",
        "session": "",
        "set": "test",
        "verdict": "fail",
        "comment": "low contrast & motion",
    }
    opened.after(page.locator('[data-goto="scan"]').click)
    opened.after(lambda: page.keyboard.press("-"))
    opened.after(lambda: page.get_by_label("Comment on this scan").fill(""))
    page.keyboard.press("Enter")
    assert page.get_by_role("button", name="Export notes (0)").is_disabled()


def test_damaged_notes_in_the_browser_are_left_out(opened):
    kept = opened.page.evaluate(
        """() => {
            const scans = ["s1", "s2"].map((name) => ({ name, set: "test" }));
            const study = { id: "other", title: "t", scans };
            const of = (stored) => {
                localStorage.setItem("cordlesion-notes-other", stored);
                const notes = new cordlesion.Notes(study);
                return study.scans.map((scan) => notes.of(scan).verdict);
            };
            const found = [of("{"), of("[1]"), of('{"test/s1": 3, "test/s2": {"verdict": "fail", "comment": ""}}')];
            localStorage.removeItem("cordlesion-notes-other");
            return found;
        }"""
    )
    assert kept == [["", ""], ["", ""], ["", "fail"]]


def test_commands_name_the_files_of_the_scan(opened):
    opened.follow("a=bce_seed-0&b=hard&ta=0.3")
    name = opened.page.locator("#scan").inner_text()
    opened.page.get_by_role("button", name="Open in").click()
    fsleyes, itksnap = (shlex.split(text) for text in opened.page.locator("#elsewhere code").all_inner_texts())
    opened.page.locator("#elsewhere").get_by_role("button", name="Close").click()
    files = [word for word in fsleyes if word.endswith(".nii.gz")]
    image, soft, hard, reference = map(Path, files)
    assert all(Path(file).is_absolute() and Path(file).is_file() for file in files)
    assert image.name == f"{name}_T2w.nii.gz"
    assert "lesion" in reference.name
    assert soft.name == f"{name}_label-lesion_desc-bceseed0_probseg.nii.gz"
    assert hard.name == f"{name}_label-lesion_desc-hard_mask.nii.gz"
    assert fsleyes[: fsleyes.index(str(image))] == ["fsleyes", "--worldLoc", *(f"{x:.1f}" for x in opened.place())]
    assert fsleyes[fsleyes.index("--displayRange") :][:3] == ["--displayRange", "0.3", "1"]
    assert itksnap == ["itksnap", "-g", str(image), "-s", str(reference), "-o", str(soft), str(hard)]


def test_words_with_characters_of_the_shell_are_quoted(opened):
    hostile = ["it's", "$(rm x)", "-name", "a b", ""]
    commands = opened.page.evaluate(
        """(names) => names.map((name) => cordlesion.viewerCommands(
            { files: { image: "i", reference: "r" }, affine: [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0]] },
            [0, 0, 0], [{ label: name, kind: "tuned", t: 0.5, data: { map: name } }])[0][1])""",
        hostile,
    )
    for name, command in zip(hostile, commands, strict=True):
        words = shlex.split(command)
        assert words[words.index("i") + 1] == words[words.index("--name") + 1] == name


def test_values_under_the_crosshair_are_those_of_scan_and_map(opened, site, study):
    opened.follow("a=bce_seed-0&b=hard&view=cord")
    rows = opened.page.locator("#lesions tbody tr:not(.subhead)")
    opened.after(rows.nth(0).locator("button").click)
    names = [one["name"] for one in parse(site.read("data/study.js"))[1]["scans"]]
    scan = names.index(opened.link()["scan"])
    data = parse(site.read(f"data/s{scan:04d}/scan.js"))[1]
    place = [int(n) for n in opened.link()["at"].split(",")]
    intensity, p = opened.text("a", ".value").split("  ")
    image = nib.as_closest_canonical(nib.load(study / data["files"]["image"]))
    at = tuple(np.rint(np.linalg.inv(image.affine) @ np.array(data["affine"]) @ [*place, 1]).astype(int)[:3])
    low, high = data["intensities"]
    expected = float(np.clip(image.get_fdata()[at], low, high))
    assert float(intensity.split(" ")[2]) == pytest.approx(expected, abs=(high - low) / 255 + 0.005 * abs(expected))
    models = parse(site.read("data/study.js"))[1]["models"]
    number = next(n for n, model in enumerate(models) if model["name"] == "bce_seed-0")
    levels = parse(site.read(f"data/s{scan:04d}/m{number:02d}.js"))[1]["levels"]
    inside = np.array(place) - levels["start"]
    reached = unpack(levels)[tuple(inside)] if ((inside >= 0) & (inside < levels["shape"])).all() else 0
    thresholds = parse(site.read("data/study.js"))[1]["thresholds"]
    assert p == (f"p {thresholds[reached]:.2f}" if reached else "p < 0.01")
    assert opened.text("b", ".value").split("  ")[1] in ("in the mask", "outside the mask")


def test_the_axial_slice_shows_thirty_millimetres_around_the_cord(opened, site):
    opened.follow("view=cord")
    canvas = opened.page.locator('[data-side="a"] canvas[tabindex]')
    box = canvas.bounding_box()
    assert box
    found = opened.page.evaluate(
        """async () => {
            const scan = await cordlesion.load("s0000/scan");
            const frame = await cordlesion.makeFrame("cord", "s0000", scan);
            return frame.cordCentre([0, 0, Math.floor(frame.shape[2] / 2)]);
        }"""
    )
    scan = parse(site.read("data/s0000/scan.js"))[1]
    stack, k = scan["stack"], scan["cord"]["shape"][2] // 2
    slice_of_stack = round((k + scan["cord"]["start"][2] + 0.5) / stack["step"][2] - 0.5) - stack["first_slice"]
    corners = [stack[name][slice_of_stack] for name in ("start_x", "start_y")]
    for axis, corner in enumerate(corners):
        middle = (corner + stack["shape"][axis] / 2) * stack["step"][axis] - 0.5 - scan["cord"]["start"][axis]
        assert found[axis] == pytest.approx(middle)
    start, width = (float(n) for n in (canvas.get_attribute("data-axial") or "").split(","))
    scale = min(width, box["height"]) / 30  # pixels per millimetre
    middle = box["x"] + start + width / 2
    places = []
    for shift in (-5, 5):
        opened.after(partial(opened.page.mouse.click, middle + shift * scale, box["y"] + box["height"] / 2))
        places.append(opened.place()[0])
    assert places[0] - places[1] == pytest.approx(10, abs=scan["spacing_mm"][0] + 0.1)


def test_coronal_slices_replace_or_join_the_sagittal_ones(opened):
    canvas = opened.page.locator('[data-side="a"] canvas[tabindex]')
    planes = lambda: {n for n in ("sagittal", "coronal", "axial") if canvas.get_attribute(f"data-{n}")}  # noqa: E731
    assert planes() == {"sagittal", "axial"}
    before = opened.pictures()[0]
    opened.after(opened.page.get_by_role("button", name="Coronal").click)
    assert planes() == {"coronal", "axial"}
    assert opened.pictures()[0] != before
    opened.after(opened.page.get_by_role("button", name="Both").click)
    assert planes() == {"sagittal", "coronal", "axial"}
    assert opened.link()["plane"] == "both"


def test_outlines_are_the_edges_between_voxels_and_leave_the_voxels_visible(opened):
    """The length of all lines equals the number of voxel sides between inside and outside, counted here by hand."""
    found = opened.page.evaluate(
        """() => {
            const shape = [4, 3, 1];
            const tile = { axCorSag: 0, leftTopWidthHeight: [0, 0, 40, 30], leftTopMM: [0, 0], fovMM: [40, 30] };
            const viewer = {
                frame: { shape, reference: new Uint16Array([0, 1, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0]) }, cross: [0, 0, 0],
                toMm: (frac) => [frac[0] * 40, frac[1] * 30, 0], nv: { screenSlices: [tile] },
            };
            const lines = [];
            const outline = new cordlesion.Outline(document.createElement("canvas"));
            const { Path2D } = window;
            window.Path2D = class {
                moveTo(x, y) { this.from = [x, y]; }
                lineTo(x, y) { lines.push([...this.from, x, y].map(Math.round)); }
            };
            const colors = [];
            outline.context.stroke = () => colors.push(outline.context.strokeStyle.toUpperCase());
            const levels = new Uint8Array([0, 2, 2, 0, 0, 2, 1, 0, 0, 0, 0, 0]);
            const draw = (show, ...hidden) => {
                lines.length = colors.length = 0;
                outline.draw(viewer, levels, { t: 2 }, { show, hidden: new Set(hidden), opacity: 1 });
                return [lines.length, [...colors], lines.map(String)];
            };
            const shows = ["reference", "probability", "agreement"].map((show) => draw(show));
            const found = [...shows, draw("agreement", "missed", "hit")];
            window.Path2D = Path2D;
            return found;
        }"""
    )
    reference, probability, agreement, false = found
    assert (reference[0], set(reference[1])) == (8, {"#F5E04A"})
    assert (probability[0], set(probability[1])) == (8, {"#1AA876", "#E8502A"})
    assert agreement[0] == 16
    assert (false[0], false[1]) == (3, ["#E8502A"])
    # NiiVue draws from right to left: the voxel at x = 1 covers the pixels from 20 to 30.
    assert "20,30,20,20" in reference[2] or "30,30,30,20" in reference[2]


def test_outlines_are_drawn_above_the_picture(opened):
    count = """() => {
        const { width, height } = document.querySelector('[data-side="a"] .lines');
        const copy = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
        copy.drawImage(document.querySelector('[data-side="a"] .lines'), 0, 0);
        return copy.getImageData(0, 0, width, height).data.filter((value, n) => n % 4 === 3 && value).length;
    }"""
    assert opened.page.evaluate(count) == 0
    opened.after(lambda: opened.page.keyboard.press("u"))
    assert opened.page.evaluate(count) > 0
    assert opened.link()["outline"] == "1"
    opened.after(lambda: opened.page.keyboard.press("u"))
    assert opened.page.evaluate(count) == 0


def test_opacity_weakens_the_overlay(opened):
    first = opened.pictures()[0]
    opened.after(lambda: opened.page.locator("#opacity").fill("0.3"))
    assert opened.link()["opacity"] == "0.3"
    assert opened.pictures()[0] != first


def test_a_link_that_does_not_fit_is_named(opened):
    opened.follow("scan=sub-999&set=test&a=nothing&ta=0.333&view=cord")
    message = opened.page.locator("#message").inner_text()
    assert message.startswith(
        "The link does not fit. This study has no scan “sub-999”, no model “nothing” (there are soft, bce_seed-0, "
        "hard, shipped, soft-peak, bce_seed-0-peak), no threshold “0.333”."
    )
    assert opened.page.locator("#scan").inner_text() in message
    assert opened.link()["scan"] in message
    opened.after(lambda: opened.page.keyboard.press("n"))
    assert not opened.page.locator("#message").is_visible()


def test_back_and_forward_lead_through_scans_and_pages(opened):
    page = opened.page
    first = opened.link()
    opened.after(lambda: page.keyboard.press("n"))
    second = opened.link()["scan"]
    move(opened, "a", 80)
    moved = opened.link()["ta"]
    opened.after(lambda: page.keyboard.press("c"))
    assert opened.link()["page"] == "cohort"
    opened.after(page.go_back)
    assert (opened.link()["scan"], opened.link()["ta"]) == (second, moved)
    assert page.locator("#scan").inner_text() == second
    opened.after(page.go_back)
    assert opened.link() == first
    opened.after(page.go_forward)
    assert (opened.link()["scan"], opened.link()["ta"]) == (second, moved)
    opened.after(page.go_forward)
    assert opened.link()["page"] == "cohort"


def test_the_threshold_stays_for_the_next_scan_unless_it_is_the_own_one(opened):
    own = opened.link()["ta"]
    opened.after(lambda: opened.page.keyboard.press("n"))
    assert opened.link()["ta"] == own
    move(opened, "a", 70)
    moved = opened.link()["ta"]
    opened.after(lambda: opened.page.keyboard.press("n"))
    assert opened.link()["ta"] == moved != own


def test_a_click_in_the_table_opens_the_scan_at_the_same_threshold(opened):
    opened.follow("page=cohort&sort=name&a=bce_seed-0&ta=0.8")
    name = list(table(opened))[2]
    opened.after(opened.page.locator(ROWS).nth(2).locator("button").click)
    assert opened.page.locator("#scan").inner_text() == opened.link()["scan"] == name
    assert opened.link()["ta"] == "0.8"


def test_without_any_lesion_there_is_no_table_of_lesions(opened):
    text = opened.page.evaluate(
        """() => {
            const parent = document.createElement("div");
            const data = { lesions: [], affine: [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0]] };
            const none = { label: "a", data: { predicted: [[]] }, index: 0 };
            cordlesion.drawLesions(parent, data, [none, none], null, () => {});
            return [parent.innerText, parent.querySelectorAll("table").length];
        }"""
    )
    assert text == ["No lesion in the reference, and none predicted at these thresholds.", 0]
