"""The report's tables of numbers on statements, uncertainty and metrics of the user."""

from dataclasses import replace

from cordlesion.io.columns import Column, TableSpec, count
from cordlesion.report.summary_columns import (
    AT,
    HIGH,
    HOLM,
    LOSS,
    LOW,
    METRIC,
    N_SCANS,
    N_SUBJECTS,
    N_UNDEFINED,
    SEED,
    WILCOXON,
    N,
    P,
    optional_count,
    optional_number,
)
from cordlesion.study_folder.tables import RETENTION, RULE_EVALUATION

STATEMENT_ROWS = TableSpec(
    "summary_statements.tsv",
    "A row per effect that a statement of Hussein et al. (2023) is about, in the mean over subjects.",
    (
        Column("statement", "Number of the statement", "integer"),
        Column("effect", "What is measured", "text"),
        Column("claim", "Where the statement puts the effect; `within`: between -0.025 and 0.025", "text"),
        Column("printed", "The same in the paper, from medians of its unseen set", "text"),
        optional_number("value", "The effect; `n/a` where the study lacks losses or scans"),
        replace(LOW, meaning="95 % interval of the effect"),
        HIGH,
        Column("over", "What the interval is over: `subjects and seeds`, or `subjects`", "text", may_be_missing=True),
        replace(P, meaning="p-value of the effect against the limit of the claim"),
        replace(P, name="p_statement", meaning="p-value of the statement, of all its effects"),
        replace(HOLM, meaning="The p-value of the statement after Holm's correction over the statements"),
        count("n_tested", "Statements that could be tested"),
        *(replace(one, may_be_missing=True) for one in (N_SUBJECTS, N_SCANS)),
        optional_count("n_seeds", "Seeds of each loss"),
        Column("verdict", "`confirmed`, `contradicted`, `undecided` or `not asked`", "text"),
        replace(
            count("needed_subjects", "Subjects with which 80 % of studies would decide; `n/a`: too many, or decided"),
            may_be_missing=True,
        ),
    ),
)
UNCERTAINTIES = TableSpec(
    "summary_uncertainty.tsv",
    "A row per loss or ensemble, level and measure of uncertainty: test set, tuned thresholds, studies with ensembles.",
    (
        *(LOSS, *(column for column in RETENTION.columns if column.name in ("level", "uncertainty"))),
        *(N_SCANS, replace(N_SUBJECTS, meaning="Subjects")),
        optional_number("score", "Mean over scans of F1 (by voxel or lesion) where everything is retained", "share"),
        optional_number("area", "Mean over scans of the area under the error-retention curve", "share"),
        optional_number("gain", "Mean over subjects of the area less that of a random order"),
        *(replace(LOW, meaning="Student's 95 % interval of the gain, over subjects, for these trainings"), HIGH),
        optional_number("reached", "Share of what the ideal order gains over the random one (mean areas)"),
    ),
)
LESION_CHANCES = TableSpec(
    "summary_lesion_probabilities.tsv",
    "A row per run: how well the chances of its predicted lesions hold on the test set.",
    (
        *(LOSS, SEED),
        count("n_lesions", "Predicted lesions of the test scans"),
        count("n_real", "Those that the reference confirms"),
        replace(N_SUBJECTS, meaning="Subjects that they are of"),
        optional_number("brier", "Mean of (chance - real)^2; `n/a` where no chances could be fitted", "share"),
        *(replace(LOW, meaning="95 % bootstrap interval of the Brier score, over subjects"), HIGH),
        optional_number("brier_peak", "The same with the peak probability in place of the chance", "share"),
        optional_number("brier_share", "The same with the share of real lesions in place of the chance", "share"),
        optional_number("ece", "Expected calibration error, bins of equal number; `n/a` for too few lesions", "share"),
        optional_number("ece_chance", "Its mean where chances hold exactly, with as many lesions", "share"),
        optional_number("ece_peak", "That of the peak probability", "share"),
    ),
)
FURTHER_RULES = TableSpec(
    "summary_threshold_rules.tsv",
    "A row per loss, further threshold rule and metric: the masks of the rule compared with those of the one threshold "
    "on the test set, scan by scan. Only in studies that tune further threshold rules.",
    (
        *(LOSS, RULE_EVALUATION.columns[RULE_EVALUATION.names.index("threshold_rule")], METRIC, N),
        replace(N_SUBJECTS, meaning="Subjects"),
        optional_number("reference", "Mean over subjects (specificity: share of scans), masks of the one threshold"),
        optional_number("value", "The same, masks of the rule"),
        optional_number("difference", "Their difference, rule - one threshold"),
        *(replace(LOW, meaning="95 % interval of the difference over subjects, for these trainings"), HIGH),
        *(WILCOXON, replace(HOLM, meaning="The p-value after Holm's correction over the losses and rules of a metric")),
    ),
)
OWN_METRICS = TableSpec(
    "summary_own_metrics.tsv",
    "A row per metric of the user and loss: the tuned threshold compared with t = 0.5 on the test set, scan by scan. "
    "Without such metrics, no row.",
    (
        METRIC,
        Column("higher_is_better", "Whether a higher value is the better one", "boolean"),
        *(LOSS, N, replace(N_UNDEFINED, meaning="Scans for which it is undefined at one of the thresholds"), *AT),
        optional_number("difference", "Median of the differences, tuned - default"),
        *(LOW, HIGH, WILCOXON, HOLM, N_SUBJECTS),
    ),
)
