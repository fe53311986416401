"""The metrics of a scan as columns of tables: each is declared here, once."""

from dataclasses import fields

from cordlesion.io.columns import Column, count, names_of, volume
from cordlesion.metrics.scan import ScanMetrics


def _score(name: str, meaning: str) -> Column:
    return Column(name, meaning, "share", may_be_missing=True)


SCORES = (
    _score("voxel_sensitivity", "Share of the reference's lesion voxels that the prediction marks"),
    _score("voxel_precision", "Share of the predicted voxels that are lesion in the reference"),
    _score("voxel_f1", "F1 (Dice) of the voxels"),
    _score("lesion_sensitivity", "Share of the reference's lesions that the prediction detects"),
    _score("lesion_precision", "Share of the predicted lesions that are true"),
    _score("lesion_f1", "F1 of the lesions"),
)
"""Undefined where the reference has no lesion."""
COUNTS = (
    count("n_reference_lesions", "Lesions of the reference"),
    count("n_detected_lesions", "Lesions of the reference that the prediction detects"),
    count("n_predicted_lesions", "Predicted lesions"),
    count("n_true_predicted_lesions", "Predicted lesions that the reference confirms"),
)
REFERENCE_VOLUME = volume("reference_volume_mm3", "Lesion volume of the reference")
COLUMNS = (*SCORES, *COUNTS, REFERENCE_VOLUME, volume("predicted_volume_mm3", "Predicted lesion volume"))
"""All metrics, in the order of :class:`ScanMetrics`."""

METRIC_COLUMNS = names_of(COLUMNS)
SCORE_COLUMNS = names_of(SCORES)
LESION_COUNTS = names_of(COUNTS)
"""Names of the four counts of lesions."""

assert tuple(field.name for field in fields(ScanMetrics)) == METRIC_COLUMNS
