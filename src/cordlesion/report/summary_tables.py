"""The unrounded numbers of the report, ``tables/summary*.tsv``: what a row is, and what each column holds.

A section that is not listed here writes its numbers with the columns that it computes.
"""

from dataclasses import replace

from cordlesion.dataset.columns import SET
from cordlesion.io.columns import Column, TableSpec, count
from cordlesion.report.summary_analyses import FURTHER_RULES as FURTHER_RULES
from cordlesion.report.summary_analyses import OWN_METRICS as OWN_METRICS
from cordlesion.report.summary_analyses import STATEMENT_ROWS as STATEMENT_ROWS
from cordlesion.report.summary_analyses import UNCERTAINTIES as UNCERTAINTIES
from cordlesion.report.summary_columns import (
    AT,
    HIGH,
    HOLM,
    LOSS,
    LOW,
    MEAN,
    MEDIAN,
    METRIC,
    N_SCANS,
    N_SUBJECTS,
    N_UNDEFINED,
    SEED,
    STD,
    STRATUM,
    THRESHOLD,
    TUNED,
    WILCOXON,
    N,
    P,
    optional_count,
    optional_number,
)

RUNS = TableSpec(
    "summary.tsv",
    "A row per run, set, threshold and metric: the numbers of Tables 1 and 2.",
    (
        *(LOSS, SEED, TUNED, THRESHOLD, SET, METRIC),
        optional_number("value", "Median over the scans with lesions; for subject metrics the share `count / n`"),
        *(MEAN, STD, N, N_UNDEFINED, LOW, HIGH),
        optional_count("count", "Scans that count, of subject metrics"),
        replace(WILCOXON, meaning="p-value of Wilcoxon's signed-rank test of the tuned threshold against t = 0.5"),
        *(HOLM, N_SUBJECTS),
    ),
)
TUNING = TableSpec(
    "summary_tuning.tsv",
    "A row per loss and metric: the tuned threshold compared with t = 0.5 on the test set, scan by scan.",
    (
        *(LOSS, METRIC, N, *AT),
        optional_number("difference", "Median of the differences, tuned - default"),
        *(LOW, HIGH),
        optional_number("effect", "Rank-biserial correlation"),
        *(WILCOXON, HOLM, N_SUBJECTS),
    ),
)
STABILITY = TableSpec(
    "summary_stability.tsv",
    "A row per loss, the most stable first: the change of F1 on the test set at thresholds 0.05 below and above the "
    "tuned one.",
    (
        *(LOSS, N),
        optional_number("change", "Median over the scans of the mean absolute change"),
        *(LOW, HIGH),
        optional_number("excess", "Median of the change minus that of the most stable loss"),
        optional_number("excess_low", "95 % interval of the excess"),
        optional_number("excess_high", "Its upper end"),
        replace(WILCOXON, meaning="p-value of Wilcoxon's signed-rank test of the excess"),
        optional_number("p_all_pairs", "The p-value after Holm's correction over all pairs of losses", "share"),
        N_SUBJECTS,
    ),
)
CALIBRATED = TableSpec(
    "summary_calibration.tsv",
    "A row per run: its calibration on the test set. `share`, `half_f1` and `temperature` are those of the threshold "
    "set.",
    (
        *(LOSS, SEED, THRESHOLD),
        optional_number("share", "Share of lesion among voxels with p = t, from the reliability diagram", "share"),
        optional_number("half_f1", "Half of the F1 of all voxels together, at t", "share"),
        optional_number("temperature", "Temperature"),
        optional_number("ece", "Expected calibration error", "share"),
        optional_number("ece_scaled", "The same after temperature scaling", "share"),
        optional_number("brier", "Brier score", "share"),
        optional_number("brier_scaled", "The same after temperature scaling", "share"),
        optional_number("volume_ratio", "Sum of all probabilities divided by the lesion volume of the reference"),
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
        *(N_SCANS, N_SUBJECTS, N_UNDEFINED),
        count("n_seeds_first", "Seeds of the first method; of an ensemble those of its members; 0 of a comparator"),
        count("n_seeds_second", "Seeds of the second method"),
        optional_number("difference", "Mean over subjects of the difference, second - first"),
        optional_number("subjects_low", "95 % interval of the difference for these trainings, over subjects only"),
        optional_number("subjects_high", "Its upper end"),
        *(optional_number("low", "95 % interval of the difference, over subjects and seeds"), HIGH),
        optional_number("median_difference", "Median of the differences"),
        optional_number("rank_biserial", "Rank-biserial correlation"),
        *(replace(P, meaning="p-value of the test over subjects and seeds"), HOLM),
        optional_number("p_subjects", "p-value of the test over subjects only, after Holm's correction", "share"),
        optional_number("margin", "Margin within which two methods are as good; `n/a` for lesion F1"),
        optional_number("p_equivalent", "p-value of a difference within the margin, after Holm's correction", "share"),
        optional_number("detectable", "True difference that 80 % of such studies would find"),
        optional_count(
            "needed_subjects",
            "Subjects with which 80 % would find the difference seen here; `n/a`: found, exploratory, or too small",
        ),
        Column("verdict", "Verdict about the second method against the first", "text"),
        Column("sentence", "The verdict as a sentence", "text"),
        METRIC,
        Column("recommended", "Method that was chosen on the threshold set; empty if none was", "text"),
        Column("ensembles", "Those of the two methods that are ensembles; empty if none is", "text"),
    ),
)
CHOICE = TableSpec(
    "summary_choice.tsv",
    "A row per run that competes on the threshold set, the best first.",
    (
        *(LOSS, SEED),
        optional_number("score", "Value of the objective on the threshold set, at the tuned threshold"),
        optional_number("compared", "The middle between it and the mean over the loss's seeds, by which runs compete"),
        Column("recommended", "Whether the run is the recommended one", "boolean"),
        optional_number("chosen", "Share of the bootstrap samples of subjects in which the run is chosen", "share"),
        optional_number("corrected", "Of the recommended run: the score corrected for the choice"),
        *(replace(LOW, meaning="95 % interval of the corrected score"), HIGH),
        optional_number("tested", "Of the recommended run: the objective on the test set"),
        optional_number("tested_low", "95 % interval of this score"),
        optional_number("tested_high", "Its upper end"),
    ),
)
BUDGET = TableSpec(
    "summary_budget.tsv",
    "A row per loss, over its seeds together: its best point with at most one false positive per test scan.",
    (
        *(LOSS, THRESHOLD, optional_number("found", "Share of the lesions that are found there", "share"), LOW, HIGH),
        optional_number("false", "False positives per scan there"),
        optional_number("lead", "How much more is found than by the recommended loss"),
        *(replace(LOW, name="lead_low"), replace(HIGH, name="lead_high")),
    ),
)
RANKS = TableSpec(
    "summary_ranks.tsv",
    "A row per loss (or method without seeds) and per run: its rank by voxel F1 on the test set, at tuned thresholds. "
    "Without two methods, no row.",
    (
        Column("of", "`loss` or `run`", "text"),
        *(LOSS, SEED, count("n_seeds", "Seeds; 0 for a method without seeds")),
        optional_number("mean", "Mean over the subjects, and over the seeds"),
        count("rank", "Rank; 1 is the best"),
        count("rank_low", "95 % interval of the rank, over subjects and seeds"),
        count("rank_high", "Its upper end"),
        optional_number("p_best", "Probability that the true mean is the highest", "share"),
        replace(N_SUBJECTS, meaning="Subjects"),
    ),
)
SEEDS = TableSpec(
    "summary_seeds.tsv",
    "A row per metric and loss: how medians vary between the runs, on the test set at tuned thresholds.",
    (
        LOSS,
        count("n_seeds", "Seeds"),
        optional_number("mean", "Mean of the medians"),
        optional_number("std", "Their standard deviation"),
        optional_number("lowest", "Lowest median"),
        optional_number("highest", "Highest median"),
        METRIC,
        optional_number("between_losses", "Variance between losses, the same in all rows of a metric"),
        optional_number("between_seeds", "Variance between seeds, the same in all rows of a metric"),
    ),
)
STRATA_FOUND = TableSpec(
    "summary_strata.tsv",
    "A row per loss, lesion size and part, over the test scans and the seeds together.",
    (
        LOSS,
        *STRATUM,
        Column("part", "`sensitivity` (of the reference's lesions) or `precision` (of the predicted lesions)", "text"),
        count("count", "Detected lesions, or true ones"),
        count("n", "Lesions"),
        optional_number("value", "Their share", "share"),
        *(LOW, HIGH),
    ),
)
FROC_SCORES = TableSpec(
    "summary_froc.tsv",
    "A row per loss, on the test set, over its seeds together.",
    (
        LOSS,
        optional_number("score", "Mean sensitivity at 1/8, 1/4 .. 8 false positives per scan", "share"),
        replace(LOW, meaning="95 % bootstrap interval over subjects"),
        *(HIGH, N_SCANS),
    ),
)
BY_RULE = TableSpec(
    "summary_rules.tsv",
    "A row per lesion rule and loss: the lesion F1 on the test set at tuned thresholds.",
    (Column("rule", "Lesion rule", "text"), LOSS, MEDIAN, MEAN, STD, N, N_UNDEFINED, LOW, HIGH),
)
OPERATING_POINTS = TableSpec(
    "summary_operation.tsv",
    "A row per run and threshold (of masks, one row): lesions in the test scans.",
    (
        *(LOSS, SEED, TUNED, THRESHOLD, N_SCANS),
        count("n_lesions", "Lesions of all references"),
        count("n_found", "Detected lesions among them"),
        optional_number("found", "Share of detected lesions", "share"),
        optional_number("found_low", "95 % interval of this share"),
        optional_number("found_high", "Its upper end"),
        optional_number("false", "False positives per scan, scans without lesions included"),
        optional_number("false_low", "Approximate 95 % interval"),
        optional_number("false_high", "Its upper end"),
        count("n_free", "Scans without lesions"),
        count("n_clean", "Scans among them without a predicted lesion"),
        optional_number("false_free", "False positives per scan without lesions"),
    ),
)
CHANGES = TableSpec(
    "summary_changes.tsv",
    "A row per run with another threshold than 0.5, and measure: the tuned threshold compared with t = 0.5 in the same "
    "scans.",
    (
        *(LOSS, SEED),
        Column("measure", "Measure", "text"),
        *AT,
        optional_number("difference", "Difference, tuned - default"),
        replace(LOW, meaning="Approximate 95 % interval, with subjects as units"),
        HIGH,
        replace(P, meaning="p-value of the exact sign-flip test of the subjects"),
        *(replace(HOLM, meaning="The p-value after Holm's correction over the runs"), N_SCANS, N_SUBJECTS),
    ),
)
SUBGROUPS = TableSpec(
    "summary_subgroups.tsv",
    "A row per subgroup of the test set, metric and loss, at tuned thresholds.",
    (
        Column("by", "Column of `splits.tsv` by which scans are grouped", "text"),
        Column("value", "The subgroup", "text"),
        *(METRIC, LOSS, count("n_seeds", "Seeds; the value of a scan is their mean")),
        *(MEDIAN, MEAN, STD, N, N_UNDEFINED, replace(N_SUBJECTS, meaning="Subjects"), LOW, HIGH),
    ),
)

SUMMARIES = (
    *(RUNS, TUNING, STABILITY, CALIBRATED, PAIRS, CHOICE, BUDGET, RANKS, SEEDS, STRATA_FOUND, FROC_SCORES, BY_RULE),
    *(OPERATING_POINTS, CHANGES, SUBGROUPS, STATEMENT_ROWS, UNCERTAINTIES, OWN_METRICS, FURTHER_RULES),
)
