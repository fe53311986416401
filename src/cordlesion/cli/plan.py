"""The command that plans the size of a study."""

from pathlib import Path
from typing import Annotated, Literal, TypeAlias

from cyclopts import Parameter
from cyclopts.validators import Number

from cordlesion.cli.options import Output

Numbers: TypeAlias = Annotated[tuple[int, ...], Parameter(negative="", consume_multiple=True, validator=Number(gte=1))]


def plan(
    pilot: Path | None = None,
    *,
    output: Output = Path("plan"),
    gap: Annotated[tuple[float, ...], Parameter(negative="", consume_multiple=True)] = (0.05, 0.1, 0.2),
    subjects: Numbers = (10, 15, 20, 30, 40, 60, 80, 120, 200),
    seeds: Numbers = (3, 5, 10, 20),
    scans_per_subject: Numbers = (1, 2),
    losses: int | None = None,
    power: float = 0.8,
    metric: Literal["voxel_f1", "lesion_f1"] = "voxel_f1",
    figure_format: Literal["png", "svg"] = "png",
    save_components: Path | None = None,
) -> None:
    """Plan a study: how many subjects, scans and seeds show that one loss beats another, or that tuning helps.

    Writes a table and a figure, and prints how many are enough. The numbers come from a finished study, or from the
    example in the package.

    Args:
        pilot: Folder of a finished study with several losses, or a file that --save-components wrote.
        gap: True differences between two losses, in the mean score over subjects.
        subjects: Subjects with lesions in the test set. Widths of threshold intervals have sizes of their own.
        seeds: Seeds of each loss.
        scans_per_subject: Scans of each subject.
        losses: Losses of the planned study; by default as many as in the pilot.
        power: Wanted share of studies in which a true gap is found.
        metric: Score that is compared.
        save_components: Also write what is used of the pilot to this file (.json), for plans without the study.
    """
    from cordlesion.planning.answers import describe_plan
    from cordlesion.planning.files import plan_study
    from cordlesion.planning.plan import Sizes

    sizes = Sizes(gap, subjects, seeds, scans_per_subject, power)
    made = plan_study(
        pilot,
        output,
        metric=metric,
        sizes=sizes,
        n_losses=losses,
        figure_format=figure_format,
        save_components=save_components,
    )
    print("\n".join(describe_plan(made)))
