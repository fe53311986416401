"""Names of methods in folders and files; the only place that builds them."""

import re
from typing import Annotated, TypeAlias

from pydantic import AfterValidator


def file_label(name: str) -> str:
    """Return a run's name for file names, where BIDS allows letters and digits only."""
    return "".join(character for character in name if character.isalnum())


def _plain(name: str) -> str:
    if not re.fullmatch("[A-Za-z0-9_]+", name):
        raise ValueError("letters, digits and _ are needed, since folders and files are named by it")
    return name


PlainName: TypeAlias = Annotated[str, AfterValidator(_plain)]
"""A name that may become part of the names of folders and files."""


ENSEMBLE = "_ensemble"
"""End of the name of a loss's ensemble: ``dice_ensemble``."""


def method_name(title: str, seed: int | None, fold: int | None) -> str:
    """Name a method, and with it its folder: ``tversky_seed-0``, ``tversky_ensemble``, ``nnunet_fold-2``.

    Args:
        title: Of the loss, ensemble or comparator.
        seed: None for an ensemble and a comparator.
        fold: None where the study has one split.
    """
    return title + ("" if seed is None else f"_seed-{seed}") + ("" if fold is None else f"_fold-{fold}")


def maps_name(title: str, seed: int | None, fold: int | None) -> str:
    """Name of a method in the file names of its probability maps; those of a comparator are the same in every fold."""
    return method_name(title, seed, None if seed is None else fold)


def names_on_disk(title: str, seeds: tuple[int | None, ...], folds: list[int | None]) -> set[str]:
    """Return all labels in the file names of a method, as file systems that ignore case see them."""
    names = {method_name(title, seed, fold) for seed in seeds for fold in (None, *folds)}
    return {file_label(name).casefold() for name in (title, *names)}
