"""The command that reads what another program made; the command line imports this file when it is called."""

from pathlib import Path
from typing import Literal

from cordlesion.cli.app import Output


def import_sct(
    file: Path,
    output: Output,
    *,
    variant: Literal["shipped", "soft"] = "shipped",
    contrast: Literal["t2", "t2_ax", "t2s"] | None = None,
) -> None:
    """Make a model of a lesion network that the Spinal Cord Toolbox (SCT) published, with SCT's own preprocessing.

    The weights stay under SCT's own terms; nothing in the file is executed.

    Args:
        file: t2_lesion, t2_ax_lesion or t2s_lesion as SCT published it: .h5 (extra `sct`) or .onnx (extra `onnx`).
        output: Folder of the new model.
        variant: shipped: the mask that SCT writes. soft: overlapping patches, probabilities, a threshold to be tuned.
        contrast: What the network was made for; by default what the file's name says.
    """
    from cordlesion.sct.import_network import import_sct

    print(import_sct(file, output, variant, contrast))
