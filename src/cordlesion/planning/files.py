"""Writes the files of a plan."""

from pathlib import Path
from typing import Literal

from cordlesion.io.outputs import check_output_file, check_output_folder
from cordlesion.io.tables import write_table
from cordlesion.pictures.style import save_figure
from cordlesion.planning.figure import plot_plan
from cordlesion.planning.pilot import read_pilot, save_pilot
from cordlesion.planning.plan import Plan, Sizes, make_plan
from cordlesion.planning.tables import PLAN


def plan_study(
    pilot: Path | None = None,
    output: Path | None = None,
    *,
    metric: str = "voxel_f1",
    sizes: Sizes | None = None,
    n_losses: int | None = None,
    figure_format: Literal["png", "svg"] = "png",
    save_components: Path | None = None,
) -> Plan:
    """Plan a study from a pilot; write the table and the figure.

    Args:
        pilot: Folder of a finished study, or a file of its numbers; None for the pilot in the package.
        output: Folder for ``plan.tsv`` and the figure; None writes nothing.
        metric: Score that is planned for: ``voxel_f1`` or ``lesion_f1``.
        sizes: The studies that are planned; by default those of :class:`Sizes`.
        n_losses: Losses of the planned study; by default those of the pilot.
        figure_format: Format of the figure.
        save_components: File for what is used of the pilot, which can be given as a pilot.

    Raises:
        CordlesionError: The pilot cannot be read or is too small, a size is impossible, or the folder cannot be
            written.
    """
    if output is not None:
        check_output_folder(output)
    if save_components is not None:
        check_output_file(save_components, pilot)
    plan = make_plan(read_pilot(pilot, metric), read_pilot(), sizes or Sizes(), n_losses)
    if output is not None:
        write_table(output / PLAN.file, plan.table, PLAN)
        save_figure(plot_plan(plan), output / f"plan.{figure_format}")
    if save_components is not None:
        save_pilot(plan.pilot, save_components)
    return plan
