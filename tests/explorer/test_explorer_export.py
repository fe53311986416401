import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from explorer_study import few_scans

from cordlesion.config import read_study
from cordlesion.explorer.export import export_explorer
from cordlesion.explorer.site import ASSETS, Site
from cordlesion.io.reading import read_json
from cordlesion.io.writing import write_json
from cordlesion.study.run import run_study


def test_the_export_has_the_files_of_the_server(exported: Path) -> None:
    folder = exported.parent
    with few_scans():
        site = Site(folder.parent)
        names = [*site.common_files(), *(name for names in site.files_by_scan() for name in names)]
        assert sorted(names) == sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())
        for name in names:
            assert (folder / name).read_bytes() == site.read(name)


def test_more_than_a_hundred_models_and_ten_thousand_scans_have_different_files(study: Path) -> None:
    site = Site(study)
    catalog = site._catalog
    numbers = {"models": len(catalog.models), "scans": len(catalog.scans)}
    repeated = {"models": -(-101 // numbers["models"]), "scans": -(-10_001 // numbers["scans"])}
    for name, times in repeated.items():
        vars(catalog)[name] = getattr(catalog, name) * times
    files = site.files_by_scan()
    hundredth, last = files[0][3 + 100], files[10_000][0]
    assert (hundredth, last) == ("data/s0000/m100.js", "data/s10000/scan.js")
    same = {"m100": 100 % numbers["models"], "s10000": 10_000 % numbers["scans"]}
    assert _content(site, hundredth) == _content(site, f"data/s0000/m{same['m100']:02d}.js")
    assert _content(site, last) == _content(site, f"data/s{same['s10000']:04d}/scan.js")


def _content(site: Site, name: str) -> bytes:
    """Return the content of a file without its name."""
    content = site.read(name)
    assert content is not None
    return content.replace(name.removeprefix("data/").removesuffix(".js").encode(), b"name")


def test_an_export_removes_outdated_files(exported: Path) -> None:
    old = exported.parent / "data" / "s0999" / "scan.js"
    old.parent.mkdir()
    old.write_text("old")
    # As listed by an export with more scans.
    marker = exported.parents[1] / ".done" / "explorer.json"
    listed = [*read_json(marker)["list"], old.relative_to(exported.parents[1]).as_posix()]
    write_json(marker, {"fingerprint": "", "list": listed})
    with few_scans():
        assert export_explorer(exported.parent.parent) == exported
    assert not old.exists()
    assert not list(exported.parent.rglob(".part-*"))


def test_it_is_removed_with_the_results_that_it_shows(exported: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(exported.parents[2], tmp_path / "copy"))
    file = copy / "study.yaml"
    file.write_text(file.read_text().replace("epochs: 1", "epochs: 2"))
    run_study(read_study(file), until="split")
    assert not (copy / "study" / "explorer" / "index.html").exists()
    assert not list((copy / "study" / "explorer" / "data").rglob("*.js"))


def test_the_vendored_file_equals_the_published_one(site: Site) -> None:
    script = site.read("assets/niivue/niivue-0.69.0.umd.js")
    licence = site.read("assets/niivue/niivue-LICENSE.txt")
    assert script is not None
    assert licence is not None
    assert hashlib.sha256(script).hexdigest() in licence.decode()
    assert "BSD 2-Clause License" in licence.decode()


def test_the_page_loads_every_script_and_nothing_else(site: Site) -> None:
    page = site.read("index.html")
    assert page is not None
    for name in ASSETS:
        assert (name.encode() in page) == name.endswith((".js", ".css"))
    assert b"http:" not in page
    assert b"https:" not in page


def test_the_report_links_to_it(cli: Callable[..., Any], exported: Path, tmp_path: Path) -> None:
    study = shutil.copytree(exported.parents[2], tmp_path / "copy") / exported.parents[1].name
    shutil.rmtree(study / "explorer")
    link = 'href="explorer/index.html"'
    assert cli("report", study, "--quiet").output.split() == [f"{study}/report.html"]
    assert link not in (study / "report.html").read_text()
    with few_scans():
        both = cli("report", study, "--explorer", "--quiet")
    assert (both.status, both.output.split()) == (0, [f"{study}/explorer/index.html", f"{study}/report.html"])
    assert link in (study / "report.html").read_text()
