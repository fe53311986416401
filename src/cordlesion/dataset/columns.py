"""The columns that name scans and sets in every table, and those of ``splits.tsv``."""

from cordlesion.io.columns import Column, TableSpec
from cordlesion.metrics.columns import COUNTS, REFERENCE_VOLUME

SCAN_COLUMNS = (
    Column("scan_id", "[Name](#names-of-scans) of the scan", "text"),
    Column("subject", "Subject", "text"),
    Column("session", "Session; empty where the file's name has none", "text", may_be_missing=True),
)
"""What names a scan."""
SET = Column("set", "`train`, `validation`, `threshold` or `test`", "text")
FOLD = Column("fold", "Fold, from 1", "integer", optional="Only with several folds")
RULE = Column("rule", "Lesion rule", "text", optional="Older tables lack it")

_ACQUIRED = "A split written by hand may leave it out; it is added"
SPLITS = TableSpec(
    "splits.tsv",
    "A row per scan. With several folds, a row per scan and fold in which it takes part; each scan is in the test set "
    "of exactly one fold.",
    (
        *SCAN_COLUMNS,
        Column("site", "Site, from `participants.tsv` (of the session, where a subject has several rows)", "text"),
        FOLD,
        SET,
        COUNTS[0],
        REFERENCE_VOLUME,
        Column("reason", "Why the scan is in this set", "text"),
        Column(
            "manufacturer",
            "Manufacturer, from the scan's JSON file and those above it that apply (inheritance of BIDS)",
            "text",
            may_be_missing=True,
            optional=_ACQUIRED,
        ),
        Column(
            "scanner",
            "Manufacturer, model and field strength from the same files, else `scanner` of `participants.tsv`",
            "text",
            may_be_missing=True,
            optional=_ACQUIRED,
        ),
        Column(
            "orientation",
            "Of the slices, from the image grid: `sagittal`, `coronal`, `axial` or `isotropic`",
            "text",
            optional=_ACQUIRED,
        ),
        Column(
            "slice_spacing_mm", "Distance between slice centres, from the image grid", unit="mm", optional=_ACQUIRED
        ),
    ),
    key=("scan_id", "fold"),
)
