"""The page in Chromium: its numbers equal the tables of the study, and it sends nothing to other machines."""

import json
import re
import shutil
import threading
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from opened_page import METRICS, Opened
from payloads import parse, unpack, unpack_into
from PIL import Image

from cordlesion.explorer.server import serve
from cordlesion.explorer.site import Site
from cordlesion.io.tables import read_table

HOSTILE = "<img src=x onerror=window.broken=1><script>window.broken=1</script>"


def test_metrics_equal_the_tables_at_any_position_of_the_slider(opened, study):
    evaluation = read_table(study / "evaluation.tsv")
    scan = opened.link()["scan"]
    for side in "ab":
        model = opened.link()[side].removesuffix("_seed-0")
        rows = evaluation[(evaluation["scan_id"] == scan) & (evaluation["loss"] == model)]
        assert len(rows) >= 1
        for row in rows.to_dict("records"):
            move = opened.page.locator(f'[data-side="{side}"] input[type="range"]')
            opened.after(partial(move.fill, "0"))
            level = round(100 * row["threshold"])
            opened.after(partial(move.fill, str(level + (level > 22))))  # 0.225 is among the thresholds
            assert opened.text(side, "output").removesuffix("← →").strip() == f"t = {row['threshold']:.2f}"
            shown = opened.shown(side)
            for name in METRICS:
                assert (shown[name] is None) == pd.isna(row[name])
                assert shown[name] is None or shown[name] == pytest.approx(row[name])
            false = row["n_predicted_lesions"] - row["n_true_predicted_lesions"]
            found, lesions = row["n_detected_lesions"], row["n_reference_lesions"]
            assert opened.text(side, ".counts.lesions") == (
                f"TP {found} of {lesions}, FN {lesions - found}, FP {false} of {row['n_predicted_lesions']} predicted"
            )
            column = 1 if side == "a" else 2
            states = [cells[column - 3] for cells in table(opened) if len(cells) == 4 and cells[column - 3]]
            assert sum("TP" in state for state in states) == found
            assert sum("FP" in state for state in states) == false


def pixels(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(BytesIO(png)).convert("RGB"))


def table(opened: Opened) -> list[list[str]]:
    rows = opened.page.locator("#lesions tbody tr")
    return [rows.nth(n).locator("th, td").all_inner_texts() for n in range(rows.count())]


def test_a_click_on_a_lesion_moves_the_crosshair_there(opened, site):
    link = opened.link()
    scan = next(
        n for n, shown in enumerate(parse(site.read("data/study.js"))[1]["scans"]) if shown["name"] == link["scan"]
    )
    data = parse(site.read(f"data/s{scan:04d}/scan.js"))[1]
    rows = opened.page.locator("#lesions tbody tr:not(.subhead)")
    for number in reversed(range(len(data["lesions"]))):
        opened.after(rows.nth(number).locator("button").click)
        place = data["lesions"][number]["place"]
        world = np.array(data["affine"]) @ [*place, 1]
        assert opened.place() == pytest.approx(world[:3], abs=0.051)
        assert opened.link()["at"] == ",".join(map(str, place))
        assert rows.nth(number).get_attribute("aria-current") == "true"


def test_orientation_is_the_radiological_convention(opened):
    """Axial: patient right on the left, anterior at the top; sagittal: anterior on the left, superior at the top."""
    canvas = opened.page.locator('[data-side="a"] canvas[tabindex]')
    box = canvas.bounding_box()
    assert box
    before = opened.pictures()

    def click(plane: str, x: float, y: float) -> list[float]:
        start, width = (float(n) for n in (canvas.get_attribute(f"data-{plane}") or "").split(","))
        opened.after(partial(opened.page.mouse.click, box["x"] + start + x * width, box["y"] + y * box["height"]))
        return opened.place()

    at_left, at_right = click("axial", 0.35, 0.5), click("axial", 0.65, 0.5)
    assert at_left[0] > at_right[0]  # world coordinates grow to the patient's right, anterior and superior
    assert click("axial", 0.5, 0.4)[1] > click("axial", 0.5, 0.6)[1]
    assert click("sagittal", 0.3, 0.5)[1] > click("sagittal", 0.7, 0.5)[1]
    assert click("sagittal", 0.5, 0.3)[2] > click("sagittal", 0.5, 0.7)[2]
    assert opened.text("a", ".place") == opened.text("b", ".place")
    assert all(now != then for now, then in zip(opened.pictures(), before, strict=True))


def test_keys(opened):
    press = opened.page.keyboard.press
    first = opened.link()["scan"]
    listed = opened.page.locator("#scans .name").all_inner_texts()
    assert listed[0] == first
    opened.after(lambda: press("n"))
    assert opened.link()["scan"] == opened.page.locator("#scan").inner_text() == listed[1]
    opened.after(lambda: press("p"))
    assert opened.link()["scan"] == first
    start = opened.link()
    opened.after(lambda: press("."))
    opened.after(lambda: press(">"))
    assert float(opened.link()["ta"]) == pytest.approx(float(start["ta"]) + 0.06, abs=0.011)
    assert opened.link()["tb"] == start["tb"]
    opened.after(lambda: press("l"))
    opened.after(lambda: press(","))
    assert float(opened.link()["tb"]) < float(start["tb"])
    opened.after(lambda: press("t"))
    assert {name: opened.link()[name] for name in ("ta", "tb")} == {name: start[name] for name in ("ta", "tb")}
    opened.after(lambda: press("2"))
    assert opened.link()["hide"] == "false"
    opened.after(lambda: press("m"))
    opened.after(lambda: press(" "))
    assert opened.link()["show"] == "scan"
    opened.after(lambda: press(" "))
    assert opened.link()["show"] == "probability"
    opened.after(lambda: press("v"))
    assert opened.link()["view"] == "stack"
    opened.after(lambda: press("x"))
    assert (opened.link()["a"], opened.link()["b"]) == (start["b"], start["a"])
    press("?")
    assert opened.page.locator("#help").is_visible()
    opened.page.locator("#help").get_by_role("button", name="Close").click()
    assert not opened.page.locator("#help").is_visible()


def test_a_link_restores_the_state(opened):
    page = opened.page
    opened.after(lambda: page.keyboard.press("n"))
    opened.after(lambda: page.locator('[data-side="b"] input[type="range"]').fill("7"))
    opened.after(page.get_by_role("button", name="Full scan").click)
    opened.after(page.get_by_role("button", name="true positive").click)
    opened.after(lambda: page.locator('[data-side="a"] select').select_option("hard"))
    opened.zoom()
    canvas = page.locator('[data-side="a"] canvas[tabindex]').bounding_box()
    assert canvas
    at = canvas["x"] + 0.3 * canvas["width"], canvas["y"] + 0.6 * canvas["height"]
    opened.after(lambda: page.mouse.click(*at))
    assert float(opened.link()["pan"].split(",")[3]) > 1
    page.mouse.move(0, 0)

    def seen() -> list[Any]:
        sides = [(opened.shown(side), opened.text(side, ".place")) for side in "ab"]
        return [opened.link(), sides, table(opened)]

    state, pictures = seen(), opened.pictures()
    page.reload()
    page.locator("body[data-ready]").wait_for()
    assert seen() == state
    for one, same in zip(opened.pictures(), pictures, strict=True):
        differing = (pixels(one) != pixels(same)).any(axis=2)
        assert differing.mean() < 1e-4  # the ends of the crosshair in NiiVue depend on earlier drawings


def test_a_link_is_followed_while_an_update_of_the_address_is_pending(opened):
    """The address is updated with a delay after a change; a link that is opened before has priority."""
    first = opened.link()
    opened.after(
        lambda: opened.page.evaluate(
            """async () => {
                document.querySelector('[data-side="a"] input[type="range"]').dispatchEvent(new Event("input"));
                await new Promise((done) => setTimeout(done, 140));
                location.hash = "#sort=errors&view=full";
                const start = performance.now();
                while (performance.now() < start + 30); // busy: the timer is due before the page hears of the link
            }"""
        )
    )
    opened.page.wait_for_timeout(400)
    assert opened.link()["view"] == "full"
    assert opened.link()["scan"] == first["scan"]


@pytest.mark.parametrize(
    "broken",
    [
        "scan=none&a=none&ta=7&tb=x&view=no&at=1,2&pan=a&sort=__proto__&hide=x",
        "at=99999,0,0&pan=0,0,0,0&window=200,10",
        "at=-1,0,0&pan=0,0,0,13",
        "at=1.5,0,0&window=3,3",
    ],
)
def test_parts_of_a_link_that_do_not_fit_are_ignored(opened, broken):
    """Links of another study, or broken ones: the page shows what it shows without them, whatever was shown before."""
    state, place = opened.link(), opened.place()
    opened.after(lambda: opened.page.keyboard.press("n"))
    opened.after(lambda: opened.page.keyboard.press("v"))
    assert opened.link() != state
    opened.follow(broken)
    assert opened.faults == []
    assert opened.link() == state
    assert opened.place() == place


def test_masks_have_no_threshold_and_scans_of_the_threshold_set_are_marked(opened):
    page = opened.page
    opened.after(lambda: page.locator('[data-side="b"] select').select_option("hard"))
    assert page.locator('[data-side="b"] input[type="range"]').is_disabled()
    assert opened.text("b", "output") == "a mask"
    assert not page.locator("#tuning").is_visible()
    opened.after(page.get_by_role("button", name=re.compile("Threshold")).click)
    assert page.locator("#tuning").is_visible()
    assert "threshold set" in page.locator("#facts").inner_text()


def test_the_slices_of_the_stack_are_coloured_by_the_nearest_voxel(opened, site):
    """The overlay of the stack equals an independent computation."""
    scan = parse(site.read("data/s0000/scan.js"))[1]
    stack, step = scan["stack"], scan["stack"]["step"]
    labels = unpack_into(scan["reference"], tuple(scan["shape"]))
    expected = np.zeros(stack["shape"], int)
    for i, j, k in np.ndindex(*stack["shape"]):
        iso = np.array([stack["start_x"][k] + i, stack["start_y"][k] + j, stack["first_slice"] + k])
        place = np.floor((iso + 0.5) * step - 0.5 + 0.5).astype(int)
        if ((place >= 0) & (place < scan["shape"])).all():
            expected[i, j, k] = labels[tuple(place)]
    found = opened.page.evaluate(
        """async () => {
            const scan = await cordlesion.load("s0000/scan");
            const frame = await cordlesion.makeFrame("stack", "s0000", scan);
            const voxels = [[0, 0, 0], [7, 8, 20], [15, 15, 43]];
            const again = voxels.map((voxel) => [voxel, frame.toVoxel(frame.toPlace(voxel))]);
            return [Array.from(frame.reference), again];
        }"""
    )
    assert (np.reshape(found[0], stack["shape"], order="F") == expected).all()
    assert expected.any()
    for voxel, again in found[1]:
        assert np.abs(np.array(voxel) - again).max() <= 1


def test_full_scan_and_cord_have_the_same_reference(opened, site):
    scan = parse(site.read("data/s0000/scan.js"))[1]
    labels = unpack_into(scan["reference"], tuple(scan["shape"]))
    start, shape = scan["cord"]["start"], scan["cord"]["shape"]
    found = opened.page.evaluate(
        """async () => {
            const scan = await cordlesion.load("s0000/scan");
            const frames = await Promise.all(["cord", "full"].map((view) => cordlesion.makeFrame(view, "s0000", scan)));
            return frames.map((frame) => [Array.from(frame.reference), Array.from(frame.image)]);
        }"""
    )
    cord, full = (
        [np.reshape(values, shape, order="F") for values in frame]
        for frame, shape in zip(found, (shape, scan["shape"]), strict=True)
    )
    box = tuple(slice(a, a + n) for a, n in zip(start, shape, strict=True))
    assert (full[0] == labels).all()
    assert (cord[0] == labels[box]).all()
    assert (full[1] == unpack(parse(site.read("data/s0000/full.js"))[1])).all()
    assert (cord[1] == full[1][box]).all()


def test_colours(opened):
    """Two voxels inside and two outside the reference; of each pair, one at the threshold and one just below."""
    painted = opened.page.evaluate(
        """() => {
            const frame = { shape: [4, 1, 1], reference: new Uint16Array([3, 3, 0, 0]) };
            const levels = new Uint8Array([2, 1, 2, 1]);
            const thresholds = [0, 0.5, 1];
            const paint = (show, ...hidden) => {
                const colors = new Uint32Array(4);
                cordlesion.paint(colors, frame, levels, { t: 2 }, { show, hidden: new Set(hidden), thresholds });
                return Array.from(new Uint8Array(colors.buffer));
            };
            const shows = ["agreement", "reference", "scan", "probability"].map((show) => paint(show));
            return [...shows, paint("agreement", "hit", "false")];
        }"""
    )
    agreement, reference, scan, probability, hidden = (np.reshape(values, (4, 4))[::-1] for values in painted)
    assert agreement[:, :3].tolist() == [[0x1A, 0xA8, 0x76], [255, 255, 255], [0xE8, 0x50, 0x2A], [0, 0, 0]]
    assert (agreement[:, 3] > 0).tolist() == [True, True, True, False]
    assert (hidden[:, 3] > 0).tolist() == [False, True, False, False]
    assert (reference[:, 3] > 0).tolist() == [True, True, False, False]
    assert not scan.any()
    assert probability[0].tolist() == probability[2].tolist()
    assert probability[1].tolist() == probability[3].tolist()
    assert probability[0, 3] > probability[1, 3] > 0


def test_names_are_shown_as_text(browser, study, tmp_path):
    copy = Path(shutil.copytree(study.parent, tmp_path / "copy")) / study.name
    scan = parse(Site(study).read("data/study.js"))[1]["scans"][0]["name"]
    for path in copy.glob("*.tsv"):
        path.write_text(path.read_text().replace(scan, f"{scan}_{HOSTILE.replace('/', '')}"))
    manifest = json.loads((copy / "manifest.json").read_text())
    manifest["scans"][f"{scan}_{HOSTILE.replace('/', '')}"] = manifest["scans"].pop(scan)
    (copy / "manifest.json").write_text(json.dumps(manifest))
    splits = (copy / "splits.tsv").read_text()
    (copy / "splits.tsv").write_text(splits.replace("site0", HOSTILE).replace("site1", HOSTILE))
    (copy / "study.yaml").write_text((copy / "study.yaml").read_text().replace("name: tiny", f"name: '{HOSTILE}'"))
    for path in [*copy.rglob(f"{scan}.safetensors"), *copy.rglob(f"{scan}_label*")]:
        path.rename(path.with_name(path.name.replace(scan, f"{scan}_{HOSTILE.replace('/', '')}")))
    with serve(copy) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        opened = Opened(browser).open(f"{server.address}#page=cohort")
        opened.after(opened.page.locator("#table tbody button", has_text="script").click)
        assert HOSTILE in opened.page.locator("#title").inner_text()
        assert HOSTILE in opened.page.locator("#facts").inner_text()
        assert HOSTILE.replace("/", "") in opened.page.locator("#scan").inner_text()
        assert opened.page.evaluate("window.broken") is None
        assert opened.page.locator("body img").count() == 0
        assert opened.faults == []
        opened.page.close()
        server.shutdown()
        thread.join()
