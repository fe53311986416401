"""The sections of the report, one file or folder each. A new one is a file with a ``SECTION`` and a row here.

A section may import the leaves of :mod:`cordlesion.report` and other sections, but never the page.
"""

from cordlesion.report.section import Section
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
    thresholds,
    training,
    uncertainty,
)

SECTIONS: tuple[Section, ...] = (
    recommendation.SECTION,
    answers.SECTION,
    cohort.SECTION,
    scores.SECTION,
    thresholds.SECTION,
    calibration.SECTION,
    ranking.SECTION,
    lesions.SECTION,
    rules.SECTION,
    lesion_free.SECTION,
    statements.SECTION,
    paper.SECTION,
    subgroups.SECTION,
    example.SECTION,
    scans.SECTION,
    training.SECTION,
    uncertainty.SECTION,
    own_metrics.SECTION,
    methods.SECTION,
    limits.SECTION,
    record.SECTION,
)
"""In the order of the page."""
