"""What was given to `evaluate`: which files are compared, and which options fit them (no torch)."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from cordlesion.errors import CordlesionError
from cordlesion.io.mask_values import MaskReader, MaskValues
from cordlesion.io.outputs import check_output_file, check_output_folder
from cordlesion.lesions.columns import CHANCE
from cordlesion.maps.files import CutMaps
from cordlesion.maps.sides import InstanceMaps, Instances
from cordlesion.threshold.mask_rule import MaskRule


@dataclass(frozen=True)
class Given:
    """What the files are, with the options that say so."""

    files: Path
    """The predictions."""
    are_maps: bool
    instances: Instances | None
    lesion_value: float | None
    predicted_value: float | None
    lesion_class: int | None
    ranked_by: str | None

    def __post_init__(self) -> None:
        """Refuse options that mean nothing for these files.

        Raises:
            CordlesionError: One of them is given.
        """
        self._check_instances()
        if self.are_maps and self.predicted_value is not None:
            raise CordlesionError(
                "A value of predicted lesions is given, but maps have none; masks are needed for one. Leave out "
                "--predicted-value, or give masks with --prediction."
            )
        if not self.are_maps and self.lesion_class is not None:
            raise CordlesionError(
                "The number of a class is given, but masks have none; maps are needed for one. Leave out "
                "--lesion-class, or give maps with --probability."
            )

    def _check_instances(self) -> None:
        if self.instances is not None and self.instances not in get_args(Instances):
            raise CordlesionError(
                f"{self.instances!r} does not say which files are instance maps; one of "
                f"{', '.join(get_args(Instances))} is needed."
            )
        if self.are_maps and self.numbered_predictions:
            raise CordlesionError(
                f"{self.files}: probability maps are given, and --instances {self.instances} says that predictions are "
                "instance maps; one of the two is needed. Give instance maps with --prediction, or --instances "
                "reference where only the references are."
            )
        if self.numbered_references and self.lesion_value is not None:
            raise CordlesionError(
                "A value of lesions is given, but references are instance maps, in which each lesion has its own; "
                "masks are needed for one. Leave out --lesion-value; --predicted-value is that of predicted masks."
            )
        if self.numbered_predictions and self.predicted_value is not None:
            raise CordlesionError(
                "A value of predicted lesions is given, but predictions are instance maps, in which each lesion has "
                "its own; masks are needed for one. Leave out --predicted-value."
            )
        if self.ranked_by is not None and not self.numbered_predictions:
            raise CordlesionError(
                "A column that ranks lesions is given, but predictions have no tables of lesions; instance maps are "
                "needed for one. Leave out --ranked-by, or add --instances."
            )

    @property
    def numbered_predictions(self) -> bool:
        """Whether predictions are instance maps."""
        return self.instances in ("prediction", "both")

    @property
    def numbered_references(self) -> bool:
        """Whether references are instance maps."""
        return self.instances in ("reference", "both")

    @property
    def ranking(self) -> str | None:
        """The column that ranks predicted lesions, where they come as instance maps."""
        return (self.ranked_by or CHANCE.name) if self.numbered_predictions else None

    @property
    def value_of_predictions(self) -> float | None:
        """The value of lesions in predicted masks: by default that in references."""
        return self.lesion_value if self.predicted_value is None else self.predicted_value

    def readers(self, cut: MaskRule | None) -> tuple[MaskReader, MaskReader]:
        """Return what reads references and predictions.

        Args:
            cut: How maps become masks.
        """
        references = (
            InstanceMaps("references") if self.numbered_references else MaskValues("references", self.lesion_value)
        )
        if cut is not None:
            return references, CutMaps(cut, self.files, self.lesion_class)
        if self.numbered_predictions:
            return references, InstanceMaps("predictions", self.ranking)
        return references, MaskValues("predictions", self.value_of_predictions)


def one_of(masks: Path | None, maps: Path | None, threshold: Path | str | float | None) -> Path:
    """Return the predictions, which are masks or instance maps, or maps with a threshold.

    Raises:
        CordlesionError: Both or none are given, or a threshold that does not fit.
    """
    given = maps if masks is None else masks
    if given is None or (masks is not None and maps is not None):
        found = "neither masks nor probability maps are given" if given is None else "masks and maps are given"
        raise CordlesionError(f"{found}; one of them is needed. Give --prediction, or --probability with --threshold.")
    if maps is not None and threshold is None:
        raise CordlesionError(
            f"{maps}: maps are given without a threshold; one is needed to make masks. Add --threshold, a number or "
            "the file that `tune` wrote."
        )
    if maps is None and threshold is not None:
        raise CordlesionError(
            f"{masks}: a threshold is given, but masks are not cut; probability maps are needed for one. Give them "
            "with --probability in place of --prediction."
        )
    return given


def check_outputs(outputs: Sequence[Path | None], figures: Path | None, images: Path | None, *inputs: Path) -> None:
    """Refuse outputs that would replace an input, and images without a place for pictures.

    Raises:
        CordlesionError: They would.
    """
    for output in outputs:
        if output is not None:
            check_output_file(output, *inputs, images)
    if figures is not None:
        check_output_folder(figures)
    elif images is not None:
        raise CordlesionError(f"{images}: images are given but no folder for the figures; add --figures, too.")
