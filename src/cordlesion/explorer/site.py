"""The files of the explorer by name; the server sends them, the export writes them."""

import re
import threading
from functools import lru_cache
from importlib.resources import files
from pathlib import Path

from cordlesion.errors import CordlesionError
from cordlesion.explorer.catalog import Catalog
from cordlesion.explorer.cohort import count_cohort
from cordlesion.explorer.pack import as_script
from cordlesion.explorer.scan_data import ScanData
from cordlesion.study_folder.results import read_results

INDEX = "index.html"
_VENDORED = ("niivue-0.69.0.umd.js", "niivue-LICENSE.txt")
_SCRIPTS = (
    *("data", "cut", "svg", "frames", "scans", "paint", "outline", "viewer", "pictures", "chart", "froc", "cohort"),
    *("lists", "lesions", "table", "notes", "link", "side", "toolbar", "commands", "keys", "board", "app"),
)
ASSETS = (
    "assets/explorer.css",
    *(f"assets/{name}.js" for name in _SCRIPTS),
    *(f"assets/niivue/{name}" for name in _VENDORED),
)
_STUDY = "data/study.js"
# Numbers are padded to four digits (scans) and two digits (models), but may have more.
_MODEL = r"m(\d{2}|[1-9]\d{2,7})"
_SCAN_FILE = re.compile(rf"data/s(\d{{4}}|[1-9]\d{{4,7}})/(?:(scan|full|stack)|{_MODEL})\.js", re.ASCII)
_COHORT_FILE = re.compile(rf"data/cohort/{_MODEL}\.js", re.ASCII)
# Number of scans whose arrays stay in memory: the current one and its neighbours.
_CACHED_SCANS = 3


class Site:
    """All files of the explorer of one study; files of a scan are created when they are read."""

    def __init__(self, study_folder: Path, *, absolute_paths: bool = False) -> None:
        """Read the tables of a finished study.

        Args:
            study_folder: Folder of the study.
            absolute_paths: Whether commands on the page name files by absolute paths.

        Raises:
            CordlesionError: The folder contains no finished study.
        """
        self._catalog = Catalog(read_results(study_folder), absolute_paths)
        self._read_scan = lru_cache(_CACHED_SCANS)(self._read_numbered)
        self._reading = threading.Lock()

    def common_files(self) -> list[str]:
        """Return the names of the files that do not belong to a scan, the page itself last."""
        cohort = [f"data/cohort/m{m:02d}.js" for m in range(len(self._catalog.models))]
        return [*ASSETS, _STUDY, *cohort, INDEX]

    def files_by_scan(self) -> list[list[str]]:
        """Return the names of the files of each scan."""
        parts = ["scan", "full", "stack", *(f"m{m:02d}" for m in range(len(self._catalog.models)))]
        return [[f"data/s{n:04d}/{part}.js" for part in parts] for n in range(len(self._catalog.scans))]

    def read(self, name: str) -> bytes | None:
        """Return the content of a file; None if there is no file of this name.

        Names are compared with known names, so they never lead to paths outside the package.

        Raises:
            CordlesionError: A file of the study that is needed for it is missing or damaged.
        """
        if name == INDEX or name in ASSETS:
            return files(__package__).joinpath("assets", name.removeprefix("assets/")).read_bytes()
        if name == _STUDY:
            return as_script("study", self._catalog.describe())
        if match := _COHORT_FILE.fullmatch(name):
            return self._read_cohort(match[1])
        if not (match := _SCAN_FILE.fullmatch(name)):
            return None
        scan, part, model = int(match[1]), match[2], int(match[3] or 0)
        if scan >= len(self._catalog.scans) or model >= len(self._catalog.models):
            return None
        return as_script(f"s{match[1]}/{part or f'm{match[3]}'}", self._part(scan, part, model))

    def fault(self, name: str, error: CordlesionError) -> bytes:
        """Return a file with an error message, which the page shows."""
        return as_script(name.removeprefix("data/").removesuffix(".js"), {"error": str(error)})

    def _read_cohort(self, number: str) -> bytes | None:
        if int(number) >= len(self._catalog.models):
            return None
        with self._reading:
            counts = count_cohort(self._catalog, self._catalog.models[int(number)])
        return as_script(f"cohort/m{number}", counts.describe())

    def _part(self, scan: int, part: str | None, model: int) -> object:
        with self._reading:  # a page requests several files of a scan at once; the first request reads the scan
            data = self._read_scan(scan)
        makers = {"scan": data.describe, "full": data.full_image, "stack": data.stack_image}
        return makers[part]() if part else data.describe_model(self._catalog.models[model])

    def _read_numbered(self, number: int) -> ScanData:
        return ScanData.read(self._catalog, self._catalog.scans[number])
