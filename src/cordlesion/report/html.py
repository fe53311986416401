"""One self-contained page about a finished study: text, tables and inline figures, no script, nothing loaded."""

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from cordlesion.artifacts import write_text
from cordlesion.config import read_study
from cordlesion.progress import bar
from cordlesion.report.brief import write_brief
from cordlesion.report.example import choose_example
from cordlesion.report.figures import FIGURES, draw_and_save
from cordlesion.report.numbers import Numbers, compute_numbers
from cordlesion.report.pipeline import describe_pipeline
from cordlesion.report.remarks import calibration_remark, rules_remark
from cordlesion.report.results import StudyResults, lesion_free, read_results
from cordlesion.report.style import INK
from cordlesion.report.subgroups import SUBGROUPS
from cordlesion.report.summaries import summarize_runs
from cordlesion.report.tables import write_tables
from cordlesion.report.tables.layout import EMPTY_REFERENCE, Table
from cordlesion.report.tables.subgroups import subgroup_name

_SVG = "http://www.w3.org/2000/svg"
_XLINK = "http://www.w3.org/1999/xlink"


def write_report(study_folder: Path) -> Path:
    """Write the tables, the figures and ``report.html`` of a finished study.

    Args:
        study_folder: Where the study's artifacts lie.

    Returns:
        The page.

    Raises:
        CordlesionError: An artifact is missing or damaged (the sentence names the stage that writes it), or the folder
            cannot be written.
    """
    results = read_results(Path(study_folder))
    with bar("write report", total=len(FIGURES) + 2) as advance:
        figures = {}
        for name in FIGURES:
            figures[name] = draw_and_save(results, name)
            advance()
        summary, numbers = summarize_runs(results), compute_numbers(results)
        tables = write_tables(results, summary, numbers)
        advance()
        page = results.folder.root / "report.html"
        context = {"brief": write_brief(results, summary, numbers), "tables": tables, "figures": _inline(figures)}
        context |= _facts(results) | _subgroups(tables) | _remarks(results, numbers)
        write_text(page, _environment().get_template("report.html.j2").render(context))
        advance()
    return page


def inline_svg(text: str, prefix: str, label: str) -> Markup:
    """Prepare a figure's SVG for the page: unique ids, ink in the colour of the page's text, no document header.

    Args:
        text: The file as matplotlib wrote it.
        prefix: Set before every id, which must be unique in the page.
        label: What a screen reader says.
    """
    ElementTree.register_namespace("", _SVG)
    ElementTree.register_namespace("xlink", _XLINK)
    root = ElementTree.fromstring(text)
    for metadata in root.findall(f"{{{_SVG}}}metadata"):
        root.remove(metadata)
    for element in root.iter():
        for name, value in element.attrib.items():
            element.set(name, _localize(name, value, prefix))
    for name in ("width", "height"):
        root.attrib.pop(name, None)
    root.set("role", "img")
    root.set("aria-label", label)
    return Markup(ElementTree.tostring(root, encoding="unicode"))


def _localize(name: str, value: str, prefix: str) -> str:
    if name == "id":
        return prefix + value
    if name in ("d", "x", "y"):
        # A hundredth of a point cannot be seen, and makes the page a good deal smaller.
        return re.sub(r"-?\d+\.\d{3,}", lambda number: f"{float(number[0]):.2f}", value)
    if name == f"{{{_XLINK}}}href":
        return re.sub(r"^#", f"#{prefix}", value)
    return value.replace("url(#", f"url(#{prefix}").replace(INK, "currentColor")


def _inline(figures: Mapping[str, Path]) -> dict[str, Markup]:
    texts = {name: path.read_text(encoding="utf-8") for name, path in figures.items()}
    return {name: inline_svg(text, f"{name}-", name.replace("_", ", ")) for name, text in texts.items()}


def _environment() -> Environment:
    return Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def _subgroups(tables: Mapping[str, Table]) -> dict[str, list[str]]:
    """Tell which subgroup tables hold anything, and what is recorded for no scan."""
    named = {name: tables[name] for name in map(subgroup_name, SUBGROUPS)}
    return {
        "subgroups": [name for name, table in named.items() if table.groups],
        "unrecorded": [table.columns[0].lower() for table in named.values() if not table.groups],
    }


def _remarks(results: StudyResults, numbers: Numbers) -> dict[str, Any]:
    """What the page says about the numbers in words."""
    config = read_study(results.folder.configuration)
    return {
        "how": describe_pipeline(config),
        "region": config.preprocess.region,
        "calibration_remark": calibration_remark(numbers),
        "rules_remark": rules_remark(results, numbers),
        "verdicts": [] if numbers.pairs.empty else numbers.pairs["sentence"].tolist(),
    }


def _facts(results: StudyResults) -> dict[str, Any]:
    """What the page says about the study besides its results."""
    finished = datetime.fromtimestamp(results.folder.evaluation.stat().st_mtime, tz=UTC)
    tuning = results.evaluation[results.evaluation["set"] == "threshold"]
    return {
        "title": results.name,
        # The day the results were made: writing the report anew does not make them newer.
        "date": f"{finished.day} {finished:%B %Y}",
        "version": results.manifest.get("cordlesion", ""),
        "n_scans": results.splits["scan_id"].nunique(),
        "n_subjects": results.splits["subject"].nunique(),
        "n_runs": len(results.runs),
        "one_seed": len({run.seed for run in results.histories}) <= 1,
        "free_in_threshold_set": not lesion_free(tuning).empty,
        "excluded": results.manifest.get("excluded", {}),
        "example": choose_example(results),
        "empty_reference": EMPTY_REFERENCE,
        "label": results.label,
        "tuned": results.tuned,
        "configuration": results.configuration,
        "manifest": json.dumps(results.manifest, indent=2, ensure_ascii=False),
    }
