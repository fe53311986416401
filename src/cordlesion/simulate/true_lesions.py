"""The table of the true lesions of simulated or implanted scans, which no real dataset can offer."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from cordlesion.io.columns import LARGEST, Column, TableSpec, count, volume

NUMBERED = "desc-lesions_dseg"
"""Suffix of the masks that hold the number of each true lesion."""


@dataclass(frozen=True)
class TrueLesion:
    """One row of the table."""

    scan_id: str
    subject: str
    lesion: int
    volume_mm3: float
    mask_volume_mm3: float
    length_mm: float
    contrast: float
    peak_contrast: float
    column: str
    level: str
    position_mm: float
    distance_mm: float
    left_mm: float
    anterior_mm: float


def _mm(name: str, meaning: str) -> Column:
    return Column(name, meaning, unit="mm")


TRUE_LESIONS = TableSpec(
    "true_lesions.tsv",
    "A row per true lesion in the field of view of a scan, from `implant` and `simulate`, in `derivatives/labels`.",
    (
        Column("scan_id", "Scan, by its BIDS entities", "text"),
        Column("subject", "Subject", "text"),
        count("lesion", f"Number of the lesion in the scan's mask `*_{NUMBERED}.nii.gz`"),
        volume("volume_mm3", "Drawn volume: the integral of the lesion inside the cord"),
        volume("mask_volume_mm3", "Volume of the voxels of which at least half is lesion; 0 where there is none"),
        _mm("length_mm", "Length of the lesion along the cord"),
        Column("contrast", "Ratio of lesion to cord signal, before blur and noise", range=(1, LARGEST)),
        Column(
            "peak_contrast",
            "Largest ratio of lesion to cord signal of a voxel, after blur and partial volume, without noise",
            range=(0, math.inf),
            may_be_missing=True,
        ),
        Column("column", "Place in the section of the cord: `lateral`, `posterior`, `anterior` or `central`", "text"),
        Column(
            "level", "Vertebral level; empty where it is unknown, as in implanted scans", "text", may_be_missing=True
        ),
        _mm("position_mm", "Position of its middle along the cord, from the upper end of the cord in the scan"),
        _mm("distance_mm", "Distance of its centre of mass from the cord's centre, in the section"),
        _mm("left_mm", "How far left of the cord's centre its centre of mass is; negative: right"),
        _mm("anterior_mm", "How far in front of the cord's centre its centre of mass is; negative: behind"),
    ),
    key=("scan_id", "lesion"),
)


def described_columns() -> Mapping[str, Mapping[str, str]]:
    """Return the content of the JSON file next to the table, as BIDS has it."""
    return {
        column.name: {"Description": column.meaning} | ({"Units": column.unit} if column.unit else {})
        for column in TRUE_LESIONS.columns
    }
