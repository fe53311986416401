"""The unrounded numbers of the report, ``tables/summary*.tsv``: what a row is, and what each column holds.

A section that is not listed here writes its numbers with the columns that it computes.
"""

from dataclasses import replace

from cordlesion.dataset.columns import SET
from cordlesion.io.columns import Column, Kind, TableSpec, count
from cordlesion.study_folder.tables import RETENTION, RUN_COLUMNS, STRATA


def _number(name: str, meaning: str, kind: Kind = "number") -> Column:
    return Column(name, meaning, kind, may_be_missing=True)


_LOSS, _SEED = RUN_COLUMNS[:2]
_METRIC = Column("metric", "Metric", "text")
_TUNED = Column("tuned", "Whether the row is at the tuned threshold; else at t = 0.5", "boolean")
_THRESHOLD = _number("threshold", "Decision threshold t; `n/a` for masks", "share")
_N = count("n", "Scans with a value")
_N_UNDEFINED = count("n_undefined", "Scans for which the metric is undefined")
_N_SCANS = count("n_scans", "Scans")
_N_SUBJECTS = replace(count("n_subjects", "Subjects, the units of the test"), may_be_missing=True)
_MEDIAN = _number("median", "Median over the scans")
_MEAN = _number("mean", "Mean over the scans")
_STD = _number("std", "Standard deviation over the scans")
_LOW = _number("low", "95 % interval, with subjects as units")
_HIGH = _number("high", "Its upper end")
_P = _number("p_value", "p-value", "share")
_WILCOXON = replace(_P, meaning="p-value of Wilcoxon's signed-rank test")
_HOLM = _number("p_holm", "The p-value after Holm's correction", "share")
_AT = (_number("default", "Value at t = 0.5"), _number("tuned", "Value at the tuned threshold"))
_STRATUM = tuple(column for column in STRATA.columns if column.name in ("stratum", "low_mm3", "high_mm3"))

RUNS = TableSpec(
    "summary.tsv",
    "A row per run, set, threshold and metric: the numbers of Tables 1 and 2.",
    (
        *(_LOSS, _SEED, _TUNED, _THRESHOLD, SET, _METRIC),
        _number("value", "Median over the scans with lesions; for subject metrics the share `count / n`"),
        *(_MEAN, _STD, _N, _N_UNDEFINED, _LOW, _HIGH),
        replace(count("count", "Scans that count, of subject metrics"), may_be_missing=True),
        replace(_WILCOXON, meaning="p-value of Wilcoxon's signed-rank test of the tuned threshold against t = 0.5"),
        *(_HOLM, _N_SUBJECTS),
    ),
)
TUNING = TableSpec(
    "summary_tuning.tsv",
    "A row per loss and metric: the tuned threshold compared with t = 0.5 on the test set, scan by scan.",
    (
        *(_LOSS, _METRIC, _N, *_AT),
        _number("difference", "Median of the differences, tuned - default"),
        *(_LOW, _HIGH),
        _number("effect", "Rank-biserial correlation"),
        *(_WILCOXON, _HOLM, _N_SUBJECTS),
    ),
)
STABILITY = TableSpec(
    "summary_stability.tsv",
    "A row per loss, the most stable first: the change of F1 on the test set at thresholds 0.05 below and above the "
    "tuned one.",
    (
        *(_LOSS, _N),
        _number("change", "Median over the scans of the mean absolute change"),
        *(_LOW, _HIGH),
        _number("excess", "Median of the change minus that of the most stable loss"),
        _number("excess_low", "95 % interval of the excess"),
        _number("excess_high", "Its upper end"),
        replace(_WILCOXON, meaning="p-value of Wilcoxon's signed-rank test of the excess"),
        _number("p_all_pairs", "The p-value after Holm's correction over all pairs of losses", "share"),
        _N_SUBJECTS,
    ),
)
CALIBRATED = TableSpec(
    "summary_calibration.tsv",
    "A row per run: its calibration on the test set. `share`, `half_f1` and `temperature` are those of the threshold "
    "set.",
    (
        *(_LOSS, _SEED, _THRESHOLD),
        _number("share", "Share of lesion among voxels with p = t, from the reliability diagram", "share"),
        _number("half_f1", "Half of the F1 of all voxels together, at t", "share"),
        _number("temperature", "Temperature"),
        _number("ece", "Expected calibration error", "share"),
        _number("ece_scaled", "The same after temperature scaling", "share"),
        _number("brier", "Brier score", "share"),
        _number("brier_scaled", "The same after temperature scaling", "share"),
        _number("volume_ratio", "Sum of all probabilities divided by the lesion volume of the reference"),
    ),
)
PAIRS = TableSpec(
    "summary_pairs.tsv",
    "A row per metric and pair of methods that learned, on the test set at tuned thresholds. Without a pair, the table "
    "has the column `metric` only.",
    (
        Column("first", "First method", "text"),
        Column("second", "Second method", "text"),
        Column("family", "The comparisons that are corrected together: `primary`, `recommended` or `all`", "text"),
        Column("role", "`primary` or `exploratory`", "text"),
        count("n_compared", "Comparisons in the family"),
        *(_N_SCANS, _N_SUBJECTS, _N_UNDEFINED),
        count("n_seeds_first", "Seeds of the first method; of an ensemble those of its members; 0 of a comparator"),
        count("n_seeds_second", "Seeds of the second method"),
        _number("difference", "Mean over subjects of the difference, second - first"),
        _number("subjects_low", "95 % interval of the difference for these trainings, over subjects only"),
        _number("subjects_high", "Its upper end"),
        _number("low", "95 % interval of the difference, over subjects and seeds"),
        _HIGH,
        _number("median_difference", "Median of the differences"),
        _number("rank_biserial", "Rank-biserial correlation"),
        replace(_P, meaning="p-value of the test over subjects and seeds"),
        _HOLM,
        _number("p_subjects", "p-value of the test over subjects only, after Holm's correction", "share"),
        _number("margin", "Margin within which two methods are as good; `n/a` for lesion F1"),
        _number("p_equivalent", "p-value that they differ by less than the margin, after Holm's correction", "share"),
        _number("detectable", "True difference that 80 % of such studies would find"),
        replace(
            count(
                "needed_subjects",
                "Subjects with which 80 % would find the difference seen here; `n/a` where it is "
                "found, exploratory, or too small for any number",
            ),
            may_be_missing=True,
        ),
        Column("verdict", "Verdict about the second method against the first", "text"),
        Column("sentence", "The verdict as a sentence", "text"),
        _METRIC,
        Column("recommended", "Method that was chosen on the threshold set; empty if none was", "text"),
        Column("ensembles", "Those of the two methods that are ensembles; empty if none is", "text"),
    ),
)
CHOICE = TableSpec(
    "summary_choice.tsv",
    "A row per run that competes on the threshold set, the best first.",
    (
        *(_LOSS, _SEED),
        _number("score", "Value of the objective on the threshold set, at the tuned threshold"),
        _number("compared", "The middle between it and the mean over the seeds of the loss, by which runs compete"),
        Column("recommended", "Whether the run is the recommended one", "boolean"),
        _number("chosen", "Share of the bootstrap samples of subjects in which the run is chosen", "share"),
        _number("corrected", "Of the recommended run: the score corrected for the choice"),
        replace(_LOW, meaning="95 % interval of the corrected score"),
        _HIGH,
        _number("tested", "Of the recommended run: the objective on the test set"),
        _number("tested_low", "95 % interval of this score"),
        _number("tested_high", "Its upper end"),
    ),
)
RANKS = TableSpec(
    "summary_ranks.tsv",
    "A row per loss (or method without seeds) and per run: its rank by voxel F1 on the test set, at tuned thresholds. "
    "Without two methods, no row.",
    (
        Column("of", "`loss` or `run`", "text"),
        *(_LOSS, _SEED, count("n_seeds", "Seeds; 0 for a method without seeds")),
        _number("mean", "Mean over the subjects, and over the seeds"),
        count("rank", "Rank; 1 is the best"),
        count("rank_low", "95 % interval of the rank, over subjects and seeds"),
        count("rank_high", "Its upper end"),
        _number("p_best", "Probability that the true mean is the highest", "share"),
        replace(_N_SUBJECTS, meaning="Subjects"),
    ),
)
SEEDS = TableSpec(
    "summary_seeds.tsv",
    "A row per metric and loss: how medians vary between the runs, on the test set at tuned thresholds.",
    (
        _LOSS,
        count("n_seeds", "Seeds"),
        _number("mean", "Mean of the medians"),
        _number("std", "Their standard deviation"),
        _number("lowest", "Lowest median"),
        _number("highest", "Highest median"),
        _METRIC,
        _number("between_losses", "Variance between losses, the same in all rows of a metric"),
        _number("between_seeds", "Variance between seeds, the same in all rows of a metric"),
    ),
)
STRATA_FOUND = TableSpec(
    "summary_strata.tsv",
    "A row per loss, lesion size and part, over the test scans and the seeds together.",
    (
        _LOSS,
        *_STRATUM,
        Column("part", "`sensitivity` (of the reference's lesions) or `precision` (of the predicted lesions)", "text"),
        count("count", "Detected lesions, or true ones"),
        count("n", "Lesions"),
        _number("value", "Their share", "share"),
        *(_LOW, _HIGH),
    ),
)
FROC_SCORES = TableSpec(
    "summary_froc.tsv",
    "A row per loss, on the test set, over its seeds together.",
    (
        _LOSS,
        _number("score", "Mean sensitivity at 1/8, 1/4 .. 8 false lesions per scan", "share"),
        replace(_LOW, meaning="95 % bootstrap interval over subjects"),
        *(_HIGH, _N_SCANS),
    ),
)
BY_RULE = TableSpec(
    "summary_rules.tsv",
    "A row per lesion rule and loss: the lesion F1 on the test set at tuned thresholds.",
    (Column("rule", "Lesion rule", "text"), _LOSS, _MEDIAN, _MEAN, _STD, _N, _N_UNDEFINED, _LOW, _HIGH),
)
OPERATING_POINTS = TableSpec(
    "summary_operation.tsv",
    "A row per run and threshold (of masks, one row): lesions in the test scans.",
    (
        *(_LOSS, _SEED, _TUNED, _THRESHOLD, _N_SCANS),
        count("n_lesions", "Lesions of all references"),
        count("n_found", "Detected lesions among them"),
        _number("found", "Share of detected lesions", "share"),
        _number("found_low", "95 % interval of this share"),
        _number("found_high", "Its upper end"),
        _number("false", "False lesions per scan, scans without lesions included"),
        _number("false_low", "Approximate 95 % interval"),
        _number("false_high", "Its upper end"),
        count("n_free", "Scans without lesions"),
        count("n_clean", "Scans among them without a predicted lesion"),
        _number("false_free", "False lesions per scan without lesions"),
    ),
)
CHANGES = TableSpec(
    "summary_changes.tsv",
    "A row per run with another threshold than 0.5, and measure: the tuned threshold compared with t = 0.5 in the same "
    "scans.",
    (
        *(_LOSS, _SEED),
        Column("measure", "Measure", "text"),
        *_AT,
        _number("difference", "Difference, tuned - default"),
        replace(_LOW, meaning="Approximate 95 % interval, with subjects as units"),
        _HIGH,
        replace(_P, meaning="p-value of the exact sign-flip test of the subjects"),
        *(replace(_HOLM, meaning="The p-value after Holm's correction over the runs"), _N_SCANS, _N_SUBJECTS),
    ),
)
SUBGROUPS = TableSpec(
    "summary_subgroups.tsv",
    "A row per subgroup of the test set, metric and loss, at tuned thresholds.",
    (
        Column("by", "Column of `splits.tsv` by which scans are grouped", "text"),
        Column("value", "The subgroup", "text"),
        *(_METRIC, _LOSS, count("n_seeds", "Seeds; the value of a scan is their mean")),
        *(_MEDIAN, _MEAN, _STD, _N, _N_UNDEFINED, replace(_N_SUBJECTS, meaning="Subjects"), _LOW, _HIGH),
    ),
)

STATEMENT_ROWS = TableSpec(
    "summary_statements.tsv",
    "A row per effect that a statement of Hussein et al. (2023) is about, in the mean over subjects.",
    (
        Column("statement", "Number of the statement", "integer"),
        Column("effect", "What is measured", "text"),
        Column("claim", "Where the statement puts the effect; `within`: between -0.025 and 0.025", "text"),
        Column("printed", "The same in the paper, from medians of its unseen set", "text"),
        _number("value", "The effect; `n/a` where the study lacks losses or scans"),
        replace(_LOW, meaning="95 % interval of the effect"),
        _HIGH,
        Column("over", "What the interval is over: `subjects and seeds`, or `subjects`", "text", may_be_missing=True),
        replace(_P, meaning="p-value of the effect against the limit of the claim"),
        replace(_P, name="p_statement", meaning="p-value of the statement, of all its effects"),
        replace(_HOLM, meaning="The p-value of the statement after Holm's correction over the statements"),
        count("n_tested", "Statements that could be tested"),
        *(replace(one, may_be_missing=True) for one in (_N_SUBJECTS, _N_SCANS)),
        replace(count("n_seeds", "Seeds of each loss"), may_be_missing=True),
        Column("verdict", "`confirmed`, `contradicted`, `undecided` or `not asked`", "text"),
        replace(
            count("needed_subjects", "Subjects with which 80 % of studies would decide; `n/a`: too many, or decided"),
            may_be_missing=True,
        ),
    ),
)
UNCERTAINTIES = TableSpec(
    "summary_uncertainty.tsv",
    "A row per loss or ensemble, level and measure of uncertainty, on the test set at tuned thresholds; only of "
    "studies with ensembles.",
    (
        *(_LOSS, *(column for column in RETENTION.columns if column.name in ("level", "uncertainty"))),
        *(_N_SCANS, replace(_N_SUBJECTS, meaning="Subjects")),
        _number("score", "Mean over scans of F1 (by voxel or lesion) where everything is retained", "share"),
        _number("area", "Mean over scans of the area under the error-retention curve", "share"),
        _number("gain", "Mean over subjects of the area less that of a random order"),
        replace(_LOW, meaning="Student's 95 % interval of the gain, over subjects, for these trainings"),
        _HIGH,
        _number("reached", "Share of what the ideal order gains over the random one (mean areas)"),
    ),
)

OWN_METRICS = TableSpec(
    "summary_own_metrics.tsv",
    "A row per metric of the user and loss: the tuned threshold compared with t = 0.5 on the test set, scan by scan. "
    "Without such metrics, no row.",
    (
        _METRIC,
        Column("higher_is_better", "Whether a higher value is the better one", "boolean"),
        *(_LOSS, _N, replace(_N_UNDEFINED, meaning="Scans for which it is undefined at one of the thresholds"), *_AT),
        _number("difference", "Median of the differences, tuned - default"),
        *(_LOW, _HIGH, _WILCOXON, _HOLM, _N_SUBJECTS),
    ),
)

SUMMARIES = (
    *(RUNS, TUNING, STABILITY, CALIBRATED, PAIRS, CHOICE, RANKS, SEEDS, STRATA_FOUND, FROC_SCORES, BY_RULE),
    *(OPERATING_POINTS, CHANGES, SUBGROUPS, STATEMENT_ROWS, UNCERTAINTIES, OWN_METRICS),
)
