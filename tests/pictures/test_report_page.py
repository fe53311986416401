"""The report in a browser: what its script does, and what happens without it."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page

ROWS = "#table-table2 tbody tr"


UNFOLD = "document.querySelectorAll('details.fold').forEach((one) => { one.open = true; })"
VISIBLE_WORDS = """() => {
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    let words = 0;
    while (walker.nextNode()) {
        const parent = walker.currentNode.parentElement;
        if (!["SCRIPT", "STYLE"].includes(parent.nodeName) && parent.checkVisibility())
            words += walker.currentNode.data.split(/\\s+/).filter(Boolean).length;
    }
    return words;
}"""


@pytest.fixture
def folded(browser: Browser, reported: Path) -> Iterator[Page]:
    """The page as it opens, on the screen of a small laptop."""
    page = browser.new_page(viewport={"width": 1280, "height": 720})
    page.goto((reported / "report.html").as_uri())
    yield page
    page.close()


@pytest.fixture
def page(folded: Page) -> Page:
    """The page with its sections unfolded."""
    folded.evaluate(UNFOLD)
    return folded


def column(page: Page, name: str, set_name: str) -> list[str]:
    """The main values of one column of Table 2 in the rows of one set, as they stand."""
    heads = [head.rstrip(" ▲▼") for head in page.locator("#table-table2 thead th").all_inner_texts()]
    script = """(rows, [column, set]) => rows.map((row) => row.cells.length < row.parentElement.firstElementChild
        .cells.length ? [null, ...row.cells] : [...row.cells]).filter((cells) => cells[1].textContent.trim() === set)
        .map((cells) => cells[column].childNodes[0].textContent.trim() || cells[column].innerText)"""
    return list(page.locator(ROWS).evaluate_all(script, [heads.index(name), set_name]))


def test_tables_are_sorted_by_keyboard_with_rows_of_one_set_together(page: Page) -> None:
    before = column(page, "V-F1", "test")
    assert len(before) == 4
    button = page.locator("#table-table2 thead button", has_text=re.compile("^V-F1$"))
    button.focus()
    for order in ("descending", "ascending"):
        page.keyboard.press("Enter")
        assert button.locator("..").get_attribute("aria-sort") == order
        values = column(page, "V-F1", "test")
        assert values == sorted(before, reverse=order == "descending")
        sets = page.locator(f"{ROWS} td:nth-child(2)").all_inner_texts()
        assert sets == ["threshold"] * 4 + ["test"] * 4
        assert f"Sorted by V-F1, {order}, rows of one set together." in page.locator("#said").inner_text()
    page.keyboard.press("Enter")
    assert column(page, "V-F1", "test") == before
    assert page.locator("#table-table2 [aria-sort]").count() == 0


def test_numbers_are_sorted_as_numbers_and_missing_ones_come_last(page: Page) -> None:
    button = page.locator("#table-stability thead button", has_text=re.compile("^More than the first$"))
    for order in (-1, 1):
        button.click()
        *cells, missing = page.locator("#table-stability tbody tr td:nth-child(5)").all_inner_texts()
        numbers = [order * float(cell.replace("−", "-")) for cell in cells]
        assert numbers == sorted(numbers)
        assert len(numbers) == 3
        assert missing == "–"


def test_tables_are_copied_as_the_files_have_them(browser: Browser, reported: Path) -> None:
    context = browser.new_context(permissions=["clipboard-read", "clipboard-write"])
    page = context.new_page()
    page.goto((reported / "report.html").as_uri())
    page.evaluate(UNFOLD)
    for kind, ending in (("CSV", "csv"), ("LaTeX", "tex")):
        page.locator("#table-table1 button.copy", has_text=kind).click()
        copied = page.evaluate("navigator.clipboard.readText()")
        written = (reported / "tables" / f"table1.{ending}").read_text(encoding="utf-8").removeprefix("\ufeff")
        assert copied.splitlines() == written.splitlines()
    page.locator("#methods button.copy", has_text="BibTeX").click()
    assert page.evaluate("navigator.clipboard.readText()").startswith("@misc{hussein2023,")
    context.close()


def test_a_picture_is_loaded_when_its_scan_is_opened_and_nothing_comes_from_elsewhere(
    browser: Browser, reported: Path
) -> None:
    page = browser.new_page()
    loaded: list[str] = []
    page.on("request", lambda request: loaded.append(request.url))
    page.goto((reported / "report.html").as_uri())
    page.evaluate(UNFOLD)
    page.locator("#scans").scroll_into_view_if_needed()
    assert not [url for url in loaded if "gallery/" in url]
    first = page.locator(".gallery details").first
    first.locator("summary").click()
    image = first.locator("img")
    image.evaluate("image => image.decode()")
    assert image.evaluate("image => image.naturalWidth") > 500
    assert len([url for url in loaded if "gallery/" in url]) == 1
    assert all(url.startswith(("file:", "data:")) for url in loaded)
    page.close()


def test_scans_can_be_put_in_another_order(page: Page) -> None:
    names = page.locator(".gallery summary b")
    before = names.all_inner_texts()
    page.select_option("#order", "name")
    assert names.all_inner_texts() == sorted(before) != before
    page.select_option("#order", "false")
    false = [
        int(text.split(" false positive")[0].split()[-1]) for text in page.locator(".gallery summary").all_inner_texts()
    ]
    assert false == sorted(false, reverse=True)
    page.select_option("#order", "overlap")
    assert names.all_inner_texts() == before


def test_without_script_nothing_is_offered_that_does_not_work(browser: Browser, reported: Path) -> None:
    page = browser.new_page(java_script_enabled=False)
    page.goto((reported / "report.html").as_uri())
    assert not page.locator(".tools >> visible=true").count()
    assert page.locator("thead button").count() == 0
    assert page.locator("h2#use").is_visible()
    page.locator("#scans > details > summary").click()
    page.locator(".gallery summary").first.click()
    assert page.locator(".gallery img").first.is_visible()
    page.close()


def test_a_script_that_came_in_by_a_name_would_not_run(browser: Browser, reported: Path, tmp_path: Path) -> None:
    text = (reported / "report.html").read_text(encoding="utf-8")
    smuggled = "<script>document.title = 'run'</script><img src=x onerror=\"document.title = 'run'\">"
    path = Path(shutil.copy(reported / "report.html", tmp_path / "report.html"))
    path.write_text(text.replace("<main>", f"<main>{smuggled}"), encoding="utf-8")
    page = browser.new_page()
    page.goto(path.as_uri())
    page.locator("thead button").first.wait_for()
    assert page.title() != "run"
    page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_serious_fault(browser: Browser, reported: Path, scheme: str) -> None:
    page = browser.new_page(color_scheme=scheme)
    page.goto((reported / "report.html").as_uri())
    page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    found = Axe().run(page).response["violations"]
    assert [one["id"] for one in found if one["impact"] in ("serious", "critical")] == []
    page.close()


@pytest.mark.parametrize("width", [360, 390, 768, 1280, 1920])
def test_the_page_is_as_wide_as_the_screen(browser: Browser, reported: Path, tmp_path: Path, width: int) -> None:
    """Folded and unfolded, also with a table that is wider than any screen, as of a cohort with many scanners."""
    text = (reported / "report.html").read_text(encoding="utf-8")
    start = text.index("<td", text.index('id="table-cohort"'))
    place = text.index(">", start) + 1
    path = tmp_path / "report.html"
    for added in ("", "onemorescanner," * 150):
        path.write_text(text[:place] + added + text[place:], encoding="utf-8")
        page = browser.new_page(viewport={"width": width, "height": 800})
        page.goto(path.as_uri())
        for script in ("", UNFOLD):
            page.evaluate(script)
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            assert page.locator("nav").evaluate("nav => nav.scrollWidth <= nav.clientWidth")
        if added:
            assert page.locator("#table-cohort .wide").count() == 1
        page.close()


def test_what_was_found_is_on_the_first_screen(folded: Page) -> None:
    for part in ("h2#use", ".sentence:last-child", ".expect"):
        box = folded.locator(part).bounding_box()
        assert box is not None
        assert 0 <= box["y"] < box["y"] + box["height"] <= 720
    lines = folded.locator("nav > a").evaluate_all("links => links.map((link) => link.getBoundingClientRect().y)")
    assert len(set(lines)) == 1


def test_little_is_to_be_read_before_anything_is_unfolded(folded: Page) -> None:
    before = folded.evaluate(VISIBLE_WORDS)
    folded.evaluate(UNFOLD)
    assert before < 1700 < folded.evaluate(VISIBLE_WORDS)


def test_links_unfold_what_they_lead_to(folded: Page) -> None:
    assert not folded.locator("#limits li").first.is_visible()
    folded.locator(".notice a").click()
    folded.locator("#limits li").first.wait_for()
    folded.evaluate("location.hash = 'figure6_training'")
    folded.locator("#figure6_training svg").wait_for()
    top = folded.locator("#figure6_training").evaluate("one => one.getBoundingClientRect().top")
    assert 0 <= top < 720


def test_everything_is_unfolded_and_folded_at_once(folded: Page) -> None:
    button = folded.locator("#folds button")
    button.click()
    assert folded.locator("details.fold:not([open])").count() == 0
    button.click()
    assert folded.locator("details.fold[open]").count() == 0


def test_folded_sections_are_printed(folded: Page) -> None:
    pages = folded.pdf(format="A4", prefer_css_page_size=True)
    assert 1 < len(re.findall(rb"/Type\s*/Page\b", pages)) <= 8
    folded.emulate_media(media="print")
    for part in ("#table-table1 table", "#figure2_thresholds svg", "#table-pairs table", "#limits li", ".methods p"):
        assert folded.locator(part).first.is_visible()
    assert not folded.locator("#record pre").first.is_visible()
    folded.emulate_media(media="screen")
    assert folded.locator("details.fold[open]").count() == 0


def test_sorted_rows_are_ruled_as_a_whole_or_not_at_all(page: Page) -> None:
    page.locator("#table-table2 thead button", has_text=re.compile("^V-F1$")).click()
    rules = page.locator(ROWS).evaluate_all(
        "rows => rows.map((row) => new Set([...row.cells].map((cell) => getComputedStyle(cell).borderTopWidth)).size)"
    )
    assert set(rules) == {1}


def test_pictures_that_would_not_be_loaded_are_not_printed(page: Page) -> None:
    assert page.locator("#scans").is_visible()
    page.emulate_media(media="print")
    assert not page.locator("#scans").is_visible()
    assert page.locator("#limits").is_visible()
