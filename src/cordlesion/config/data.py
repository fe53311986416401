"""Sections on the data: file patterns, split, preprocessing, patches."""

from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal, Self, TypeAlias, get_args

from pydantic import BeforeValidator, Field, field_validator, model_validator

from cordlesion.config.section import LATER, Section
from cordlesion.io.yaml import fault_at

SetName = Literal["train", "validation", "threshold", "test"]
SETS: tuple[SetName, ...] = ("train", "validation", "threshold", "test")
CenterlineSource = Literal["auto", "file", "cord_mask", "sct"]
DRAWN: Mapping[str, str] = MappingProxyType({"file": "centerline", "cord_mask": "cord_mask"})
"""Centerline sources that are a file of each scan -> the file kind."""
DECILES = (1.0, 10.0, 20.0, 30.0, 40.0, 50.0, 60.0, 70.0, 80.0, 90.0, 99.0)
Percent: TypeAlias = Annotated[float, Field(ge=0, le=100)]
NETWORK = "centerline_network"
"""The file kind of the centerline network of the Spinal Cord Toolbox: one file for all scans."""


def _is_source(value: object) -> object:
    if value in get_args(CenterlineSource) or str(value).casefold().endswith(".h5"):
        return value
    names = ", ".join(get_args(CenterlineSource))
    raise ValueError(f"one of {names} or the file of SCT's centerline network (t2_ctr.h5) is needed")


AnyCenterlineSource: TypeAlias = Annotated[CenterlineSource | Path, BeforeValidator(_is_source)]


class FilePatterns(Section):
    """How files of a dataset are recognised: globs on the file name; the first that matches is used.

    A glob with a ``/`` is compared with the path inside the dataset (``derivatives/rater1/*_seg.nii.gz``). Where names
    are not those of BIDS, a mask belongs to the scan for which the stars of both globs stand for the same text:
    ``image: ["images/*.nii.gz"], reference: ["labels/*.nii.gz"]``.
    """

    image: tuple[str, ...] = ("*_T2w.nii.gz", "*_T2w.nii")
    """Scans. Where ``sub-*`` folders hold some, only those; otherwise in any folder except ``derivatives`` and
    ``sourcedata``. Files that are masks by the other patterns are no scans."""
    reference: tuple[str, ...] = ("*_label-lesion_seg.nii*", "*_lesion-manual.nii*")
    """Manual lesion masks, anywhere in the dataset; matched to a scan by their BIDS entities, or by the stars."""
    cord_mask: tuple[str, ...] = (
        "*_label-cord_seg.nii*",
        "*_label-SC_seg.nii*",
        "*_seg-manual.nii*",
        "*_label-cord_mask.nii*",
    )
    """Cord masks."""
    centerline: tuple[str, ...] = (
        "*_label-centerline_seg.nii*",
        "*_centerline.nii*",
        "*_label-centerline_mask.nii*",
    )
    """Centerlines drawn on a NIfTI grid."""
    lesion_value: Annotated[Annotated[int, Field(gt=0)] | None, LATER] = None
    """The value that marks lesions in references with several values, for example cord 1 and lesion 2. By default every
    reference must hold 0 and one other value."""
    subjects: Annotated[str | None, LATER] = None
    """Whose scan each file is: a table (columns ``scan`` and ``participant_id``), relative to the YAML file, or a
    pattern such as ``{subject}_*`` (of file names) or ``{subject}/*`` (of paths inside the dataset). Default: ``sub-``
    in the name; a file without it counts as a subject of its own."""

    def below(self, folder: Path) -> Self:
        """Return a copy with a relative path resolved against ``folder``."""
        if self.subjects is None or "{subject}" in self.subjects:
            return self
        return self.model_copy(update={"subjects": str(folder / self.subjects)})


class SplitConfig(Section):
    """Who goes into which set (Hussein et al. 2023, section 2.2)."""

    proportions: dict[SetName, Annotated[float, Field(gt=0)]] = {  # noqa: RUF012 - pydantic copies defaults
        "train": 62,
        "validation": 13,
        "threshold": 14,
        "test": 26,
    }
    """Shares of the lesion-bearing scans, in any unit."""
    lesion_free: Literal["test", "stratified"] = "test"
    """Where lesion-free scans go: ``test``: to the test set, with all scans of their subjects (as in the paper);
    ``stratified``: into all sets, in the same proportions as the others."""
    folds: Annotated[int, Field(gt=0)] = 1
    """Number of cross-validation folds. Every subject is in the test set of one fold. In each fold the other subjects
    are divided among the other sets by their proportions."""
    seed: int = 0

    @property
    def decisive(self) -> dict[str, Any]:
        """What a split depends on, as JSON. A single split has the fingerprint of versions without folds."""
        return self.hashed(exclude={"folds"} if self.folds == 1 else None)

    @model_validator(mode="after")
    def _all_sets(self) -> Self:
        if missing := [name for name in SETS if name not in self.proportions]:
            raise fault_at(f"those of {', '.join(missing)} are missing", "proportions")
        return self


class PreprocessConfig(Section):
    """From a scan to its stack (Hussein et al. 2023, section 2.3)."""

    region: Literal["cord", "foreground"] = "cord"
    """What the stack contains: ``cord``: the cord and its surroundings; ``foreground``: everything brighter than the
    background, for lesions elsewhere. ``foreground`` does not use the crop and centerline settings."""
    spacing_mm: Annotated[float, Field(gt=0, le=20)] = 0.5
    """Isotropic voxel size."""
    crop_voxels: Annotated[int, Field(ge=8, le=1024)] = 48
    """Edge of the axial crop around the centerline. The network halves it at every level except the first."""
    centerline: AnyCenterlineSource = "auto"
    """Source of the centerline: ``auto``: our cord detector; ``file``: a drawn centerline for each scan; ``cord_mask``:
    the centre of mass of the cord mask in each slice; ``sct``: an installed Spinal Cord Toolbox (SCT); or the path of
    SCT's centerline network, ``t2_ctr.h5``, relative to the YAML file."""
    centerline_smoothing_mm: Annotated[float, Field(ge=0, le=10_000)] = 60.0
    """Smoothing of the centerline: shorter waves than this are damped by more than half. 0: no smoothing."""
    percentiles: Annotated[Annotated[tuple[Percent, ...], Field(min_length=2)], LATER] = DECILES
    """Percentiles of a stack's intensities that are mapped to the same values in all scans (Nyul et al. 2000). With
    two, such as [1, 99], the map is a line: it keeps the ratios of contrasts, whatever the field of view shows."""

    @field_validator("percentiles")
    @classmethod
    def _increasing(cls, percentiles: tuple[float, ...]) -> tuple[float, ...]:
        if any(a >= b for a, b in pairwise(percentiles)):
            raise ValueError("rising numbers are needed")
        return percentiles

    @property
    def decisive(self) -> dict[str, Any]:
        """What a stack depends on, apart from the scan's files, as JSON: no settings of the other region."""
        others = {"cord": {"region"}, "foreground": {"crop_voxels", "centerline", "centerline_smoothing_mm"}}
        content = self.hashed(exclude=others[self.region])
        # The content of that file is hashed (see guide), not its path.
        return content | {"centerline": NETWORK} if self.guide == NETWORK else content

    @property
    def guide(self) -> str | None:
        """The file kind, other than the image, that the centerline needs; None where it needs no file."""
        if self.region != "cord":
            return None
        return NETWORK if isinstance(self.centerline, Path) else DRAWN.get(self.centerline)

    @property
    def portable(self) -> Self:
        """The same without folders of this machine."""
        return self._with_file(Path(self.centerline.name)) if isinstance(self.centerline, Path) else self

    def below(self, folder: Path) -> Self:
        """Return a copy with a relative path resolved against ``folder``."""
        return self._with_file(folder / self.centerline) if isinstance(self.centerline, Path) else self

    def _with_file(self, network: Path) -> Self:
        return self.model_copy(update={"centerline": network})


class PatchConfig(Section):
    """Patches along the cord, or along all three axes of the foreground."""

    size_voxels: Annotated[int, Field(ge=8, le=1024)] = 48
    """Length of a patch along the cord; edge of a cube in the foreground."""
    overlap_fraction: Annotated[float, Field(ge=0, lt=1)] = 0.75
    """Overlap of consecutive patches, in training and in prediction."""

    def shape(self, preprocess: PreprocessConfig) -> tuple[int, int, int]:
        """Return a patch's edges in voxels; in the region ``cord`` a patch is as wide as the crop."""
        width = preprocess.crop_voxels if preprocess.region == "cord" else self.size_voxels
        return width, width, self.size_voxels
