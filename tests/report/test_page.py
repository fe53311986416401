import base64
import hashlib
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from cordlesion.errors import CordlesionError
from cordlesion.report.page import write_report
from cordlesion.study_folder.results import StudyResults
from support.fake_study import write_fake_study

HOSTILE = "<script>alert('x')</script> & \"$5\" </style>"
QUESTIONS = [
    "changes",
    *("choice", "ranks", "tuning", "stability", "pairs", "seeds", "rules", "strata", "froc", "calibration"),
    *("budget", "operation", "subgroups", "statements", "uncertainty", "lesion_probabilities", "own_metrics"),
    "threshold_rules",
]
VOID = {"meta", "link", "br", "img", "hr", "input"}


class Page(HTMLParser):
    """Collects elements and checks that every one is closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.fixture(scope="module")
def folder(reported: Path) -> Path:
    return reported


@pytest.fixture(scope="module")
def text(folder: Path) -> str:
    return (folder / "report.html").read_text(encoding="utf-8")


def test_all_files_are_written(folder: Path) -> None:
    printed = [
        *("by_manufacturer", "by_orientation", "by_scanner", "by_site", "by_slice_spacing", "cohort"),
        *(
            "calibration",
            "changes",
            "lesion_free",
            "lesion_probabilities",
            "operation",
            "own_metrics",
            "pairs",
            "ranks",
            "paper",
            "paper_untuned",
            "repeatability",
            "rules",
            "seeds",
            "stability",
            "statements",
            "strata",
        ),
        *("table1", "table2", "threshold_rules", "thresholds", "tuning", "uncertainty"),
    ]
    for suffix, others in (
        ("tsv", ["summary", *(f"summary_{name}" for name in QUESTIONS)]),
        ("csv", []),
        ("tex", []),
        ("md", None),
    ):
        names = sorted(path.stem for path in (folder / "tables").glob(f"*.{suffix}"))
        assert names == (["captions"] if others is None else sorted([*printed, *others]))
    assert len(list((folder / "figures").glob("*.svg"))) == len(list((folder / "figures").glob("*.pdf"))) == 8
    assert not list(folder.rglob(".part-*"))


def test_nothing_is_loaded_but_the_gallery_beside_the_page(folder: Path, text: str) -> None:
    page = Page(text)
    assert page.open == []
    tags = [tag for tag, _ in page.elements]
    assert not {"link", "iframe", "object", "embed", "base", "form"} & set(tags)
    assert tags.count("svg") == 8
    pictures = {f"gallery/{path.name}" for path in (folder / "gallery").iterdir()}
    assert len(pictures) == 9
    assert "explorer/index.html" not in text
    for tag, attributes in page.elements:
        for name, value in attributes.items():
            assert not name.startswith("on")
            if name in ("src", "href", "xlink:href"):
                assert value is not None
                assert value.startswith(("#", "data:image/png;base64,")) or value in pictures
        assert tag != "img" or attributes["loading"] == "lazy"
    assert not re.search(r"url\((?!['\"]?#)|@import|https?://(?!www\.w3\.org)", text)


def test_only_the_page_s_own_script_may_run(text: str) -> None:
    (script,) = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    (policy,) = (a["content"] for tag, a in Page(text).elements if a.get("http-equiv") == "Content-Security-Policy")
    rules = dict(rule.split(" ", 1) for rule in (policy or "").split("; "))
    assert rules["default-src"] == "'none'"
    assert rules["script-src"] == f"'sha256-{digest}'"
    assert "http" not in (policy or "")


def test_links_within_the_page_lead_somewhere(text: str) -> None:
    elements = Page(text).elements
    ids = [attributes["id"] for _, attributes in elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    targets = [
        value for _, a in elements for name, value in a.items() if name.endswith("href") and value.startswith("#")
    ]
    targets += [f"#{name}" for name in re.findall(r"url\(#([^)]+)\)", text)]
    assert targets
    assert {target[1:] for target in targets} <= set(ids)


def test_the_page_says_what_won(text: str, results: StudyResults) -> None:
    best = results.best
    heading = re.search(r'<h2 id="use">(.*?)</h2>', text, re.DOTALL)
    assert heading
    said = f"No loss stands out in overlap; chosen: {results.label(best)} loss at threshold {results.tuned[best]:.2f}"
    assert re.sub(r"<.*?>", "", heading[1]) == said
    assert "; not settled: " in text[heading.end() : heading.end() + 400]
    tested = results.evaluated(best, "test", results.tuned[best])["voxel_f1"].dropna()
    assert f"<td>{tested.median():.2f}<small>" in text
    assert text.index('id="use"') < text.index("<h2>")
    assert "Research use only" in text
    assert "hal-03865212" in text
    assert "false positives in lesion-free scans played no part" in text


def test_no_backtick_is_printed(text: str) -> None:
    """But in what is copied word by word: the configuration, the manifest, and what is pasted elsewhere."""
    verbatim = r"<pre.*?</pre>|<script.*?</script>|<style.*?</style>|<span class=\"source\" hidden>.*?</span>"
    assert "`" not in re.sub(verbatim, "", text, flags=re.DOTALL)


def test_configuration_is_verbatim(folder: Path, text: str) -> None:
    from html import unescape

    shown = re.search(r"study.yaml</code>\)</summary><pre[^>]*>(.*?)</pre>", text, re.DOTALL)
    assert shown
    assert unescape(shown[1]) == (folder / "study.yaml").read_text()


def test_a_second_report_is_identical(folder: Path, text: str) -> None:
    before = {path: path.read_bytes() for part in ("tables", "figures", "gallery") for path in folder.glob(f"{part}/*")}
    write_report(folder)
    assert (folder / "report.html").read_text(encoding="utf-8") == text
    assert {path: path.read_bytes() for path in before} == before
    assert {path.parent.name for path in before} == {"tables", "figures", "gallery"}
    assert [path.name for path, content in before.items() if str(folder.parent).encode() in content] == []


def test_data_are_escaped(tmp_path: Path) -> None:
    study = write_fake_study(
        tmp_path, {"train": 2, "validation": 2, "threshold": 4, "test": 4}, 1, name=HOSTILE, site=HOSTILE
    )
    manifest = study.folder / "manifest.json"
    manifest.write_text(
        manifest.read_text()
        .replace('"excluded": {}', f'"excluded": {{"<u>sub</u>": "{HOSTILE[:8]}"}}')
        .replace('"partial": {}', f'"partial": {{"<u>sub</u>": "{HOSTILE[:8]}"}}')
    )
    for name in ("splits.tsv", "evaluation.tsv", "sweep.tsv", "thresholds.tsv", "operating_points.tsv"):
        path = study.folder / name
        path.write_text(path.read_text().replace("sct\t", "<i>x</i>&$a$\t").replace("sub-012", "<u>lesion-free"))
    for path in study.folder.rglob("*_desc-sct_probseg.nii.gz"):
        path.rename(path.with_name(path.name.replace("desc-sct", "desc-ixia")))
    (study.folder / "explorer").mkdir()
    (study.folder / "explorer" / "index.html").write_text("")
    text = write_report(study.folder).read_text(encoding="utf-8")
    page = Page(text)
    assert page.open == []
    assert 'href="explorer/index.html"' in text
    assert "i" not in {tag for tag, _ in page.elements}
    assert [tag for tag, _ in page.elements].count("script") == 1
    assert "<u>" not in text
    assert "&lt;u&gt;lesion-free" in text
    assert "&lt;script&gt;alert" in text
    assert "&lt;i&gt;x&lt;/i&gt;&amp;$a$" in text


def test_missing_artifact(study_copy: Path) -> None:
    (study_copy / "sweep.tsv").unlink()
    with pytest.raises(CordlesionError, match=r"sweep.tsv: no such file.*stage `evaluate`"):
        write_report(study_copy)
    assert not (study_copy / "report.html").exists()
