"""One self-contained page about a finished study: sections with text, tables, inline figures; only scans are loaded."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment
from markupsafe import Markup

from cordlesion.io.progress import bar
from cordlesion.io.tables import write_table
from cordlesion.io.writing import write_text
from cordlesion.pictures.html_page import content_policy, page_environment
from cordlesion.pictures.style import INK, save_figure
from cordlesion.pictures.svg import inline_svg
from cordlesion.report.gallery import shown_runs
from cordlesion.report.latex import latex
from cordlesion.report.pipeline import describe_pipeline
from cordlesion.report.section import Chapter, Findings, ReportFigure, Section, list_printed, number_all
from cordlesion.report.sections import CHAPTERS, SECTIONS
from cordlesion.report.sections.limits import find_limits
from cordlesion.report.sections.scans import EXPLORER
from cordlesion.report.table import EMPTY_REFERENCE, Table
from cordlesion.study_folder.results import StudyResults, read_results

TEMPLATES = Path(__file__).parent / "templates"
SECTION_TEMPLATES = Path(__file__).parent / "sections" / "templates"


@dataclass(frozen=True)
class RenderedSection:
    """A section as the page prints it."""

    section: Section
    body: Markup
    contents: str
    """Its tables and figures by their numbers."""


def write_report(study_folder: Path) -> Path:
    """Write the tables, the figures, the gallery and ``report.html`` of a finished study.

    Args:
        study_folder: The folder with the study's artifacts.

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


def compute_findings(results: StudyResults, sections: Sequence[Section] = SECTIONS) -> Findings:
    """Compute the numbers of all sections, and number their tables and figures as if all were printed."""
    frames = {name: compute(results) for section in sections for name, compute in section.summarize.items()}
    return Findings(results, frames, number_all(sections))


def number_printed(
    findings: Findings, tables: Mapping[str, Table], sections: Sequence[Section] = SECTIONS
) -> dict[str, str]:
    """Return how each table and figure is referred to on a page that prints some of them: those of its study."""
    shown = [section for section in sections if section.is_shown(tables)]
    drawn = {one.name for section in shown for one in section.figures if one.is_drawn(findings.results)}
    filled = {one.name for section in shown for one in section.tables if tables[one.name].groups}
    return number_all(sections, lambda name: name in drawn | filled)


def write_tables(findings: Findings, sections: Sequence[Section] = SECTIONS) -> dict[str, Table]:
    """Build every table and write it to ``tables/`` as TSV, CSV and LaTeX, with all captions in ``captions.md``.

    The unrounded numbers go to ``summary.tsv`` (of single runs) and ``summary_<name>.tsv``.

    Returns:
        The tables by name.

    Raises:
        CordlesionError: The folder cannot be written.
    """
    folder = findings.results.folder.root / "tables"
    how = f"{describe_pipeline(findings.results.config)} {EMPTY_REFERENCE}"
    specs = [spec for section in sections for spec in section.tables]
    plain = {spec.name: spec.build(findings) for spec in specs}
    refs = number_printed(findings, plain, sections)
    tables = {
        spec.name: replace(plain[spec.name], label=f"{refs[spec.name]}.", how=how if spec.has_scores else "")
        for spec in specs
    }
    for name, table in tables.items():
        write_text(folder / f"{name}.tsv", table.tsv())
        write_text(folder / f"{name}.csv", table.csv())
        write_text(folder / f"{name}.tex", latex(table, name))
    write_text(folder / "captions.md", _captions(tables))
    for name, frame in findings.frames.items():
        write_table(folder / ("summary.tsv" if name == "runs" else f"summary_{name}.tsv"), frame)
    return tables


def draw_and_save(results: StudyResults, figure: ReportFigure) -> Path:
    """Draw a figure and save it in ``figures/`` as SVG and PDF; the same results give the same bytes.

    Returns:
        The SVG file.

    Raises:
        CordlesionError: A map or a scan for the example is missing, or the folder cannot be written.
    """
    drawn = figure.draw(results)
    path = results.folder.root / "figures" / f"{figure.name}.svg"
    for suffix in (".pdf", ".svg"):
        save_figure(drawn, path.with_suffix(suffix))
    return path


def _write_page(results: StudyResults) -> Path:
    page = results.folder.root / "report.html"
    specs = [figure for section in SECTIONS for figure in section.figures if figure.is_drawn(results)]
    with bar("write report", total=len(specs) + 2) as advance:
        figures = {}
        for spec in specs:
            figures[spec.name] = draw_and_save(results, spec)
            advance()
        findings = compute_findings(results)
        advance()
        tables = write_tables(findings)
        findings = replace(findings, refs=number_printed(findings, tables))
        advance()
    environment = page_environment(TEMPLATES, SECTION_TEMPLATES)
    environment.globals["latex"] = latex
    chapters = _render_chapters(environment, findings, tables, _inline(figures))
    grave = [limit for limit in find_limits(findings) if limit.grave]
    context = _facts(results) | _script() | {"chapters": chapters, "grave": grave}
    write_text(page, environment.get_template("report.html.j2").render(context))
    return page


def _render_chapters(
    environment: Environment, findings: Findings, tables: Mapping[str, Table], figures: Mapping[str, Markup]
) -> list[tuple[Chapter, list[RenderedSection]]]:
    """Return the chapters and sections that the study shows, in their order, with what each prints."""
    given = {"tables": tables, "figures": figures, "refs": findings.refs, "leading": _leading(findings.results)}
    macros: Any = environment.get_template("macros.html.j2").make_module(given)
    given |= {name: getattr(macros, name) for name in ("table", "figure", "copies")}
    chapters = []
    for chapter in CHAPTERS:
        shown = [section for section in chapter.sections if section.is_shown(tables)]
        rendered = [
            RenderedSection(
                section,
                Markup(environment.get_template(f"{section.key}.html.j2").render({**given, **section.words(findings)})),
                list_printed(findings.refs, section, tables),
            )
            for section in shown
        ]
        if rendered:
            chapters.append((chapter, rendered))
    return chapters


def _leading(results: StudyResults) -> set[str]:
    """Return the names of the groups that long tables show at once: of each loss one model, and losses as such."""
    return {"Losses", *(results.label(run) for run in shown_runs(results))}


def _captions(tables: Mapping[str, Table]) -> str:
    """Describe how each file is to be read, in words that fit TSV and CSV."""
    captions = (f"## {name}\n\n{table.caption(bold='Asterisk')}\n" for name, table in tables.items())
    return "# Captions\n\n" + "\n".join(captions)


def _inline(figures: Mapping[str, Path]) -> dict[str, Markup]:
    texts = {name: path.read_text(encoding="utf-8") for name, path in figures.items()}
    return {
        name: Markup(inline_svg(text, f"f{number}-", name.replace("_", ", "), INK))
        for number, (name, text) in enumerate(texts.items())
    }


def _script() -> dict[str, Any]:
    text = (TEMPLATES / "report.js").read_text(encoding="utf-8")
    return {"script": Markup(text), "policy": Markup(content_policy(text))}


def _facts(results: StudyResults) -> dict[str, Any]:
    """Return what the header of the page shows."""
    finished = datetime.fromtimestamp(results.folder.evaluation.stat().st_mtime, tz=UTC)
    return {
        "title": results.name,
        # The day the results were made: writing the report again does not make them newer.
        "date": f"{finished.day} {finished:%B %Y}",
        "version": results.manifest.get("cordlesion", ""),
        "region": results.config.preprocess.region,
        "n_scans": results.splits["scan_id"].nunique(),
        "n_subjects": results.splits["subject"].nunique(),
        "n_runs": len(results.runs),
        "explorer": EXPLORER if (results.folder.root / EXPLORER).is_file() else "",
    }
