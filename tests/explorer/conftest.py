"""One tiny finished study for all tests of the explorer."""

import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from explorer_study import few_scans, make_finished_study
from opened_page import SIZE, Opened
from playwright.sync_api import Browser

from cordlesion.explorer.export import export_explorer
from cordlesion.explorer.server import ExplorerServer, serve
from cordlesion.explorer.site import Site


@pytest.fixture(scope="session")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished study."""
    return make_finished_study(tmp_path_factory.mktemp("explored"))


@pytest.fixture(scope="session")
def site(study: Path) -> Site:
    return Site(study)


@pytest.fixture(scope="session")
def server(study: Path) -> Iterator[ExplorerServer]:
    with serve(study) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture(scope="session")
def exported(study: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of an exported explorer of three scans."""
    copy = shutil.copytree(study.parent, tmp_path_factory.mktemp("exported") / "copy")
    with few_scans():
        return export_explorer(copy / study.name)


@pytest.fixture(scope="session")
def page(browser: Browser, server: ExplorerServer) -> Iterator[Opened]:
    """The page, opened once for all tests: where a browser draws without a graphics card, opening it takes seconds."""
    opened = Opened(browser)
    yield opened.open(f"{server.address}#page=cohort")
    opened.page.close()


def _reused(page: Opened, server: ExplorerServer, link: str) -> Iterator[Opened]:
    """Follow a link; after the test there must be no error and no request to another machine."""
    page.faults.clear()
    page.requests.clear()
    page.page.set_viewport_size(SIZE)
    page.page.evaluate("document.activeElement.blur()")  # keys are for the page, not for the field of the last test
    page.follow(link)
    yield page
    assert page.faults == []
    assert [url for url in page.requests if not url.startswith((server.address, "data:"))] == []


@pytest.fixture
def opened(page: Opened, server: ExplorerServer) -> Iterator[Opened]:
    """The page with the first scan."""
    yield from _reused(page, server, "sort=errors")


@pytest.fixture
def cohort(page: Opened, server: ExplorerServer) -> Iterator[Opened]:
    """The page of all scans, which draws no picture."""
    yield from _reused(page, server, "page=cohort&sort=name")
