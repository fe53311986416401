"""The table of operating points: the tuned threshold of each method, and those that keep a promise."""

from dataclasses import replace

from cordlesion.io.columns import LARGEST, Column, TableSpec, count
from cordlesion.study_folder.run_columns import MINIMUM_VOLUME, RUN_COLUMNS

_PROMISED = Column("threshold", "", "share", may_be_missing=True)
_MISSED = Column("missed", "", "share", may_be_missing=True)
_FALSE = Column("false_positives", "", range=(0, LARGEST), may_be_missing=True)
_END = "Its 95 % interval over subjects"
OPERATING_POINTS = TableSpec(
    "operating_points.tsv",
    "Three rows per run with a tuned threshold (and fold): that threshold, and the best ones that keep a promise "
    "(`threshold.promises`), with what they cost, from `sweep.tsv`. All risks are means over subjects.",
    (
        *RUN_COLUMNS,
        Column("point", "`balanced` (the tuned threshold), `sensitive` or `specific`", "text"),
        Column("risk", "What is limited: `missed` or `false_positives`; `n/a` for `balanced`", "text", "", None, True),
        Column("limit", "What the risk is at most", range=(0, LARGEST), may_be_missing=True),
        Column("certainty", "Chance that the promise is kept in subjects like these", "share", may_be_missing=True),
        replace(_PROMISED, meaning="Decision threshold; `n/a` where none is shown to keep the promise"),
        MINIMUM_VOLUME,
        replace(_PROMISED, name="nearest", meaning="Without one, the threshold that comes nearest"),
        Column(
            "needed",
            "Without one, how many subjects would be enough in 4 of 5 studies; `n/a` where none would be",
            "integer",
            range=(0, LARGEST),
            may_be_missing=True,
        ),
        count("n_subjects", "Subjects of the threshold set on which the promise rests"),
        Column("lesion_free", "Whether lesion-free scans count: where the threshold set has some", "boolean"),
        replace(_MISSED, meaning="Share of lesions missed on the threshold set, at the threshold or the nearest"),
        replace(_FALSE, meaning="False positives per scan on the threshold set, at the threshold or the nearest"),
        count("n_test_subjects", "Subjects of the test set; without lesion-free scans where these do not count"),
        replace(_MISSED, name="test_missed", meaning="Share of lesions missed on the test set, at the threshold"),
        replace(_MISSED, name="test_missed_low", meaning=_END),
        replace(_MISSED, name="test_missed_high", meaning="Its upper end"),
        replace(_FALSE, name="test_false_positives", meaning="False positives per scan on the test set"),
        replace(_FALSE, name="test_false_positives_low", meaning=_END),
        replace(_FALSE, name="test_false_positives_high", meaning="Its upper end"),
    ),
    key=("loss", "seed", "fold", "point"),
)
