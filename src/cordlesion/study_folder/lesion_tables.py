"""The table of the predicted lesions of a study, and how likely each was to be real."""

from cordlesion.dataset.columns import SCAN_COLUMNS, SET
from cordlesion.io.columns import Column, TableSpec, count, volume
from cordlesion.study_folder.run_columns import RUN_COLUMNS

LESION_PROBABILITIES = TableSpec(
    "lesion_probabilities.tsv",
    "A row per predicted lesion of the threshold and test scans, run by run, in the masks of the tuned threshold. "
    "Methods that come as masks have none.",
    (
        *SCAN_COLUMNS,
        SET,
        *RUN_COLUMNS,
        count("lesion", "Number of the lesion in its mask, from the largest"),
        volume("volume_mm3", "Volume of the lesion"),
        Column("peak_probability", "Largest probability in the lesion", "share"),
        Column("mean_probability", "Mean probability in the lesion", "share"),
        Column("is_real", "1: the reference confirms the lesion under the lesion rule; 0: it does not", "integer"),
        Column(
            "probability",
            "Calibrated probability that the lesion is real, from its peak, mean and volume. Threshold set: fitted on "
            "its other subjects; test set: on the whole threshold set. `n/a` where that has too few lesions",
            "share",
            may_be_missing=True,
        ),
    ),
    key=("scan_id", "set", "loss", "seed", "fold", "lesion"),
)
