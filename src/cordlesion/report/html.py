"""One self-contained page about a finished study: text, tables, inline figures; only its gallery is loaded."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from markupsafe import Markup

from cordlesion.config import NETWORK, SetName
from cordlesion.io.outputs import portable_path
from cordlesion.io.progress import bar
from cordlesion.io.writing import write_text
from cordlesion.pictures.html_page import content_policy, page_environment
from cordlesion.pictures.style import INK
from cordlesion.pictures.svg import inline_svg
from cordlesion.report.brief import write_brief
from cordlesion.report.example import choose_example
from cordlesion.report.figures import FIGURES, draw_and_save, shows_points
from cordlesion.report.gallery import write_gallery
from cordlesion.report.limits import find_limits
from cordlesion.report.methods import write_methods
from cordlesion.report.numbers import Numbers, compute_numbers
from cordlesion.report.pipeline import describe_pipeline
from cordlesion.report.remarks import calibration_remark, rules_remark
from cordlesion.report.subgroups import SUBGROUPS
from cordlesion.report.summaries import summarize_runs
from cordlesion.report.tables import write_tables
from cordlesion.report.tables.latex import latex
from cordlesion.report.tables.layout import EMPTY_REFERENCE, Table
from cordlesion.report.tables.subgroups import subgroup_name
from cordlesion.study_folder.manifest import manifest_to_show
from cordlesion.study_folder.results import REPORTED_SETS, StudyResults, lesion_bearing, read_results

TEMPLATES = Path(__file__).parent / "templates"
EXPLORER = "explorer/index.html"


def write_report(study_folder: Path) -> Path:
    """Write the tables, the figures, the gallery and ``report.html`` of a finished study.

    Args:
        study_folder: Where the study's artifacts lie.

    Returns:
        The page.

    Raises:
        CordlesionError: An artifact is missing or damaged (the sentence names the stage that writes it), or the folder
            cannot be written.
    """
    results = read_results(Path(study_folder))
    with results.folder.listed("report") as forget_others:
        page = _write_page(results)
        forget_others()
    return page


def _write_page(results: StudyResults) -> Path:
    page = results.folder.root / "report.html"
    with bar("write report", total=len(FIGURES) + 2) as advance:
        figures = {}
        for name in FIGURES:
            figures[name] = draw_and_save(results, name)
            advance()
        summary, numbers = summarize_runs(results), compute_numbers(results)
        tables = write_tables(results, summary, numbers)
        advance()
        context = {"brief": write_brief(results, summary, numbers), "tables": tables, "figures": _inline(figures)}
        context |= _facts(results) | _subgroups(tables) | _words(results, numbers) | _script()
        advance()
    environment = page_environment(TEMPLATES)
    environment.globals["latex"] = latex
    write_text(page, environment.get_template("report.html.j2").render(context, gallery=write_gallery(results)))
    return page


def _inline(figures: Mapping[str, Path]) -> dict[str, Markup]:
    texts = {name: path.read_text(encoding="utf-8") for name, path in figures.items()}
    return {
        name: Markup(inline_svg(text, f"f{number}-", name.replace("_", ", "), INK))
        for number, (name, text) in enumerate(texts.items())
    }


def _script() -> dict[str, Markup]:
    text = (TEMPLATES / "report.js").read_text(encoding="utf-8")
    return {"script": Markup(text), "policy": Markup(content_policy(text))}


def _n_bearing(results: StudyResults, set_name: SetName) -> int:
    return int(lesion_bearing(results.sweep[results.sweep["set"] == set_name])["scan_id"].nunique())


def _subgroups(tables: Mapping[str, Table]) -> dict[str, list[str]]:
    """Tell which subgroup tables hold anything, and what is recorded for no scan."""
    named = {name: tables[name] for name in map(subgroup_name, SUBGROUPS)}
    return {
        "subgroups": [name for name, table in named.items() if table.groups],
        "unrecorded": [table.columns[0].lower() for table in named.values() if not table.groups],
    }


def _words(results: StudyResults, numbers: Numbers) -> dict[str, Any]:
    """What the page says about the numbers in words."""
    return {
        "how": describe_pipeline(results.config),
        "region": results.config.preprocess.region,
        "calibration_remark": calibration_remark(numbers),
        "rules_remark": rules_remark(results, numbers),
        "verdicts": [] if numbers.pairs.empty else numbers.pairs["sentence"].tolist(),
        "limits": find_limits(results, numbers),
        "methods": write_methods(results),
    }


def _portable_configuration(results: StudyResults) -> str:
    """Return the configuration as it is, except for places on this machine, which are of no use to others."""
    text, config = results.configuration, results.config
    places = [config.dataset, config.output, *(one.path for one in config.comparators)]
    if config.preprocess.guide == NETWORK:
        places.append(Path(config.preprocess.centerline))
    for place in sorted(map(str, places), key=len, reverse=True):
        text = text.replace(place, portable_path(Path(place), results.folder.root))
    return text


def _facts(results: StudyResults) -> dict[str, Any]:
    """What the page says about the study besides its results."""
    finished = datetime.fromtimestamp(results.folder.evaluation.stat().st_mtime, tz=UTC)
    return {
        "title": results.name,
        # The day the results were made: writing the report anew does not make them newer.
        "date": f"{finished.day} {finished:%B %Y}",
        "version": results.manifest.get("cordlesion", ""),
        "n_scans": results.splits["scan_id"].nunique(),
        "n_subjects": results.splits["subject"].nunique(),
        "n_runs": len(results.runs),
        "one_seed": len({run.seed for run in results.histories}) <= 1,
        "with_points": {name: shows_points(_n_bearing(results, name)) for name in REPORTED_SETS},
        "excluded": results.manifest.get("excluded", {}),
        "example": choose_example(results),
        "empty_reference": EMPTY_REFERENCE,
        "label": results.label,
        "tuned": results.tuned,
        "explorer": EXPLORER if (results.folder.root / EXPLORER).is_file() else "",
        "configuration": _portable_configuration(results),
        "manifest": json.dumps(
            manifest_to_show(results.folder.manifest, results.config.dataset), indent=2, ensure_ascii=False
        ),
    }
