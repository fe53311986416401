"""Comparators: methods that are not trained here, set beside the runs of a study."""

from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import Field, model_validator

from cordlesion.config.names import PlainName, maps_name, method_name
from cordlesion.config.sections import PostprocessConfig, Section
from cordlesion.io.yaml import fault_at

ComparatorKind = Literal["bundle", "maps", "masks", "npz"]
KINDS: tuple[ComparatorKind, ...] = get_args(ComparatorKind)


class ComparatorConfig(Section):
    """One comparator: exactly one of ``bundle``, ``maps``, ``masks`` and ``npz`` says where it comes from."""

    name: PlainName
    """In tables, figures and file names, as a loss's."""
    bundle: Path | None = None
    """Folder of a trained model, which predicts here with its own preprocessing; like all of these relative to the YAML
    file."""
    maps: Path | None = None
    """Folder of probability maps (NIfTI) on the scans' own grids."""
    masks: Path | None = None
    """Folder of masks (NIfTI) on the scans' own grids, which are taken as they are: there is no threshold to tune."""
    npz: Path | None = None
    """Folder of nnU-Net's softmax exports (``nnUNetv2_predict --save_probabilities``)."""
    files: str = "*"
    """Glob on the file names, where the folder holds other files too."""
    lesion_class: Annotated[int, Field(ge=0)] | None = None
    """Which class of an ``npz`` file is lesion; 1 where there are two."""
    lesion_value: Annotated[int, Field(gt=0)] | None = None
    """The value that marks lesions in ``masks`` that hold others too; by default all must mark by one value."""
    threshold: Annotated[float, Field(gt=0, le=1)] | None = None
    """A published threshold: maps are cut there and the masks taken as they are. By default it is tuned as a run's."""

    @property
    def kind(self) -> ComparatorKind:
        """Where it comes from."""
        return next(kind for kind in KINDS if getattr(self, kind) is not None)

    @property
    def path(self) -> Path:
        """The folder."""
        path: Path = getattr(self, self.kind)
        return path

    @property
    def is_tuned(self) -> bool:
        """Tell whether it has maps whose threshold is to be chosen, rather than masks."""
        return self.kind != "masks" and self.threshold is None

    def below(self, folder: Path) -> Self:
        """Return it with a relative path resolved against ``folder``."""
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
    """A comparator in one fold: its maps are those of every fold, its threshold is chosen on the fold's own set."""

    comparator: ComparatorConfig
    fold: int | None = None
    """From 1; None where the study has one split."""
    postprocess: PostprocessConfig = PostprocessConfig()
    """That of the study, so that all maps are treated alike."""

    @property
    def name(self) -> str:
        """Name of its folder."""
        return method_name(self.comparator.name, None, self.fold)

    @property
    def maps_name(self) -> str:
        """Name under which its maps lie."""
        return maps_name(self.comparator.name, None, self.fold)

    @property
    def columns(self) -> dict[str, Any]:
        """What tells its rows from others in tables: it has no seed."""
        return {"loss": self.comparator.name, "seed": None} | ({"fold": self.fold} if self.fold else {})

    @property
    def is_tuned(self) -> bool:
        """Tell whether its threshold is to be chosen."""
        return self.comparator.is_tuned
