"""The columns of the tables of lesions (no torch)."""

from dataclasses import replace

from cordlesion.io.columns import Column, TableSpec, count, volume


def _mm(name: str, meaning: str, *, may_be_missing: bool = False) -> Column:
    return Column(name, meaning, unit="mm", may_be_missing=may_be_missing)


def _probability(name: str, meaning: str) -> Column:
    return Column(name, meaning, "share", may_be_missing=True)


_ALONG = "along the centerline; without one, straight down the scan"
_CENTER = "Centre of mass"
SCAN = Column("scan_id", "Scan, by its BIDS entities or its file name", "text")
_NUMBER = count("lesion", "Number of the lesion in its mask, from the largest")
VOLUME = volume("volume_mm3", "Volume of the lesion, or of all lesions of the scan")
_SIZE = (
    VOLUME,
    _mm("length_mm", f"Length {_ALONG}, between the ends of the axial slices that the lesion spans"),
    _mm("position_mm", f"Depth of the middle of that length below the top of the curve's first slice, {_ALONG}"),
    _mm(
        "left_mm",
        f"{_CENTER}: how far left of the cord's centre, in the axial plane; negative: right",
        may_be_missing=True,
    ),
    _mm(
        "anterior_mm",
        f"{_CENTER}: how far in front of the cord's centre, in the axial plane; negative: behind",
        may_be_missing=True,
    ),
)
PROBABILITIES = (
    _probability("peak_probability", "Largest probability in the lesion; n/a where the model gives a mask"),
    _probability("mean_probability", "Mean probability in the lesion; n/a where the model gives a mask"),
)
_PLACE = (
    count("n_voxels", "Voxels of the lesion"),
    _mm("x_mm", f"{_CENTER} in the scanner's coordinates (RAS+), to the right"),
    _mm("y_mm", f"{_CENTER} in the scanner's coordinates (RAS+), to the front"),
    _mm("z_mm", f"{_CENTER} in the scanner's coordinates (RAS+), upwards"),
    Column("i", f"{_CENTER} as voxel index along the first axis of the scan's file, from 0"),
    Column("j", f"{_CENTER} as voxel index along the second axis of the scan's file, from 0"),
    Column("k", f"{_CENTER} as voxel index along the third axis of the scan's file, from 0"),
)
_OF_ENSEMBLES = "Only in tables with lesions that an ensemble found"
_DOUBT = (
    Column(
        "spread",
        "Mean over the lesion of the standard deviation of the probability over the networks of an ensemble",
        "share",
        may_be_missing=True,
        optional=_OF_ENSEMBLES,
    ),
    Column(
        "disagreement",
        "1 - the mean over the networks of an ensemble of the intersection over union with the network's own lesion",
        "share",
        may_be_missing=True,
        optional=_OF_ENSEMBLES,
    ),
)
CHANCE = Column(
    "probability",
    "Calibrated probability that the lesion is real, from its peak, mean and volume; n/a where the model's lesions are "
    "not calibrated for this mask",
    "share",
    may_be_missing=True,
)
_OPTIONAL_CHANCE = replace(CHANCE, optional="Only in tables with lesions of a model whose lesions are calibrated")
LESIONS = TableSpec(
    "lesions.tsv",
    "A row per lesion.",
    (SCAN, _NUMBER, *_SIZE, *PROBABILITIES, *_PLACE, *_DOUBT, _OPTIONAL_CHANCE),
    key=("scan_id", "lesion"),
)
_NOT_ALWAYS = "Tables of scans that were segmented along a centerline, by this version or a later one"


def _end(name: str, where: str, reasons: str) -> Column:
    meaning = f"Why the search ended at the {where} slice: {reasons}, `lost`, or `drawn` (a centerline from a file)"
    return Column(name, meaning, "text", may_be_missing=True, optional=_NOT_ALWAYS)


def _slices(name: str, meaning: str) -> Column:
    return replace(count(name, meaning, optional=_NOT_ALWAYS), may_be_missing=True)


COVERAGE = (
    _slices("searched_slices", "Axial slices in which lesions were looked for, those with a centerline"),
    _slices("scan_slices", "Axial slices of the scan"),
    Column(
        "searched_mm",
        "Length of the centerline in the searched slices",
        unit="mm",
        may_be_missing=True,
        optional=_NOT_ALWAYS,
    ),
    Column(
        "slice_axis",
        "Axis of the axial slices in the scan's file: i, j or k",
        "text",
        may_be_missing=True,
        optional=_NOT_ALWAYS,
    ),
    _slices("superior_slice", "Index of the uppermost searched slice along that axis of the scan's file, from 0"),
    _end("superior_end", "uppermost", "`border` of the image, `brainstem`"),
    _slices("inferior_slice", "Index of the lowest searched slice along that axis of the scan's file, from 0"),
    _end("inferior_end", "lowest", "`border` of the image, `conus`"),
    Column(
        "cord_confidence",
        "Probability of the cord along the least sure 10 mm of a centerline that was found",
        "share",
        may_be_missing=True,
        optional=_NOT_ALWAYS,
    ),
)
LESION_LOAD = TableSpec(
    "lesion_load.tsv",
    "A row per scan, also of scans without lesions.",
    (
        SCAN,
        Column("threshold", "Decision threshold t: a voxel is lesion when its probability is at least t", "share"),
        count("n_lesions", "Lesions: 6-connected components of more than 3 mm3"),
        VOLUME,
        _mm("affected_mm", f"Length with a lesion somewhere in the cord's section, {_ALONG}; within its ends"),
        _mm("cord_mm", "Length of the cord in the scan, along the centerline", may_be_missing=True),
        count("n_too_small", "Components of the mask that are too small to be counted as lesions"),
        *COVERAGE,
    ),
    key=("scan_id",),
)
LESION_AGREEMENT = TableSpec(
    "lesion_agreement.tsv",
    "A row per lesion of both masks, from `evaluate --figures`.",
    (
        SCAN,
        Column("mask", "Mask that the lesion belongs to: reference or prediction", "text"),
        Column(
            "name",
            "Name of the lesion in the pictures: R and number in the reference, P and number in the prediction",
            "text",
        ),
        Column(
            "agrees",
            "1: the other mask confirms the lesion (detected, or true) under the lesion rule; 0: it does not",
            "integer",
        ),
        _NUMBER,
        *_SIZE,
        *_PLACE,
    ),
    key=("scan_id", "name"),
)
