"""The metrics of a scan as columns of tables, from the table of metrics."""

from cordlesion.io.columns import names_of
from cordlesion.metrics.table import METRICS

SCORES = tuple(row.column for row in METRICS.values() if row.column.kind == "share")
"""Undefined where the reference has no lesion."""
LESION_COUNTS = ("n_reference_lesions", "n_detected_lesions", "n_predicted_lesions", "n_true_predicted_lesions")
"""Names of the four counts from which lesion scores, FROC curves and strata are made."""
COUNTS = tuple(METRICS[name].column for name in LESION_COUNTS)
REFERENCE_VOLUME = METRICS["reference_volume_mm3"].column
COLUMNS = tuple(row.column for row in METRICS.values())
"""All metrics, in the order of the table."""

METRIC_COLUMNS = names_of(COLUMNS)
SCORE_COLUMNS = names_of(SCORES)
