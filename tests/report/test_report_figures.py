import subprocess
import sys
from pathlib import Path

import matplotlib
from matplotlib.colors import to_hex

from cordlesion.pictures.style import loss_colors
from cordlesion.report.page import draw_and_save
from cordlesion.report.section import ReportFigure
from cordlesion.report.sections.cohort import cohort_figure
from cordlesion.report.sections.thresholds.figure import threshold_figure
from cordlesion.report.sections.training import training_figure
from cordlesion.study_folder.results import StudyResults, read_results


def test_a_loss_has_one_colour_in_all_figures(results: StudyResults) -> None:
    colors = loss_colors(run.loss for run in results.runs)
    thresholds, training = threshold_figure(results).axes, training_figure(results).axes
    for n, loss in enumerate(("bce", "dice", "tversky")):
        assert to_hex(training[n].lines[1].get_color()) == colors[loss].lower()
        (triangle,) = (line for line in thresholds[n].lines if line.get_marker() == "v")
        assert to_hex(triangle.get_color()) == colors[loss].lower()


def test_saving_writes_svg_and_pdf_and_leaves_no_trace(study_copy: Path) -> None:
    before = dict(matplotlib.rcParams)
    path = draw_and_save(read_results(study_copy), ReportFigure("figure1_cohort", cohort_figure))
    assert path.read_bytes().lstrip().startswith(b"<?xml")
    assert path.with_suffix(".pdf").read_bytes().startswith(b"%PDF")
    assert sorted(file.name for file in path.parent.iterdir()) == ["figure1_cohort.pdf", "figure1_cohort.svg"]
    assert dict(matplotlib.rcParams) == before


def test_report_imports_neither_torch_nor_pyplot() -> None:
    code = "import sys, cordlesion.report.page; print({'torch', 'lightning', 'matplotlib.pyplot'} & set(sys.modules))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "set()\n"
