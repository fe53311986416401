"""Columns that several tables of a study share: what names a run, its threshold and its minimum volume."""

from cordlesion.dataset.columns import FOLD, SET
from cordlesion.io.columns import Column, volume
from cordlesion.threshold import VOLUME

RUN_COLUMNS = (
    Column("loss", "Loss, or name of the ensemble or comparator", "text"),
    Column("seed", "Seed of the training; `n/a` for ensembles and comparators", "integer", may_be_missing=True),
    FOLD,
)
"""What names a run."""
OF_SET = (SET, *RUN_COLUMNS)
"""Set and run."""
THRESHOLD = Column("threshold", "Decision threshold t: voxels with a probability of at least t are lesion", "share")
TUNED_VOLUME = "Only where the minimum volume is tuned (`threshold.minimum_volumes_mm3`)"
MINIMUM_VOLUME = volume(VOLUME, "Minimum volume of a lesion; smaller components are removed", optional=TUNED_VOLUME)
