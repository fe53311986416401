"""The sections of the report, one file or folder each. A new one is a file with a ``SECTION`` and a row here.

A section may import the leaves of :mod:`cordlesion.report` and other sections, but never the page.
"""

from cordlesion.report.section import Chapter, Section
from cordlesion.report.sections import (
    answers,
    calibration,
    cohort,
    example,
    lesion_free,
    lesions,
    limits,
    methods,
    own_metrics,
    paper,
    ranking,
    recommendation,
    record,
    rules,
    scans,
    scores,
    statements,
    subgroups,
    threshold_rules,
    thresholds,
    training,
    uncertainty,
)

CHAPTERS: tuple[Chapter, ...] = (
    Chapter("Summary", (recommendation.SECTION,), is_open=True),
    Chapter("Questions", (answers.SECTION,), is_open=True),
    Chapter(
        "Scores",
        (
            cohort.SECTION,
            scores.SECTION,
            ranking.SECTION,
            lesion_free.SECTION,
            subgroups.SECTION,
            own_metrics.SECTION,
        ),
    ),
    Chapter("Thresholds", (thresholds.SECTION, threshold_rules.SECTION)),
    Chapter("Scans", (example.SECTION, scans.SECTION)),
    Chapter(
        "Analyses",
        (
            calibration.SECTION,
            lesions.SECTION,
            rules.SECTION,
            training.SECTION,
            uncertainty.SECTION,
        ),
    ),
    Chapter("The paper", (statements.SECTION, paper.SECTION)),
    Chapter("Methods and limits", (methods.SECTION, limits.SECTION, record.SECTION)),
)
"""In the order of the page, which numbers figures as their files are named."""

SECTIONS: tuple[Section, ...] = tuple(section for chapter in CHAPTERS for section in chapter.sections)
