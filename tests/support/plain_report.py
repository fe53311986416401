"""The page of a report without its pictures, which take most of the time that a report takes."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cordlesion.io.writing import write_text
from cordlesion.report import page
from cordlesion.report.section import ReportFigure
from cordlesion.report.sections import scans
from cordlesion.study_folder.results import StudyResults

_EMPTY = '<svg xmlns="http://www.w3.org/2000/svg" width="1pt" height="1pt" viewBox="0 0 1 1"></svg>\n'


@contextlib.contextmanager
def without_pictures(*, draws: Callable[[ReportFigure], bool] = lambda _: False) -> Iterator[None]:
    """Write reports with empty figures and without the gallery.

    Args:
        draws: Whether a figure is drawn all the same.
    """
    draw = page.draw_and_save

    def draw_some(results: StudyResults, figure: ReportFigure) -> Path:
        if draws(figure):
            return draw(results, figure)
        path = results.folder.root / "figures" / f"{figure.name}.svg"
        for suffix in (".pdf", ".svg"):
            write_text(path.with_suffix(suffix), _EMPTY)
        return path

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(page, "draw_and_save", draw_some)
        patch.setattr(scans, "write_gallery", lambda _: ())
        yield


def write_without_pictures(folder: Path, *, draws: Callable[[ReportFigure], bool] = lambda _: False) -> str:
    """Write the report of a study without its pictures, see :func:`without_pictures`, and return its page."""
    with without_pictures(draws=draws):
        return page.write_report(folder).read_text(encoding="utf-8")
