"""The tables of lesions ranked by probability, and of repeatability."""

from dataclasses import replace

from cordlesion.io.columns import Column, TableSpec, count
from cordlesion.lesions.repeatability import COLUMNS
from cordlesion.metrics import MULTI_SPINE_RATES
from cordlesion.study_folder.run_columns import OF_SET, THRESHOLD


def sensitivity_at(rate: float) -> str:
    """Return the name of a column: the lesion sensitivity at a number of false lesions per scan."""
    return f"sensitivity_at_{rate:g}".replace(".", "_")


def _share(name: str, meaning: str) -> Column:
    return Column(name, meaning, "share", may_be_missing=True)


MULTI_SPINE = TableSpec(
    "multi_spine.tsv",
    "A row per run with maps (and fold): the score of the MS-Multi-Spine challenge on the test scans. Lesions are the "
    "26-connected components of the masks, each with its highest p as its probability; a pair matches at an "
    "intersection over union of 0.2. Studies of earlier versions lack it.",
    (
        *OF_SET,
        _share("score", "Mean of the five sensitivities; `n/a` without lesion-bearing scans"),
        _share("score_low", "Lower end of its 95 % bootstrap interval over subjects; `n/a` for fewer than five"),
        _share("score_high", "Upper end"),
        *(
            _share(
                sensitivity_at(rate), f"Mean over scans of the lesion sensitivity at {rate:g} false lesions per scan"
            )
            for rate in MULTI_SPINE_RATES
        ),
        count("n_scans", "Scans"),
        count("n_lesion_bearing", "Those with lesions among them"),
    ),
    key=("set", "loss", "seed", "fold"),
)
REFERENCE_MASKS = "reference masks"
"""In place of a method: the masks of the reader. No method has a name with a space."""
REPEATABILITY = TableSpec(
    "repeatability.tsv",
    "A row per set, run, threshold and measure: what differs between scans of subjects without a change in between. "
    f"`{REFERENCE_MASKS}` as loss: the references. Only in studies with such scans (column `repeat` of the dataset).",
    (
        *OF_SET,
        replace(THRESHOLD, meaning=f"{THRESHOLD.meaning}; `n/a` for masks", may_be_missing=True),
        Column("tuned", "Whether it is the tuned threshold, for which lesions found twice are counted", "boolean"),
        *COLUMNS,
    ),
    key=("set", "loss", "seed", "fold", "threshold", "measure"),
)
