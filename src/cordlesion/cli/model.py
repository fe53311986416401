"""The commands for trained models, and for files of other programs that become one."""

from pathlib import Path
from typing import Literal

from cordlesion.cli.options import Code, Output
from cordlesion.errors import CordlesionError


def info(bundle: Path | None = None) -> None:
    """Print the card of a trained model; by default, or for `packaged`, of the one in the package."""
    import json

    from cordlesion.model.bundle import read_card
    from cordlesion.model.packaged_model import bundle_folder

    print(json.dumps(read_card(bundle_folder(bundle)).model_dump(mode="json"), indent=2))


def export_model(
    bundle: Path, *, onnx: Path | None = None, monai_bundle: Path | None = None, code: Code = None
) -> None:
    """Write a trained model for other programs: patches in, lesion probabilities out.

    Args:
        bundle: Folder of a trained model; `packaged`: the one in the package.
        onnx: An ONNX file to write (extra `onnx`).
        monai_bundle: A folder to write as a MONAI bundle.
    """
    if onnx is None and monai_bundle is None:
        raise CordlesionError(
            f"{bundle}: nothing to write; at least one form is needed. Give --onnx or --monai-bundle."
        )
    from cordlesion.model.packaged_model import bundle_folder

    bundle = bundle_folder(bundle)
    if onnx is not None:
        from cordlesion.model.onnx_file import export_onnx

        export_onnx(bundle, onnx, code)
        print(f"{onnx}: patches in, lesion probabilities out. Its metadata describes the patches and the threshold.")
    if monai_bundle is not None:
        from cordlesion.model.monai_bundle import export_monai

        export_monai(bundle, monai_bundle, code)
        print(f"{monai_bundle}: a MONAI bundle. Next: read {monai_bundle / 'docs' / 'README.md'}.")


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
