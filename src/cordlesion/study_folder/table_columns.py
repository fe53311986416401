"""Columns that name what a row of a study's tables is about."""

from cordlesion.dataset.columns import FOLD, SET
from cordlesion.io.columns import Column

RUN_COLUMNS = (
    Column("loss", "Loss, or name of the ensemble or comparator", "text"),
    Column("seed", "Seed of the training; `n/a` for ensembles and comparators", "integer", may_be_missing=True),
    FOLD,
)
"""What names a run."""
THRESHOLD = Column("threshold", "Decision threshold t: voxels with a probability of at least t are lesion", "share")
OF_SET = (SET, *RUN_COLUMNS)
"""Set and run."""
