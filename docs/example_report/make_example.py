"""Make the example report, its tables and the picture of the README: `make example-report` runs this after the studies.

Usage: python docs/example_report/make_example.py STUDY_OF_THE_REPORT STUDY_OF_THE_PICTURE
"""

import gzip
import re
import sys
from pathlib import Path

from cordlesion.config import read_study
from cordlesion.errors import CordlesionError
from cordlesion.io.writing import atomic_path, write_text
from cordlesion.report.page import write_report

COMMAND = "make example-report"
MAX_BYTES = 3_600_000
TABLES = (
    "evaluation.tsv",
    "thresholds.tsv",
    "froc.tsv",
    "tables/lesion_free.tsv",
    "tables/pairs.tsv",
    "tables/ranks.tsv",
    "tables/seeds.tsv",
    "tables/statements.tsv",
    "tables/summary_tuning.tsv",
)
"""What is kept of a study, so that the sentences of the README can be checked."""


def make_example(study: Path, target: Path) -> Path:
    """Write the report of a study for the repository: of its scans it has Figure 3 only, and no manifest.

    Args:
        study: The folder of a finished study.
        target: The page.

    Raises:
        CordlesionError: The study is not finished, or the page is too large for a repository.
    """
    page = write_report(study).read_text(encoding="utf-8")
    page = re.sub(r'<section id="scans">.*?</section>\n', "", page, flags=re.DOTALL)
    page = re.sub(r"<details><summary>Manifest.*?</details>\n?", "", page, count=1, flags=re.DOTALL)
    config = read_study(study / "study.yaml")
    note = (
        f'<p class="notice">An example: simulated scans, the study <code>studies/{config.name}.yaml</code>, '
        f"scan by scan left out. Made by <code>{COMMAND}</code>.</p>\n</header>"
    )
    page = page.replace("</header>", note, 1)
    # Where the study lay on the machine that ran it is nobody's business.
    page = page.replace(str(config.output.parent), "demo")
    if (size := len(page.encode())) > MAX_BYTES:
        raise CordlesionError(
            f"{study}: its report has {size / 1e6:.1f} MB without the gallery; at most {MAX_BYTES / 1e6:.3g} "
            "MB belong into a repository. Take a study with fewer losses or scans."
        )
    write_text(target, page)
    return target


def make_picture(study: Path, target: Path) -> Path:
    """Copy Figure 2 of a study's report onto white: transparent, it could not be read on a dark page."""
    figure = (study / "figures" / "figure2_thresholds.svg").read_text(encoding="utf-8")
    white = '<rect width="100%" height="100%" fill="white"/>'
    write_text(target, re.sub(r"<svg [^>]*>", lambda tag: tag.group() + white, figure, count=1))
    return target


def keep_tables(study: Path, folder: Path) -> list[Path]:
    """Write the :data:`TABLES` of a study into a folder, compressed: of the same tables the same bytes."""
    kept = []
    for name in TABLES:
        kept.append(folder / f"{Path(name).name}.gz")
        with atomic_path(kept[-1]) as part:
            part.write_bytes(gzip.compress((study / name).read_bytes(), mtime=0))
    return kept


if __name__ == "__main__":
    here = Path(__file__).resolve().parent
    of_report, of_picture = Path(sys.argv[1]), Path(sys.argv[2])
    print(make_example(of_report, here / "report.html"))
    print(make_picture(of_picture, here.parent / "images" / "thresholds.svg"))
    for study in (of_report, of_picture):
        keep_tables(study, here / "tables" / read_study(study / "study.yaml").name)
