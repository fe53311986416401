"""The six findings of Hussein et al. (2023), each with its place in the paper, the losses it needs, and its effects."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

from cordlesion.report.sections.statements.measures import (
    Estimate,
    change_of_specificity,
    estimate,
    gain_by_tuning,
    precision_less_sensitivity,
    sensitivity_at_half,
    tuned_threshold,
    unsteadiness,
)
from cordlesion.study_folder.results import StudyResults

Claim: TypeAlias = Literal["above 0", "below 0", "within"]

DICE_BASED = ("dice", "combo", "log_cosh_dice")
TVERSKY_BASED = ("tversky", "focal_tversky")
WITHIN = 0.025
"""Changes that are smaller are 2 % or less as printed."""


@dataclass(frozen=True)
class Part:
    """One effect that a statement is about."""

    effect: str
    """What is measured, as a difference in the mean over subjects."""
    claim: Claim
    """Where the statement puts it; ``within``: between plus and minus :data:`WITHIN`."""
    printed: str
    """The same in the paper, from medians of its unseen set; empty where it prints none."""
    estimate: Callable[[StudyResults], Estimate | None]
    """Estimates it from a study; None where the study lacks the losses or scans."""


@dataclass(frozen=True)
class Statement:
    """A finding of the paper."""

    number: int
    name: str
    """In a few words."""
    text: str
    """As a sentence, in our words."""
    place: str
    """Where the paper has it."""
    quotation: str
    printed: str
    """The values that it prints, unseen set."""
    needs: str
    """What a study must have."""
    parts: tuple[Part, ...]
    subjects: str = "test subjects with lesions"
    """Who the units of the tests are."""


STATEMENTS = (
    Statement(
        1,
        "Dice-based: precise",
        "Losses based on the standard Dice coefficient are precise but not sensitive at t = 0.5.",
        "section 3 and Table 1",
        "lead to high voxel-wise precision and low voxel-wise sensitivity scores",
        "V-precision and V-sensitivity: Dice 0.48 and 0.28, Combo 0.61 and 0.12, Log-Cosh Dice 0.45 and 0.24",
        "Dice, Combo or Log-Cosh Dice",
        (
            Part(
                "V-precision − V-sensitivity at 0.5, Dice-based",
                "above 0",
                "+0.30",
                lambda of: estimate(of, precision_less_sensitivity, DICE_BASED),
            ),
        ),
    ),
    Statement(
        2,
        "Tversky-based: sensitive",
        "Losses based on the Tversky index are more sensitive than those based on the Dice coefficient.",
        "section 3 and Table 1",
        "were designed to weight sensitivity higher than precision, which resulted in a consistent improvement",
        "V-sensitivity: Tversky 0.30, Focal Tversky 0.37; Dice 0.28, Combo 0.12, Log-Cosh Dice 0.24",
        "Tversky or Focal Tversky, and Dice, Combo or Log-Cosh Dice",
        (
            Part(
                "V-sensitivity at 0.5, Tversky- − Dice-based",
                "above 0",
                "+0.12",
                lambda of: estimate(of, sensitivity_at_half, TVERSKY_BASED, less=DICE_BASED),
            ),
        ),
    ),
    Statement(
        3,
        "Tuning lifts BCE",
        "Tuning the threshold raises the overlap of cross-entropy.",
        "section 3, Tables 1 and 2",
        "Significant improvements were reported for BCE (V-F1 +20% (+32%)",
        "V-F1 0.01 at t = 0.5, 0.33 at the tuned threshold",
        "BCE",
        (
            Part(
                "V-F1 of BCE, tuned − at 0.5",
                "above 0",
                "+0.32",
                lambda of: estimate(of, gain_by_tuning, ("bce",)),
            ),
        ),
    ),
    Statement(
        4,
        "Tuned t below 0.5",
        "Tuned thresholds are below 0.5, except for the Generalized Dice loss.",
        "section 3 and Table 2",
        "the performance metrics improved by lowering the decision threshold to a value lower than 0.5",
        "BCE 0.15, Combo 0.05, Dice 0.30, Focal Tversky 0.15, Log-Cosh Dice 0.20, Tversky 0.30; Generalized Dice 0.75",
        "a loss other than Generalized Dice",
        (
            Part(
                "Tuned t − 0.5, all but Generalized Dice",
                "below 0",
                "−0.31",
                lambda of: tuned_threshold(of, without=("generalized_dice",)),
            ),
            Part(
                "Tuned t − 0.5, Generalized Dice",
                "above 0",
                "+0.25",
                lambda of: tuned_threshold(of, only=("generalized_dice",)),
            ),
        ),
        subjects="subjects in the threshold set",
    ),
    Statement(
        5,
        "Tversky is steady",
        "The Tversky loss gains 2 % at most by tuning, and its overlap depends least on the threshold.",
        "section 3, Figure 2 and Table 2",
        "the stability of its performance scores across the range of decision thresholds",
        "V-F1 of Tversky 0.40 at t = 0.5, 0.41 tuned; of others, “perturbations of as little as ±0.05 can induce a "
        "median reduction in V-F1 score of 10%”",
        "Tversky, and for the second part a loss that is not based on the Tversky index",
        (
            Part(
                "V-F1 of Tversky, tuned − at 0.5",
                "within",
                "+0.01",
                lambda of: estimate(of, gain_by_tuning, ("tversky",)),
            ),
            Part(
                "V-F1 changed by ±0.05 in t, others − Tversky",
                "above 0",
                "",
                lambda of: estimate(of, unsteadiness, without=TVERSKY_BASED, less=("tversky",)),
            ),
        ),
    ),
    Statement(
        6,
        "Low t costs specificity",
        "A threshold below 0.5 costs specificity.",
        "section 3 and Table 2",
        "it can decrease the performance of a model when presented with non-lesion subjects",
        "P-specificity 0.17 to 0.33 tuned; its values at t = 0.5 cannot be assigned to losses",
        "test scans without lesions, and a tuned threshold below 0.5",
        (
            Part(
                "P-specificity, tuned t below 0.5 − at 0.5",
                "below 0",
                "",
                lambda of: estimate(of, change_of_specificity),
            ),
        ),
        subjects="test subjects without lesions",
    ),
)
"""In the order of the paper's section 3."""
