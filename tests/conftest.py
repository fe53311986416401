"""Fixtures shared by all tests."""

import multiprocessing.context
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# Before torch is imported, here and in subprocesses: networks of a few filters only lose by threads.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
from hypothesis import HealthCheck, settings

# Time is no part of a test: beside other programs, examples take longer.
_ANY_TIME = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
# The same examples in every run, so that a change is judged by itself; `pytest --hypothesis-profile search` looks for
# new ones.
settings.register_profile("repeat", derandomize=True, **_ANY_TIME)
settings.register_profile("search", derandomize=False, **_ANY_TIME)
settings.load_profile("repeat")

REPOSITORY = Path(__file__).parent.parent
# Software rendering, and nothing that chromium asks of other machines by itself.
CHROMIUM_FLAGS = (
    *("--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--disable-gpu-rasterization"),
    *("--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run files with slow tests first, so that no process works alone on the last of them."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


# The files of a group use one costly fixture of the session: the page of the explorer, the report of the fake study.
TOGETHER = {
    "explorer": ("tests/explorer/",),
    "report": (
        *("tests/pictures/test_report_page.py", "tests/report/test_page.py", "tests/report/test_example_report.py"),
        "tests/report/sections/test_section_points.py",
    ),
}


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Give a file to one process (``--dist loadfile``), and files that share a costly fixture to the same one."""
    from xdist.scheduler import LoadFileScheduling

    class Scheduling(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = super()._split_scope(nodeid)
            return next((name for name, files in TOGETHER.items() if file.startswith(files)), file)

    return Scheduling(config, log) if config.getvalue("dist") == "loadfile" else None


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Chromium, or a skip where there is none; one for all tests, because playwright starts only once in a process."""
    program = shutil.which("chromium")
    if not program:
        pytest.skip("chromium is absent")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=CHROMIUM_FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def shared() -> Callable[..., Path]:
    """Return ``shared(*parts)``: a path in the folder of real data and goldens, or a skip where there is none."""
    folder = Path(os.environ.get("CORDLESION_SHARED", REPOSITORY.parent / "shared"))

    def find(*parts: str) -> Path:
        path = folder.joinpath(*parts)
        if not path.exists():
            pytest.skip(
                f"{path} is absent: real data and goldens are not part of the repository (set CORDLESION_SHARED)"
            )
        return path

    return find


@pytest.fixture
def ready_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take processes that start from nothing (the method "spawn") from a server that has imported torch already.

    They inherit as little of this process (the method "forkserver"), but start in a moment.
    """
    contexts = vars(multiprocessing.context)["_concrete_contexts"]
    contexts["forkserver"].set_forkserver_preload(["cordlesion.study.train", "cordlesion.training.fit", "pytest"])
    monkeypatch.setitem(contexts, "spawn", contexts["forkserver"])


@pytest.fixture
def plain_montage(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw nothing into the picture and the page of a segmented scan: a montage takes most of the time of `segment`."""
    from matplotlib.figure import Figure

    monkeypatch.setattr("cordlesion.pictures.montage.montage", lambda *_, **__: Figure((1, 1)))


@dataclass(frozen=True)
class Exit:
    """How a command ended."""

    status: int
    output: str
    error: str


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Callable[..., Exit]:
    """Return ``cli(*arguments)``: runs the command line in this process, in which torch is imported already."""
    from cordlesion.cli.app import main

    def run(*arguments: object) -> Exit:
        with pytest.raises(SystemExit) as exited:
            main([*map(str, arguments)])
        captured = capsys.readouterr()
        return Exit(int(exited.value.code or 0), captured.out, captured.err)

    return run


@pytest.fixture(scope="session")
def fake_study(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """One fake study for all tests that only read it."""
    from support.fake_study import write_fake_study

    n_bearing = {"train": 8, "validation": 3, "threshold": 7, "test": 9}
    return write_fake_study(tmp_path_factory.mktemp("fake") / "study", n_bearing, n_free=6)


@pytest.fixture(scope="session")
def results(fake_study: Any) -> Any:
    from cordlesion.study_folder.results import read_results

    return read_results(fake_study.folder)


@pytest.fixture(scope="session")
def findings(results: Any) -> Any:
    """What the report of the fake study is written from; tests replace frames, and never change them."""
    from cordlesion.report.page import compute_findings

    return compute_findings(results)


@pytest.fixture(scope="session")
def reported(fake_study: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the fake study with its report."""
    from cordlesion.report.page import write_report

    folder = Path(shutil.copytree(fake_study.folder, tmp_path_factory.mktemp("report") / "study"))
    write_report(folder)
    return folder


@pytest.fixture
def study_copy(fake_study: Any, tmp_path: Path) -> Path:
    return Path(shutil.copytree(fake_study.folder, tmp_path / "study"))
