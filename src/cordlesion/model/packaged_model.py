"""The model in the package, which is used where no other is given; ``make model`` makes it."""

from pathlib import Path

from cordlesion.config import PACKAGED_BUNDLE
from cordlesion.io.progress import show_message
from cordlesion.model.bundle import read_card
from cordlesion.model.experience import describe_training

REMARK = (
    "No --model was given, so the model of the package is used. It was trained on {trained}; it is no clinical tool."
)


def bundle_or_packaged(bundle: Path | str | None) -> Path:
    """Return the folder of a bundle; without one, that of the package, with a message that it is no clinical tool."""
    if bundle is not None:
        return Path(bundle)
    show_message(REMARK.format(trained=describe_training((read_card(PACKAGED_BUNDLE).experience or (None,))[0])))
    return PACKAGED_BUNDLE
