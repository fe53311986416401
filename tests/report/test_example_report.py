import gzip
import runpy
import shutil
from pathlib import Path

import pytest

from cordlesion.config import read_study
from cordlesion.errors import CordlesionError
from support.fake_study import FakeStudy

REPOSITORY = Path(__file__).parents[2]
SCRIPT = REPOSITORY / "docs" / "example_report" / "make_example.py"


def test_the_example_report_shows_one_scan_and_names_its_command(fake_study: FakeStudy, tmp_path: Path) -> None:
    study = Path(shutil.copytree(fake_study.folder, tmp_path / "study"))
    make = runpy.run_path(str(SCRIPT))
    page = make["make_example"](study, tmp_path / "example.html").read_text(encoding="utf-8")
    example = page.split('<section id="example">')[1].split("</section>")[0]
    assert "Figure 3." in example
    assert page.count("data:image") == example.count("data:image") >= 4
    assert '<h2 class="chapter" id="chapter-5">Scans</h2>' in page
    assert '<a href="#chapter-5">Scans</a>' in page
    assert '<section id="scans">' not in page
    assert '<a href="#scans">' not in page
    assert "gallery/" not in page
    assert "<img" not in page
    assert "Configuration (<code>study.yaml</code>)" in page
    assert "Manifest: versions" not in page
    assert str(read_study(study / "study.yaml").output.parent) not in page
    assert f"<code>{make['COMMAND']}</code>" in page
    assert f"<code>studies/{read_study(study / 'study.yaml').name}.yaml</code>" in page
    picture = make["make_picture"](study, tmp_path / "picture.svg").read_text(encoding="utf-8")
    figure = (study / "figures" / "figure2_thresholds.svg").read_text(encoding="utf-8")
    assert picture.replace('<rect width="100%" height="100%" fill="white"/>', "", 1) == figure != picture
    target = make["COMMAND"].removeprefix("make ")
    recipe = (REPOSITORY / "Makefile").read_text().split(f"\n{target}:")[1].split("\n\n")[0]
    assert SCRIPT.relative_to(REPOSITORY).as_posix() in recipe
    # The page is there: only its size is asked for.
    make["make_example"].__globals__.update(MAX_BYTES=1000, write_report=lambda folder: folder / "report.html")
    with pytest.raises(CordlesionError, match=r"at most 0\.001 MB"):
        make["make_example"](study, tmp_path / "large.html")
    assert not (tmp_path / "large.html").exists()


def test_the_tables_that_are_kept_are_those_of_the_study(reported: Path, tmp_path: Path) -> None:
    keep_tables = runpy.run_path(str(SCRIPT))["keep_tables"]
    kept = keep_tables(reported, tmp_path)
    assert len(kept) == 9
    assert gzip.decompress((tmp_path / "evaluation.tsv.gz").read_bytes()) == (reported / "evaluation.tsv").read_bytes()
    before = [path.read_bytes() for path in kept]
    assert [path.read_bytes() for path in keep_tables(reported, tmp_path)] == before
