"""Clicks, keys and links of the page, where one act meets another."""

from collections.abc import Iterator

import pytest
from opened_page import Opened
from payloads import parse, unpack
from playwright.sync_api import Browser, Locator, Route

from cordlesion.explorer.cohort import UNDEFINED
from cordlesion.explorer.pack import as_script, pack_array
from cordlesion.explorer.server import ExplorerServer
from cordlesion.explorer.site import Site

WITHOUT_WEBGL = """const get = HTMLCanvasElement.prototype.getContext;
    HTMLCanvasElement.prototype.getContext = function (kind, ...more) {
        return kind === "webgl2" ? null : get.call(this, kind, ...more);
    };"""


def without_pictures(browser: Browser) -> Opened:
    """A page in a browser that cannot draw scans."""
    opened = Opened(browser)
    opened.page.add_init_script(WITHOUT_WEBGL)
    return opened


@pytest.fixture(scope="module")
def bare(browser: Browser, server: ExplorerServer) -> Iterator[Opened]:
    opened = without_pictures(browser)
    yield opened.open(f"{server.address}#page=cohort&sort=name")
    opened.page.close()


def click_slowly(opened: Opened, target: Locator) -> None:
    """Press, let the page do what follows from it, and release."""
    target.scroll_into_view_if_needed()
    box = target.bounding_box()
    assert box
    opened.page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 10)
    opened.page.mouse.down()
    opened.page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    opened.page.mouse.up()


def test_a_click_on_a_scan_after_a_comment_opens_it(opened):
    """The comment is complete when the mouse button goes down on the list."""
    page = opened.page
    for sort in ("all", "open"):
        opened.after(lambda sort=sort: page.locator("#filter").select_option(sort))
        current = page.locator("#scan").inner_text()
        comment = page.get_by_label("Comment on this scan")
        comment.click()
        page.keyboard.type("blurred")
        row = page.locator("#scans button:not([aria-current])").last
        name = row.locator(".name").inner_text()
        click_slowly(opened, row)
        page.locator("#scan", has_text=name).wait_for()  # the note updates the page, too
        assert name != current
        assert page.get_by_role("button", name="Export notes (1)").is_visible()
        opened.follow(f"scan={current}&set=test")
        assert comment.input_value() == "blurred"
        mark = page.locator("#scans button[aria-current] .noted")
        assert (mark.inner_text(), mark.get_attribute("title")) == ("✎", "blurred")
        opened.after(lambda comment=comment: comment.fill(""))
        assert mark.inner_text() == ""


def test_arrow_keys_move_a_slider_that_has_the_focus(cohort):
    press = cohort.page.keyboard.press
    for side in "ba":
        cohort.follow("page=cohort&a=bce_seed-0&b=bce_seed-0&ta=0.5&tb=0.5")
        cohort.page.locator(f'[data-side="{side}"] input[type="range"]').focus()
        for key, t in (("ArrowRight", "0.55"), ("ArrowUp", "0.6"), ("ArrowLeft", "0.55"), ("ArrowDown", "0.5")):
            cohort.after(lambda key=key: press(key))
            link = cohort.link()
            assert (link[f"t{side}"], link["page"]) == (t, "cohort")
        assert (link["ta"], link["tb"]) == ("0.5", "0.5")


def test_arrow_keys_move_a_slider_of_one_scan_by_one_step(opened):
    opened.follow("a=bce_seed-0&ta=0.5")
    opened.page.locator('[data-side="a"] input[type="range"]').focus()
    for key, t in (("ArrowRight", "0.51"), ("ArrowUp", "0.52"), ("ArrowLeft", "0.51"), ("ArrowDown", "0.5")):
        opened.after(lambda key=key: opened.page.keyboard.press(key))
        assert opened.link()["ta"] == t


def test_beside_a_mask_the_other_slider_moves_if_both_move_together(cohort):
    cohort.follow("page=cohort&a=hard&b=bce_seed-0&tb=0.5&together=1")
    cohort.page.locator('[data-side="a"] .froc').click()
    cohort.after(lambda: cohort.page.keyboard.press("."))
    assert cohort.link()["tb"] == "0.55"
    cohort.after(lambda: cohort.page.keyboard.press("<"))
    assert cohort.link()["tb"] == "0.3"


def test_without_pictures_the_cohort_works_and_a_scan_says_what_is_missing(bare):
    page = bare.page
    counts = lambda: page.locator("#table tbody tr").all_inner_texts()  # noqa: E731
    before = counts()
    bare.after(lambda: page.locator('[data-side="a"] input[type="range"]').fill("80"))
    assert counts() != before
    page.locator('[data-goto="scan"]').click()
    page.locator("#message").wait_for()
    assert "WebGL 2" in page.locator("#message").inner_text()
    assert page.locator("#scans li").count() == len(before)


def test_keys_for_pictures_do_nothing_where_there_is_none(bare):
    for link in ("page=cohort", "page=scan"):
        bare.faults.clear()
        bare.page.goto(f"{bare.page.url.partition('#')[0]}#{link}")
        bare.page.locator("body:not(.busy)").wait_for()
        for key in ("0", "]", "[", "k", "u", "1"):
            bare.page.keyboard.press(key)
        if link == "page=scan":
            bare.page.get_by_role("button", name="Open in").click()
        assert bare.faults == []


def test_what_is_pressed_before_the_data_arrive_is_no_error(bare):
    page = bare.page
    held: list[Route] = []
    page.route("**/data/cohort/*.js", lambda route: held.append(route))
    page.reload(wait_until="commit")
    page.locator("#sets button").first.wait_for()
    for key in [
        "n",
        "p",
        ".",
        ",",
        ">",
        "<",
        "t",
        "s",
        "]",
        "[",
        "a",
        "m",
        "r",
        "o",
        "1",
        "2",
        "3",
        "v",
        "k",
        "u",
        "+",
        "-",
        "x",
        "l",
        "0",
        "c",
        "c",
        "ArrowRight",
        "ArrowDown",
    ]:
        page.keyboard.press(key)
    for side in "ab":
        assert page.locator(f'[data-side="{side}"] input[type="range"]').count() == 0  # they come with the model
        page.locator(f'[data-side="{side}"] .tuned').click()
    for name in ("filter", "sort"):
        page.locator(f"#{name}").select_option(index=1)
    page.locator("#search").fill("sub")
    page.locator("#note input").fill("typed too early")
    for name in ("next", "open"):
        page.locator(f"#{name}").click()
    page.locator("#sets button").last.click()
    page.get_by_role("button", name="Cohort").click()
    for route in held:
        route.continue_()
    page.locator("body[data-ready]").wait_for()
    page.unroute("**/data/cohort/*.js")
    assert bare.faults == []
    assert bare.link()["page"] == "cohort"
    assert page.locator("#search").input_value() == "sub"


def test_a_lesion_is_not_chosen_where_it_is_not_seen(opened):
    opened.after(lambda: opened.page.keyboard.press("c"))
    place = opened.link()["at"]
    for key in ("]", "]", "]", "0"):
        opened.page.keyboard.press(key)
    assert opened.link()["at"] == place


def test_on_a_phone_the_next_scan_leaves_the_picture_where_it_is(opened):
    page = opened.page
    page.set_viewport_size({"width": 390, "height": 844})
    names = page.locator("#scans .name").all_inner_texts()
    opened.follow(f"sort=errors&scan={names[-3]}")
    picture = page.locator('[data-side="a"] .picture')
    picture.evaluate("(one) => one.scrollIntoView({ block: 'start' })")
    top = page.evaluate("scrollY")
    assert top > 0
    for name in names[-2:]:
        opened.after(lambda: page.keyboard.press("n"))
        assert opened.link()["scan"] == name
        assert page.evaluate("scrollY") == top
    row, scans = (page.locator(one).bounding_box() for one in ("#scans [aria-current]", "#scans"))
    assert page.locator("#scans").evaluate("(list) => list.scrollHeight > list.clientHeight")
    assert row["y"] >= scans["y"] - 1
    assert row["y"] + row["height"] <= scans["y"] + scans["height"] + 1


def test_of_two_links_in_a_row_the_last_one_is_shown(cohort):
    """The first one names a model that arrives after those of the second one."""
    cohort.after(
        lambda: cohort.page.evaluate(
            """async () => {
                const load = cordlesion.Cohort.load;
                let arrive;
                const late = new Promise((done) => (arrive = done));
                cordlesion.Cohort.load = async (study, number) => {
                    if (study.models[number].name === "shipped") await late;
                    return load(study, number);
                };
                location.hash = "#page=cohort&a=shipped&b=bce_seed-0&tb=0.3";
                location.hash = "#page=cohort&a=soft&b=bce_seed-0&tb=0.8";
                await new Promise((done) => setTimeout(done, 300));
                arrive();
                cordlesion.Cohort.load = load;
            }"""
        )
    )
    cohort.page.evaluate("new Promise((done) => setTimeout(done, 100))")
    link = cohort.link()
    assert (link["a"].removesuffix("_seed-0"), link["tb"]) == ("soft", "0.8")


def test_a_scan_with_a_lesion_below_the_minimum_volume_is_not_lesion_free(browser, server, site: Site):
    """As in the report, a scan is lesion-free if no voxel of its reference is lesion, however lesions are counted."""
    scans = parse(site.read("data/study.js"))[1]["scans"]
    chosen = next(n for n, scan in enumerate(scans) if scan["set"] == "test" and scan["volume_mm3"] > 0)
    free = sorted(scan["name"] for scan in scans if scan["set"] == "test" and scan["volume_mm3"] == 0)

    def serve_small(route: Route) -> None:
        """Serve the counts as if the lesions of one scan were below the minimum volume."""
        name, cohort = parse(site.read(f"data/cohort/{route.request.url.rsplit('/', 1)[1]}"))
        for key, value in {"reference": 0, "detected": 0, "lesion_f1": UNDEFINED}.items():
            values = unpack(cohort[key]).copy()
            values[:, chosen] = value
            cohort[key] = pack_array(values)
        route.fulfill(body=as_script(name, cohort), content_type="text/javascript")

    opened = without_pictures(browser)
    opened.page.route("**/data/cohort/*.js", serve_small)
    opened.open(f"{server.address}#page=cohort&sort=name")
    assert opened.text("a", '[data-total="clean"]').split("/")[1] == str(len(free))
    for kept, names in (
        ("free", free),
        ("lesions", sorted({s["name"] for s in scans if s["set"] == "test"} - {*free})),
    ):
        opened.after(lambda kept=kept: opened.page.locator("#filter").select_option(kept))
        assert opened.page.locator("#table tbody th").all_inner_texts() == names
    opened.page.keyboard.press("c")
    score = opened.page.locator("#scans button", has_text=scans[chosen]["name"]).locator(".score")
    score.wait_for()
    assert "too small" in score.inner_text()
    assert "no lesions" not in score.inner_text()
    assert opened.faults == []
    opened.page.close()
