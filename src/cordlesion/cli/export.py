"""The commands that write for other programs; the command line imports this file when one of them is called."""

from pathlib import Path

from cyclopts import App

from cordlesion.cli.app import Output, Quiet, report_excluded

export = App(name="export", help="For other programs.")


def export_model(bundle: Path, *, onnx: Path | None = None, monai_bundle: Path | None = None) -> None:
    """Write a trained model for other programs: patches in, lesion probabilities out.

    Args:
        bundle: Folder of a trained model.
        onnx: An ONNX file to write (extra `onnx`).
        monai_bundle: A folder to write as a MONAI bundle.
    """
    from cordlesion.errors import CordlesionError

    if onnx is None and monai_bundle is None:
        raise CordlesionError(
            f"{bundle}: nothing to write; at least one form is needed. Give --onnx or --monai-bundle."
        )
    if onnx is not None:
        from cordlesion.model.onnx_file import export_onnx

        export_onnx(bundle, onnx)
        print(f"{onnx}: patches in, lesion probabilities out. Its metadata says how to make patches and where to cut.")
    if monai_bundle is not None:
        from cordlesion.model.monai_bundle import export_monai

        export_monai(bundle, monai_bundle)
        print(f"{monai_bundle}: a MONAI bundle. Next: {monai_bundle / 'docs' / 'README.md'} says how.")


@export.command(name="split")
def export_split(splits: Path, output: Output = Path("splits_final.json")) -> None:
    """Write a splits.tsv, e.g. of a study, as splits_final.json of nnU-Net: train and validation of each fold.

    Scans of the sets threshold and test stay out, so that they can be used to judge nnU-Net too.
    """
    from cordlesion.study.export import export_split

    n_folds = export_split(splits, output)
    print(
        f"{output}: train and val of {n_folds} fold{'s' if n_folds > 1 else ''}. Next: copy it into nnU-Net's "
        "preprocessed dataset before training."
    )


@export.command(name="nnunet")
def export_nnunet(study_dir: Path, *, output: Output, quiet: Quiet = False) -> int:
    """Write the scans of a study as a raw dataset of nnU-Net v2, with the study's own split.

    imagesTr and labelsTr hold train and validation; imagesTs holds threshold and test, without their references.

    Args:
        study_dir: Folder of the study; its split is needed, no more.
        output: A new folder named as nnU-Net names datasets, e.g. Dataset501_Cord.
    """
    from cordlesion.io.progress import say, shown
    from cordlesion.study.export import export_nnunet

    with shown(quiet):
        faults = export_nnunet(study_dir, output)
        number = output.resolve().name.removeprefix("Dataset").partition("_")[0]
        say(
            f"{output}: a raw dataset of nnU-Net. Next: `nnUNetv2_plan_and_preprocess -d {number}`, then copy its "
            "splits_final.json into the preprocessed dataset before training."
        )
        return report_excluded(faults)
