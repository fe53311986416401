"""CONTRIBUTING's recipe for a section of the report: one file with its template, and its name in a chapter."""

import re
import shutil
from pathlib import Path

from support.fake_study import FakeStudy
from support.package_copy import PackageCopy

SECTION = '''"""How many scans each set has."""

import pandas as pd

from cordlesion.report.section import Section, ReportTable
from cordlesion.report.table import Cell, Group, Table
from cordlesion.study_folder.results import StudyResults


def count_scans(results: StudyResults) -> pd.DataFrame:
    """Count the scans of each set."""
    return results.splits.groupby("set", sort=False).size().rename("n").reset_index()


def scans_table(counts: pd.DataFrame) -> Table:
    """Lay out the scans of each set."""
    groups = tuple(Group(str(row["set"]), ((Cell(str(row["n"])),),)) for _, row in counts.iterrows())
    return Table(("Set", "Scans"), groups, lead="Scans of each set.")


SECTION = Section(
    key="sizes",
    title="How large are the sets?",
    summarize={"sizes": count_scans},
    tables=(ReportTable("sizes", lambda findings: scans_table(findings.frames["sizes"])),),
    words=lambda findings: {"n": findings.results.splits["scan_id"].nunique()},
)
'''
TEMPLATE = '<p>{{ n }} scans in all: {{ refs.sizes }} after {{ refs.by_site }}.</p>\n{{ table("sizes") }}\n'


def test_a_section_is_one_file_and_one_row(fake_study: FakeStudy, tmp_path: Path) -> None:
    copy = PackageCopy(tmp_path)
    copy.write("report/sections/sizes.py", SECTION)
    copy.write("report/sections/templates/sizes.html.j2", TEMPLATE)
    copy.replace("report/sections/__init__.py", "    scores,\n", "    scores,\n    sizes,\n")
    row = "            subgroups.SECTION,\n"
    copy.replace("report/sections/__init__.py", row, f"{row}            sizes.SECTION,\n")
    study = Path(shutil.copytree(fake_study.folder, tmp_path / "study"))
    code = "import sys; from cordlesion.report.page import write_report; write_report(sys.argv[1])"
    written = copy.python("-c", code, study)
    assert written.returncode == 0, written.stderr
    page = (study / "report.html").read_text(encoding="utf-8")
    section = page.split('<section id="sizes">')[1].split("</section>")[0]
    assert page.index('<section id="subgroups">') < page.index('<section id="sizes">') < page.index(">Thresholds</h2>")
    assert "<h3>How large are the sets?</h3> <span>Table 6</span>" in section
    # Every loss has one seed: the table of seeds is empty and takes no number.
    assert re.search(r"<p>\d+ scans in all: Table 6 after Table 5a\.</p>", section)
    assert re.search(r"<strong>Table 6\.</strong>\s+Scans of each set\.", section)
    assert "## sizes\n\nTable 6. Scans of each set." in (study / "tables" / "captions.md").read_text(encoding="utf-8")
    assert (study / "tables" / "sizes.tsv").read_text().startswith("Set\tScans\n")
    assert (study / "tables" / "summary_sizes.tsv").read_text().startswith("set\tn\n")
