"""The commands that write splits and scans for nnU-Net."""

from pathlib import Path

from cordlesion.cli.options import Output, Quiet, report_excluded


def export_split(splits: Path, output: Output = Path("splits_final.json")) -> None:
    """Write a splits.tsv, e.g. of a study, as splits_final.json of nnU-Net: train and validation of each fold.

    Scans of the sets threshold and test are left out, so that nnU-Net can be measured on them too.
    """
    from cordlesion.study.export import export_split

    n_folds = export_split(splits, output)
    print(
        f"{output}: train and val of {n_folds} fold{'s' if n_folds > 1 else ''}. Next: copy it into nnU-Net's "
        "preprocessed dataset before training."
    )


def export_nnunet(study_dir: Path, *, output: Output, quiet: Quiet = False) -> int:
    """Write the scans of a study as a raw dataset of nnU-Net v2, with the study's own split.

    imagesTr and labelsTr hold train and validation; imagesTs holds threshold and test, without their references.

    Args:
        study_dir: Folder of the study; its split is needed, no more.
        output: A new folder named as nnU-Net names datasets, e.g. Dataset501_Cord.
    """
    from cordlesion.io.progress import show_message, shown
    from cordlesion.study.export import export_nnunet

    with shown(quiet):
        faults = export_nnunet(study_dir, output)
        number = output.resolve().name.removeprefix("Dataset").partition("_")[0]
        show_message(
            f"{output}: a raw dataset of nnU-Net. Next: `nnUNetv2_plan_and_preprocess -d {number}`, then copy its "
            "splits_final.json into the preprocessed dataset before training."
        )
        return report_excluded(faults)
