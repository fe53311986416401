"""The columns that name a run, in every table of a study."""

from cordlesion.dataset.columns import FOLD
from cordlesion.io.columns import Column

RUN_COLUMNS = (
    Column("loss", "Loss, or name of the ensemble or comparator", "text"),
    Column("seed", "Seed of the training; `n/a` for ensembles and comparators", "integer", may_be_missing=True),
    FOLD,
)
"""What names a run."""
