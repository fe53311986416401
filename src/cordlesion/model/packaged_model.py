"""The model in the package, which is used where no other is given; ``make model`` makes it."""

from collections.abc import Callable
from pathlib import Path

from cordlesion.config import PACKAGED, PACKAGED_BUNDLE
from cordlesion.errors import CordlesionError
from cordlesion.io.progress import show_message
from cordlesion.model.bundle import read_card
from cordlesion.model.experience import describe_training

REMARK = "{start} model of the package is used. It was trained on {trained}; it is no clinical tool."


def bundle_folder(bundle: Path | str | None) -> Path:
    """Return the folder of a bundle; that of the package for the name ``packaged``, and where none is given.

    Raises:
        CordlesionError: A model lies in a folder that is called ``packaged``, so that the name has two meanings.
    """
    if bundle is not None and str(bundle) != PACKAGED:
        return Path(bundle)
    if bundle is not None and Path(PACKAGED, "model.json").is_file():
        raise CordlesionError(
            f"{PACKAGED}: is the name of the model in the package, and here also a folder with a model; one of them is "
            f"needed. Give the whole path of the folder ({Path(PACKAGED).resolve()}), or leave the model out."
        )
    return PACKAGED_BUNDLE


def announcer(bundle: Path | str | None) -> Callable[..., None]:
    """Return a function that says, once, that the model of the package is used and is no clinical tool.

    It is silent for another model, and while one of the files that it is given does not exist: a message about a file
    that cannot be used shall not follow one about the model.
    """
    to_say = bundle is None or str(bundle) == PACKAGED

    def announce(*files: Path) -> None:
        nonlocal to_say
        if to_say and all(file.is_file() for file in files):
            to_say = False
            learned = (read_card(PACKAGED_BUNDLE).experience or (None,))[0]
            start = "No --model was given, so the" if bundle is None else "The"
            show_message(REMARK.format(start=start, trained=describe_training(learned)))

    return announce
