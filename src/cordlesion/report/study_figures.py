"""The figures of the report one by one, for a notebook or a paper."""

from pathlib import Path

from matplotlib.figure import Figure

from cordlesion.errors import CordlesionError
from cordlesion.report.section import ReportFigure
from cordlesion.report.sections import SECTIONS
from cordlesion.study_folder.results import StudyResults, read_results

_PAPER = "#FFFFFF"


def plot_study(study: StudyResults | Path | str, figure: str = "thresholds") -> Figure:
    """Draw one of the figures of a study's report.

    Args:
        study: What :func:`cordlesion.read_results` returned, or the study folder.
        figure: ``cohort``, ``thresholds`` (score against threshold on the threshold set), ``thresholds_test``,
            ``example``, ``reliability``, ``froc``, ``training``, ``uncertainty`` (of ensembles) or ``recommendation``
            (overlap against false lesions).

    Returns:
        The figure, on white. ``report.html`` shows the same one.

    Raises:
        CordlesionError: The folder is no finished study, or the report has no such figure of it.

    Examples:
        Here ``finished_study`` is the folder of a study that has run.

        >>> import cordlesion
        >>> results = cordlesion.read_results("finished_study")
        >>> figure = cordlesion.plot_study(results, "froc")
        >>> figure.savefig("froc.pdf")
    """
    results = study if isinstance(study, StudyResults) else read_results(study)
    drawn = {_name(one): one for section in SECTIONS for one in section.figures if one.is_drawn(results)}
    if figure not in drawn:
        raise CordlesionError(
            f"{figure!r} is no figure of the report of {results.folder.root}; one of {', '.join(drawn)} is needed."
        )
    made = drawn[figure].draw(results)
    made.set_facecolor(_PAPER)  # text is dark, the page of a notebook may be, too
    return made


def _name(figure: ReportFigure) -> str:
    """Return the name without the number that files have: ``figure2_thresholds`` becomes ``thresholds``."""
    return figure.name.partition("_")[2] or figure.name
