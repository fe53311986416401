"""Comparators: methods that are not trained in the study but evaluated with its runs."""

from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import Field, model_validator

from cordlesion.config.evaluation import PostprocessConfig
from cordlesion.config.names import PlainName, maps_name, method_name
from cordlesion.config.section import Section
from cordlesion.io.yaml import fault_at

ComparatorKind = Literal["bundle", "maps", "masks", "npz"]
KINDS: tuple[ComparatorKind, ...] = get_args(ComparatorKind)


class ComparatorConfig(Section):
    """One comparator, with exactly one source: ``bundle``, ``maps``, ``masks`` or ``npz``."""

    name: PlainName
    """Name in tables, figures and file names."""
    bundle: Path | None = None
    """Folder of a trained model, which predicts with its own preprocessing. All folders of comparators are relative to
    the YAML file."""
    maps: Path | None = None
    """Folder of probability maps (NIfTI) on the grids of the scans."""
    masks: Path | None = None
    """Folder of masks (NIfTI) on the grids of the scans. They are used as they are, without a threshold to tune."""
    npz: Path | None = None
    """Folder of nnU-Net's softmax exports (``nnUNetv2_predict --save_probabilities``)."""
    files: str = "*"
    """Glob on the file names, for folders with other files."""
    lesion_class: Annotated[int, Field(ge=0)] | None = None
    """Lesion class of the ``npz`` files. Default: 1, where there are two classes."""
    lesion_value: Annotated[int, Field(gt=0)] | None = None
    """The value that marks lesions in ``masks`` with several values. Default: each mask holds 0 and one other value."""
    threshold: Annotated[float, Field(gt=0, le=1)] | None = None
    """A published threshold: maps are cut there and then treated as masks. Default: the threshold is tuned."""

    @property
    def kind(self) -> ComparatorKind:
        """Its source."""
        return next(kind for kind in KINDS if getattr(self, kind) is not None)

    @property
    def path(self) -> Path:
        """The folder."""
        path: Path = getattr(self, self.kind)
        return path

    @property
    def is_tuned(self) -> bool:
        """Whether it has maps with a threshold to choose."""
        return self.kind != "masks" and self.threshold is None

    def below(self, folder: Path) -> Self:
        """Return a copy with a relative path resolved against ``folder``."""
        return self.model_copy(update={self.kind: folder / self.path})

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        given = [kind for kind in KINDS if getattr(self, kind) is not None]
        if len(given) != 1:
            found = " and ".join(given) or "none"
            raise fault_at(f"exactly one of {', '.join(KINDS)} is needed, found {found}", *given[1:2])
        return self

    @model_validator(mode="after")
    def _options_of_its_kind(self) -> Self:
        misplaced = {
            "lesion_class": self.lesion_class is not None and self.npz is None,
            "lesion_value": self.lesion_value is not None and self.masks is None,
            "threshold": self.threshold is not None and self.masks is not None,
            "files": self.files != "*" and self.bundle is not None,
        }
        if named := [option for option, wrong in misplaced.items() if wrong]:
            raise fault_at(f"means nothing to a comparator that is given as {self.kind}; remove it", named[0])
        return self


class ComparatorRun(Section):
    """A comparator in one fold: its maps are the same in every fold, its threshold is chosen on the set of the fold."""

    comparator: ComparatorConfig
    fold: int | None = None
    """From 1; None where the study has one split."""
    postprocess: PostprocessConfig = PostprocessConfig()
    """That of the study, so that all maps are treated equally."""

    @property
    def name(self) -> str:
        """Name of its folder."""
        return method_name(self.comparator.name, None, self.fold)

    @property
    def maps_name(self) -> str:
        """Its name in the file names of its maps."""
        return maps_name(self.comparator.name, None, self.fold)

    @property
    def columns(self) -> dict[str, Any]:
        """The columns that identify its rows in tables; the seed is None."""
        return {"loss": self.comparator.name, "seed": None} | ({"fold": self.fold} if self.fold else {})

    @property
    def is_tuned(self) -> bool:
        """Whether its threshold is tuned."""
        return self.comparator.is_tuned
