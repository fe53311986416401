"""The commands for single scans."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from cordlesion.cli.options import (
    AllowPartial,
    Bundle,
    Code,
    CordSource,
    Flag,
    Force,
    Output,
    Quiet,
    Repeated,
    report_excluded,
    report_partial,
)


def centerline(
    scan: Path,
    *,
    output: Output,
    source: str = "auto",
    overwrite: Flag = False,
    allow_partial: AllowPartial = False,
    quiet: Quiet = False,
) -> int:
    """Find the cord of one scan: a curve, and a picture to check it, so that it can be edited and given back.

    Args:
        scan: A T2w scan of the cord (.nii or .nii.gz).
        output: Path of the curve (.nii.gz), on the scan's own grid, for --centerline of `segment`.
        source: auto (our own detector), sct (the Spinal Cord Toolbox, SCT, where it is installed), or SCT's centerline
            network: its file t2_ctr.h5 (extra `sct`).
        overwrite: Replace the curve and the picture of an earlier run; without it they are kept, as they may be edited.
    """
    from cordlesion.io.progress import show_message, shown
    from cordlesion.scan.centerline import centerline_file

    with shown(quiet):
        located = centerline_file(scan, output, source, overwrite=overwrite)
        show_message(located.summary)
        return report_partial(located.partial, allow_partial)


def predict(
    scan: Path,
    *,
    bundle: Bundle = None,
    output: Output,
    centerline: Path | None = None,
    cord_mask: Path | None = None,
    centerline_source: CordSource = "auto",
    code: Code = None,
    allow_partial: AllowPartial = False,
    force: Force = False,
) -> int:
    """Write the lesion probability map of one scan.

    Args:
        scan: A T2w scan of the cord (.nii or .nii.gz).
        output: Path of the map (.nii.gz), on the scan's own grid.
        centerline: The cord's centre, drawn on a NIfTI grid; without it and without a cord mask the cord is found.
        cord_mask: A cord mask on the scan's grid, in place of a centerline.
    """
    from cordlesion.io.progress import shown
    from cordlesion.scan.segment import predict_file

    with shown():
        remark = predict_file(
            scan,
            bundle,
            output,
            centerline=centerline,
            cord_mask=cord_mask,
            centerline_source=centerline_source,
            code=code,
            force=force,
        )
        return report_partial([remark] if remark else [], allow_partial)


def segment(
    scans: Annotated[list[Path], Parameter(negative="")],
    *,
    bundle: Bundle = None,
    output: Output,
    centerline: Repeated = (),
    cord_mask: Repeated = (),
    centerline_source: CordSource = "auto",
    threshold: float | None = None,
    threshold_rule: str | None = None,
    qc: Path | None = None,
    pictures: bool = True,
    instances: Flag = False,
    overwrite: Flag = False,
    allow_partial: AllowPartial = False,
    code: Code = None,
    force: Force = False,
    quiet: Quiet = False,
) -> int:
    """Segment lesions: mask, probability map, list of lesions, picture and one-page report for every scan.

    Args:
        scans: T2w scans of the cord (.nii or .nii.gz).
        centerline: The cord's centre, drawn on a NIfTI grid; with several scans, once for each, in their order. Without
            it and without a cord mask the cord is found; `cordlesion centerline` shows where.
        cord_mask: A cord mask on the scan's grid, in place of a centerline, or in addition to one if the model
            restricts lesions to the cord; once for each scan.
        threshold: A voxel is lesion when p >= threshold; the model's tuned threshold by default.
        threshold_rule: Another rule that the model's study tuned, by its name, such as peak; `model info` lists them as
            further_rules. balanced is the model's own.
        qc: A quality-control report of the Spinal Cord Toolbox to add an entry for each scan to.
        pictures: --no-pictures saves a second or two for each scan: no picture, no report.
        instances: Write an image with the number of each lesion, too (*_dseg.nii.gz), and its table with the
            probability that each is real.
        overwrite: Replace masks that were corrected by hand, or that are of another scan of the same name; without it
            they are kept, and such scans are listed.
    """
    from cordlesion.io.progress import shown
    from cordlesion.scan.segment import segment_files

    with shown(quiet):
        done = segment_files(
            scans,
            bundle,
            output,
            centerlines=centerline,
            cord_masks=cord_mask,
            centerline_source=centerline_source,
            threshold=threshold,
            threshold_rule=threshold_rule,
            qc=qc,
            pictures=pictures,
            overwrite=overwrite,
            code=code,
            force=force,
            instances=instances,
        )
        return max(report_excluded(done), report_partial(done.partial.values(), allow_partial))
