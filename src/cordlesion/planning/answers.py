"""The answers of a plan in sentences."""

from collections.abc import Iterator

from cordlesion.io.formats import format_number, format_percent, plural
from cordlesion.pictures.style import METRIC_NAMES, loss_name
from cordlesion.planning.plan import Needed, Plan
from cordlesion.planning.tuning import median_gain
from cordlesion.statistics import MOST_SUBJECTS

_FEW_SUBJECTS = 10
"""A pilot of fewer determines its variances within a factor of two at best."""


def describe_plan(plan: Plan) -> list[str]:
    """Describe in sentences, each a line, how large a study must be."""
    return [*_basis(plan), "", *_beats(plan), "", *_tuning(plan), *_threshold(plan)]


def _basis(plan: Plan) -> Iterator[str]:
    pilot = plan.pilot
    yield f"Pilot: {pilot.origin}."
    yield f"Score: {METRIC_NAMES[pilot.metric]} at tuned thresholds. Wanted power: {format_percent(plan.sizes.power)}."
    if plan.borrowed:
        yield (
            f"Each loss has one seed here, so noise between seeds is unknown; that of the example is used: "
            f"{plan.borrowed}."
        )
    if (n := pilot.components.n_subjects) < _FEW_SUBJECTS:
        yield f"{n} subjects determine variances roughly; the numbers in brackets show how roughly."
    if pilot.components.n_scans == n:
        yield "One scan per subject: what a second scan of a subject adds is unknown, and counted as nothing."


def _beats(plan: Plan) -> Iterator[str]:
    compared = plan.n_losses - 1
    yield (
        f"Subjects with lesions in the test set, one scan of each, for the verdict that one of {plan.n_losses} losses "
        "beats another (in brackets: with the pilot's variances at the ends of their 80 % intervals):"
    )
    for gap in plan.sizes.gaps:
        for declared in (False, True) if compared > 1 else (False,):
            which = "declared in evaluation.primary" if declared else f"corrected for {plural(compared, 'comparison')}"
            yield f"  gap {format_number(gap)}, {which}: {_enough(plan, gap, declared=declared)}."


def _enough(plan: Plan, gap: float, *, declared: bool) -> str:
    """Name the numbers of subjects for the numbers of seeds with which any number is enough."""
    needed = {n: plan.needed(gap, n, declared=declared) for n in sorted(plan.sizes.seeds)}
    enough = [f"{_subjects(one)} with {n} seeds" for n, one in needed.items() if one.subjects is not None]
    without = [n for n, one in needed.items() if one.subjects is None]
    if not without:
        return "; ".join(enough)
    fewer = "or fewer " if without[1:] else ""
    return "; ".join([*enough, f"more than {MOST_SUBJECTS} with {without[-1]} seeds {fewer}(train more)"])


def _subjects(needed: Needed) -> str:
    """Print a number of subjects with its interval."""
    ends = [f"over {MOST_SUBJECTS}" if end is None else str(end) for end in (needed.fewest, needed.most)]
    between = f" ({ends[0]} to {ends[1]})" if ends[0] != ends[1] else ""
    return f"about {needed.subjects}{between}"


def _tuning(plan: Plan) -> Iterator[str]:
    gains, largest = plan.pilot.gains, max(plan.sizes.subjects)
    if not gains:
        return
    yield (
        f"Subjects to find that tuning helps ({plural(len(gains), 'test')}), if the gains are those of the pilot's "
        f"{plan.components.n_subjects} subjects (few subjects make this rough):"
    )
    for loss, n in plan.needed_for_tuning().items():
        gain = format_number(median_gain(gains[loss]), signed=True)
        yield f"  {loss_name(loss)} (median gain {gain}): {f'over {largest}' if n is None else n}"
    yield ""


def _threshold(plan: Plan) -> Iterator[str]:
    widths = plan.pilot.threshold_widths
    if not widths:
        yield "The pilot's threshold set has too few subjects for the interval of a threshold."
        return
    yield "Mean width of the 95 % interval of a tuned threshold, by subjects of the threshold set:"
    sizes = next(iter(widths.values()))
    means = {n: sum(one[n] for one in widths.values()) / len(widths) for n in sizes}
    yield "  " + "; ".join(f"{n}: {format_number(width)}" for n, width in means.items())
    yield f"  The pilot has {plan.pilot.n_threshold_subjects}; from so few, widths for many more are rough."
