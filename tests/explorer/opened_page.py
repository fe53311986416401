"""A page of the explorer in Chromium, with its errors and requests."""

import re
from collections.abc import Callable
from urllib.parse import parse_qs, urlsplit

from playwright.sync_api import Browser, Page

METRICS = ("voxel_sensitivity", "voxel_precision", "voxel_f1", "lesion_sensitivity", "lesion_precision", "lesion_f1")


class Opened:
    """A page, and its errors and requests."""

    def __init__(self, browser: Browser, **options: object) -> None:
        self.page: Page = browser.new_page(viewport={"width": 1440, "height": 900}, **options)
        self.page.set_default_timeout(120_000)  # machines without a graphics card draw slowly
        self.faults: list[str] = []
        self.requests: list[str] = []
        self.page.on(
            "console", lambda message: message.type in ("error", "warning") and self.faults.append(message.text)
        )
        self.page.on("pageerror", lambda error: self.faults.append(error.stack or str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))

    def open(self, address: str) -> "Opened":
        self.page.goto(address)
        self.page.locator("body[data-ready]").wait_for()
        return self

    def after(self, act: Callable[[], object]) -> None:
        """Act, and wait until the page is updated."""
        before = self.page.locator("body").get_attribute("data-ready")
        act()
        self.page.locator(f"body[data-ready]:not([data-ready={before!r}])").wait_for()

    def shown(self, side: str) -> dict[str, float | None]:
        cells = {n: self.page.locator(f'[data-side="{side}"] [data-metric="{n}"]') for n in METRICS}
        values = {name: cell.get_attribute("data-value") for name, cell in cells.items()}
        return {name: None if value == "null" else float(value or "") for name, value in values.items()}

    def text(self, side: str, selector: str) -> str:
        return self.page.locator(f'[data-side="{side}"] {selector}').inner_text()

    def address(self) -> str:
        """The link in the address of the page, after its update."""
        self.page.wait_for_timeout(50)  # the page receives a wheel event with a delay
        self.page.locator('body[data-link="written"]').wait_for()
        return self.page.url

    def link(self) -> dict[str, str]:
        return {name: values[0] for name, values in parse_qs(urlsplit(self.address()).fragment).items()}

    def place(self) -> list[float]:
        return [float(number) for number in re.findall(r"-?[\d.]+", self.text("a", ".place"))]

    def pictures(self) -> list[bytes]:
        return [self.page.locator(f'[data-side="{side}"] .picture').screenshot() for side in "ab"]
