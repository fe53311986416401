"""The tables of the command ``detectability``."""

import math

from cordlesion.io.columns import LARGEST, Column, TableSpec, count, volume
from cordlesion.simulate.true_lesions import TRUE_LESIONS

OPERATING = (
    Column(
        "threshold",
        "Decision threshold; `n/a` where the method gives masks, or has a threshold for each scan",
        "share",
        may_be_missing=True,
    ),
    Column(
        "operating_point", "`own`: the method's own masks or tuned threshold; `given`: a threshold of the grid", "text"
    ),
)
UNITS = Column("units", "What the interval resamples: `subjects`, or `scans` with fewer than 5 subjects", "text")
_TRUTH = tuple(
    column
    for column in TRUE_LESIONS.columns
    if column.name in ("volume_mm3", "contrast", "column", "level", "position_mm", "distance_mm")
)


def _interval(name: str, of: str, limits: tuple[float, float]) -> tuple[Column, Column]:
    return (
        Column(f"{name}_low", f"95 % interval of {of}", range=limits, may_be_missing=True),
        Column(f"{name}_high", "Its upper end", range=limits, may_be_missing=True),
    )


DETECTED = TableSpec(
    "detected_lesions.tsv",
    "A row per true lesion and threshold, from `detectability`.",
    (
        *TRUE_LESIONS.columns[:3],
        *OPERATING,
        Column("found", "1: detected under the lesion rule; 0: not; `n/a`: no voxel is half lesion", "integer",
               may_be_missing=True),
        Column("by_chance", "1: the mask of the unchanged scan detects it, too; `n/a` where there is none", "integer",
               may_be_missing=True),
        *_TRUTH,
    ),
    key=("scan_id", "lesion", "threshold", "operating_point"),
)  # fmt: skip
DETECTABILITY = TableSpec(
    "detectability.tsv",
    "A row per threshold and kind of lesion: the share that is found.",
    (
        *OPERATING,
        Column("by", "What the lesions have in common: `all`, `volume`, `contrast`, `volume and contrast`, `column`, "
               "`distance`, `level`, `position`", "text"),
        Column("band", "Its value, in words", "text"),
        count("n_lesions", "Lesions"),
        count("n_found", "Those that are found"),
        Column("sensitivity", "Share that is found", "share"),
        *_interval("sensitivity", "it", (0, 1)),
        count("n_by_chance", "Lesions that the mask of the unchanged scan detects, too"),
        UNITS,
    ),
    key=("threshold", "operating_point", "by", "band"),
)  # fmt: skip
LIMITS = TableSpec(
    "detection_limits.tsv",
    "A row per threshold and band of contrast: the volume from which on lesions are found.",
    (
        *OPERATING,
        Column("contrast_low", "Lesions of at least this contrast", range=(1, LARGEST)),
        Column("contrast_high", "Lesions below this contrast; `inf` for the highest", range=(1, math.inf)),
        count("n_lesions", "Lesions"),
        count("n_found", "Those that are found"),
        *(
            column
            for share in (50, 90)
            for column in (
                Column(
                    f"size_{share}_mm3",
                    f"Volume from which on {share} % are found; `inf`: not reached by the largest lesions; the volume "
                    "of the smallest lesion: reached by all",
                    unit="mm3",
                    range=(0, math.inf),
                ),
                *_interval(f"size_{share}", "it", (0, math.inf)),
            )
        ),
        Column("ceiling", "Share of very large lesions that is found, from the fitted curve", "share"),
        UNITS,
    ),
    key=("threshold", "operating_point", "contrast_low"),
)
FALSE_LESIONS = TableSpec(
    "false_lesions.tsv",
    "A row per threshold: false positives in the scans without lesions.",
    (
        *OPERATING,
        count("n_scans", "Scans without lesions"),
        count("n_false_lesions", "False positives in them"),
        volume("false_volume_mm3", "Their volume"),
        Column("false_per_scan", "False positives per scan", range=(0, LARGEST), may_be_missing=True),
        *_interval("false_per_scan", "it, with subjects as units; `n/a` with fewer than 5", (0, LARGEST)),
    ),
    key=("threshold", "operating_point"),
)
ALL = (DETECTED, DETECTABILITY, LIMITS, FALSE_LESIONS)
