"""One tiny finished study for all tests of the explorer."""

import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from explorer_study import few_scans, make_finished_study

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
