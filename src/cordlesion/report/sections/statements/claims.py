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
    """What is measured, in the mean over subjects."""
    claim: Claim
    """Where the statement puts it; ``within``: between plus and minus :data:`WITHIN`."""
    printed: str
    """The same from the medians that the paper prints for its unseen set."""
    estimate: Callable[[StudyResults], Estimate | None]
    """Estimates it from a study; None where the study lacks the losses or scans."""


@dataclass(frozen=True)
class Statement:
    """A finding of the paper."""

    number: int
    text: str
    """As a sentence, in our words."""
    place: str
    """Where the paper has it."""
    quotation: str
    needs: str
    """What a study must have."""
    parts: tuple[Part, ...]


STATEMENTS = (
    Statement(
        1,
        "Losses based on the standard Dice coefficient are precise but not sensitive at t = 0.5.",
        "section 3 and Table 1",
        "lead to high voxel-wise precision and low voxel-wise sensitivity scores",
        "Dice, Combo or Log-Cosh Dice",
        (
            Part(
                "V-precision − V-sensitivity of the Dice-based losses at t = 0.5",
                "above 0",
                "Dice 0.48 − 0.28, Combo 0.61 − 0.12, Log-Cosh Dice 0.45 − 0.24",
                lambda of: estimate(of, precision_less_sensitivity, DICE_BASED),
            ),
        ),
    ),
    Statement(
        2,
        "Losses based on the Tversky index are more sensitive than those based on the Dice coefficient.",
        "section 3 and Table 1",
        "were designed to weight sensitivity higher than precision, which resulted in a consistent improvement",
        "Tversky or Focal Tversky, and Dice, Combo or Log-Cosh Dice",
        (
            Part(
                "V-sensitivity at t = 0.5: Tversky-based − Dice-based losses",
                "above 0",
                "Tversky 0.30, Focal Tversky 0.37; Dice 0.28, Combo 0.12, Log-Cosh Dice 0.24",
                lambda of: estimate(of, sensitivity_at_half, TVERSKY_BASED, less=DICE_BASED),
            ),
        ),
    ),
    Statement(
        3,
        "Tuning the threshold raises the overlap of cross-entropy.",
        "section 3, Tables 1 and 2",
        "Significant improvements were reported for BCE (V-F1 +20% (+32%)",
        "BCE",
        (
            Part(
                "V-F1 of BCE: tuned − t = 0.5",
                "above 0",
                "0.01 to 0.33",
                lambda of: estimate(of, gain_by_tuning, ("bce",)),
            ),
        ),
    ),
    Statement(
        4,
        "Tuned thresholds are below 0.5, except for the Generalized Dice loss.",
        "section 3 and Table 2",
        "the performance metrics improved by lowering the decision threshold to a value lower than 0.5",
        "a loss other than Generalized Dice",
        (
            Part(
                "Tuned t of the other losses − 0.5",
                "below 0",
                "BCE 0.15, Combo 0.05, Dice 0.30, Focal Tversky 0.15, Log-Cosh Dice 0.20, Tversky 0.30",
                lambda of: tuned_threshold(of, without=("generalized_dice",)),
            ),
            Part(
                "Tuned t of Generalized Dice − 0.5",
                "above 0",
                "0.75",
                lambda of: tuned_threshold(of, only=("generalized_dice",)),
            ),
        ),
    ),
    Statement(
        5,
        "The Tversky loss gains 2 % at most by tuning, and its overlap depends least on the threshold.",
        "section 3, Figure 2 and Table 2",
        "the stability of its performance scores across the range of decision thresholds",
        "Tversky, and for the second part a loss that is not based on the Tversky index",
        (
            Part(
                "V-F1 of Tversky: tuned − t = 0.5",
                "within",
                "0.40 to 0.41",
                lambda of: estimate(of, gain_by_tuning, ("tversky",)),
            ),
            Part(
                "Change of V-F1 when t moves by 0.05: other losses − Tversky",
                "above 0",
                "others “as little as ±0.05 can induce a median reduction in V-F1 score of 10%”",
                lambda of: estimate(of, unsteadiness, without=TVERSKY_BASED, less=("tversky",)),
            ),
        ),
    ),
    Statement(
        6,
        "A threshold below 0.5 costs specificity.",
        "section 3 and Table 2",
        "it can decrease the performance of a model when presented with non-lesion subjects",
        "test scans without lesions, and a tuned threshold below 0.5",
        (
            Part(
                "P-specificity where the tuned t is below 0.5: tuned − t = 0.5",
                "below 0",
                "0.17 to 0.33 tuned; those at t = 0.5 cannot be assigned to losses",
                lambda of: estimate(of, change_of_specificity),
            ),
        ),
    ),
)
"""In the order of the paper's section 3."""
