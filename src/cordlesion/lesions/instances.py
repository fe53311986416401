"""The lesions of a mask as instances: an image with the number of each, and a table of them (BIDS ``dseg``; no torch).

Numbers are those of ``lesions.tsv``. Components of the mask that are too small to count as a lesion have none: there
the image is 0.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cordlesion import __version__
from cordlesion.errors import CordlesionError
from cordlesion.io.arrays import AnyArray, Mask
from cordlesion.io.columns import Column, TableSpec, count
from cordlesion.io.orient import from_las, to_las
from cordlesion.io.reading import read_json
from cordlesion.io.tables import write_table
from cordlesion.io.volume import Volume, write_volume
from cordlesion.io.writing import write_json
from cordlesion.lesions.columns import CHANCE, PROBABILITIES, VOLUME
from cordlesion.lesions.measure import STUDY_RULE, Lesion, label_image, number_lesions
from cordlesion.metrics import LesionRule

SUFFIX = "desc-lesions_dseg"
"""End of the names of the files, before their endings; as `simulate` and `implant` name numbered masks."""
INSTANCES = TableSpec(
    f"*_{SUFFIX}.tsv",
    "A row per lesion of one scan, from `segment --instances` and `cut --instances`.",
    (
        count("index", "Number of the lesion: its value in the image of the same name, and in `lesions.tsv`"),
        Column("name", "Name of the lesion", "text"),
        replace(VOLUME, meaning="Volume of the lesion"),
        *PROBABILITIES,
        CHANCE,
    ),
    key=("index",),
)


@dataclass(frozen=True)
class InstanceFiles:
    """The three files of the instances of one mask."""

    image: Path
    table: Path
    record: Path

    @classmethod
    def of(cls, folder: Path, scan: str) -> "InstanceFiles":
        """Return the files of a scan in a folder."""
        # BIDS allows one entity `desc` in a name.
        stem = f"{scan}_{'dseg' if '_desc-' in scan else SUFFIX}"
        return cls(*(folder / f"{stem}{ending}" for ending in (".nii.gz", ".tsv", ".json")))

    @property
    def all(self) -> tuple[Path, Path, Path]:
        """Image, table and its description."""
        return self.image, self.table, self.record

    def are_of(self, mask: Path) -> bool:
        """Return whether the description, which is written first and removed last, names the mask as their source."""
        try:
            return self.record.is_file() and read_json(self.record, dict).get("Sources") == [mask.name]
        except CordlesionError:
            return False


def number_instances(mask: Mask, like: Volume, rule: LesionRule = STUDY_RULE) -> AnyArray:
    """Return the image of the lesions of a mask: 0 outside, and the number of its lesion in each voxel.

    Args:
        mask: Shape (X, Y, Z).
        like: A volume on its grid.
        rule: Connectivity and minimum volume of a lesion.

    Returns:
        Shape (X, Y, Z), of the smallest unsigned type that holds the numbers.
    """
    inside = to_las(Volume(mask, like.affine)).data.astype(np.bool_, copy=False)
    voxels = number_lesions(inside, float(np.prod(like.spacing_mm)), rule).voxels
    return from_las(label_image(voxels, inside.shape).astype(np.min_scalar_type(len(voxels))), like)


def instance_table(lesions: Sequence[Lesion]) -> pd.DataFrame:
    """Return a row per lesion, with the columns of :data:`INSTANCES`."""
    names = [{"index": one.lesion, "name": f"Lesion {one.lesion}"} for one in lesions]
    rows = [name | asdict(one) for name, one in zip(names, lesions, strict=True)]
    return pd.DataFrame(rows, columns=list(INSTANCES.names))


def write_instances(
    files: InstanceFiles, mask: Mask, like: Volume, lesions: Sequence[Lesion], source: str, uncalibrated: str = ""
) -> None:
    """Write the instances of a mask: image, table, and what its columns hold.

    Args:
        files: Where.
        mask: On the grid of ``like``.
        like: The scan or map, for its grid.
        lesions: Of the mask, as :func:`~.measure.measure_lesions` numbers them.
        source: Name of the mask's file.
        uncalibrated: Why lesions have no probability; empty where they have.

    Raises:
        CordlesionError: A file cannot be written.
    """
    write_json(files.record, _describe(source, uncalibrated))
    write_table(files.table, instance_table(lesions), INSTANCES)
    write_volume(files.image, number_instances(mask, like), like)


def _describe(source: str, uncalibrated: str) -> dict[str, Any]:
    columns = {
        column.name: {"Description": column.meaning} | ({"Units": column.unit} if column.unit else {})
        for column in INSTANCES.columns
    }
    if uncalibrated:
        columns[CHANCE.name]["Description"] = f"n/a: {uncalibrated}"
    return {
        "Description": "Lesions of the mask, each with its number (research use only)",
        "Sources": [source],
        "GeneratedBy": [{"Name": "cordlesion", "Version": __version__}],
        **columns,
    }
