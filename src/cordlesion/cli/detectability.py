"""The commands that answer what a method can detect."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from cordlesion.cli.maps import Grid, Rule
from cordlesion.cli.options import Code, Count, Output, Quiet, Repeated, report_excluded
from cordlesion.detectability.names import CONTRAST, DesignName


def implant(
    scans: Annotated[list[Path], Parameter(negative="")],
    *,
    output: Output,
    cord_mask: Repeated = (),
    centerline: Repeated = (),
    copies: Count = 10,
    lesions: Count | None = None,
    design: DesignName = "even",
    volume: Annotated[tuple[float, ...], Parameter(negative="", consume_multiple=True)] = (5.0, 500.0),
    contrast: Annotated[tuple[float, ...], Parameter(negative="", consume_multiple=True)] = (1.1, 1.9),
    column: Annotated[tuple[str, ...], Parameter(negative="", consume_multiple=True)] = (),
    strength: float = 1.0,
    seed: int = 0,
    edge_mm: float | None = None,
    quiet: Quiet = False,
) -> int:
    """Put known lesions into copies of healthy scans: a BIDS dataset with exact masks, for `detectability`.

    Args:
        scans: T2w scans of healthy cords (.nii or .nii.gz), or BIDS datasets of them.
        cord_mask: A cord mask on the scan's grid; with several scans, once for each, in their order.
        centerline: The cord's centre, where there is no mask: the cord's width is then estimated from its edge to the
            fluid. Without either the cord is found.
        copies: Copies of each scan with lesions; there is one more without.
        lesions: Lesions of each copy; by default one per 40 mm of cord.
        design: even: volumes (on a log scale) and contrasts are spread evenly over their ranges; grid: every volume
            with every contrast; simulator: as the simulator draws them.
        volume: Volumes in mm3: the lowest and the highest (even), or all (grid).
        contrast: Ratios of lesion to cord signal, in the same way.
        column: Where lesions are in the section of the cord: lateral, posterior, anterior, central; all by default, as
            often as the simulator draws them.
        strength: Factor of (contrast - 1); with 0 every copy is the scan's file, byte for byte.
        seed: The same seed gives the same lesions.
        edge_mm: 10-90 % width of sharp edges in the scans, to which lesions are blurred; measured by default.
    """
    from cordlesion.detectability.design import Design
    from cordlesion.detectability.implant import implant_files
    from cordlesion.io.progress import shown
    from cordlesion.simulate.lesions import COLUMNS

    with shown(quiet):
        faults = implant_files(
            scans,
            output,
            cord_masks=cord_mask,
            centerlines=centerline,
            copies=copies,
            lesions=lesions,
            design=Design(design, volume, contrast, column or COLUMNS, strength, seed),
            edge_mm=edge_mm,
        )
        return report_excluded(faults)


def detectability(
    dataset: Path,
    *,
    output: Output,
    bundle: Annotated[Path | None, Parameter(name=["--model", "-m"])] = None,
    probability: Path | None = None,
    prediction: Path | None = None,
    rule: Rule = "study",
    grid: Grid = "paper",
    threshold: float | None = None,
    contrast_bands: Annotated[tuple[float, ...], Parameter(negative="", consume_multiple=True)] = CONTRAST[1:-1],
    code: Code = None,
    quiet: Quiet = False,
) -> int:
    """Measure how small and how faint a lesion a method can find: tables with intervals, and a figure.

    Give a model, or the maps or masks of any tool for the scans of the dataset.

    Args:
        dataset: Folder that `implant` or `simulate` wrote.
        output: Folder of the tables and the figure, and of the maps of a model.
        bundle: Folder of a trained model; `packaged`: the one in the package.
        probability: Folder of probability maps with the BIDS entities of the scans.
        prediction: Folder of masks with the BIDS entities of the scans.
        threshold: The method's own threshold; that of the model by default.
        contrast_bands: Lesions are counted together between these ratios of lesion to cord signal.
    """
    from cordlesion.detectability.measure import measure_detectability
    from cordlesion.io.progress import shown

    with shown(quiet):
        result = measure_detectability(
            dataset,
            output,
            bundle=bundle,
            probability=probability,
            prediction=prediction,
            rule=rule,
            grid=grid,
            threshold=threshold,
            contrast=(CONTRAST[0], *contrast_bands, CONTRAST[-1]),
            code=code,
        )
        return report_excluded(result.excluded)
