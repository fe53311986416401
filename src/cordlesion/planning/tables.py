"""The table of the command ``plan``."""

from cordlesion.io.columns import Column, TableSpec, count

BEATS, DECLARED, TUNING, THRESHOLD = "A beats B", "A beats B, declared", "tuning helps", "width of threshold interval"
"""The questions of a plan."""


def _count(name: str, meaning: str) -> Column:
    return Column(name, meaning, "integer", range=(0, 1e15), may_be_missing=True)


PLAN = TableSpec(
    "plan.tsv",
    "A row per question and size of a study, from `plan`.",
    (
        Column(
            "question",
            f"`{BEATS}`: whether the verdict finds a true gap between the recommended loss and another one; "
            f"`{DECLARED}`: the same for the one comparison that `evaluation.primary` declares; `{TUNING}`; "
            f"`{THRESHOLD}`: of the 95 % interval of t",
            "text",
        ),
        Column("loss", "Loss; `n/a` where the question is about a pair", "text", may_be_missing=True),
        count("n_subjects", "Subjects with lesions in the test set; in the threshold set for the width"),
        _count("scans_per_subject", "Scans of each subject; `n/a`: as in the pilot"),
        _count("n_seeds", "Seeds of each loss; `n/a`: as in the pilot"),
        _count("n_losses", "Losses of the study"),
        Column("gap", "True gap, in the mean over subjects; for tuning the pilot's median gain", may_be_missing=True),
        Column("value", "Power; or the width"),
        Column(
            "low",
            "Power if the variances of the pilot are at the upper ends of their 80 % intervals",
            "share",
            may_be_missing=True,
        ),
        Column("high", "The same at their lower ends", "share", may_be_missing=True),
    ),
    key=("question", "loss", "n_subjects", "scans_per_subject", "n_seeds", "gap"),
)
