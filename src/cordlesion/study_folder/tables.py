"""The tables of a study: what a row is, and what each column holds. Writers, readers and documentation use these."""

import math
from dataclasses import replace

from cordlesion.dataset.columns import RULE, SCAN_COLUMNS, SET, SPLITS
from cordlesion.io.columns import LARGEST, Column, TableSpec, count, volume
from cordlesion.io.tables import REPEAT
from cordlesion.metrics.columns import COLUMNS, COUNTS, REFERENCE_VOLUME
from cordlesion.metrics.table import METRICS
from cordlesion.study_folder.lesion_tables import LESION_PROBABILITIES as LESION_PROBABILITIES
from cordlesion.study_folder.point_tables import OPERATING_POINTS as OPERATING_POINTS
from cordlesion.study_folder.repeat_tables import MULTI_SPINE, REPEATABILITY
from cordlesion.study_folder.run_columns import MINIMUM_VOLUME, OF_SET, THRESHOLD, TUNED_VOLUME
from cordlesion.study_folder.run_columns import RUN_COLUMNS as RUN_COLUMNS
from cordlesion.threshold import VOLUME

_OLDER = "Older tables lack it"
_MEASURED = (
    *SCAN_COLUMNS,
    SET,
    *RUN_COLUMNS,
    replace(THRESHOLD, meaning=f"{THRESHOLD.meaning}; `n/a` for masks", may_be_missing=True),
    replace(MINIMUM_VOLUME, may_be_missing=True),
    *COLUMNS,
    Column(
        REPEAT,
        "Name of the scans of the subject that repeat each other; `n/a` for none",
        "text",
        may_be_missing=True,
        optional="Only where the dataset [states it](repeatability.md)",
    ),
)
_LESION_SCORES = tuple(row.column for row in METRICS.values() if row.level == "lesion" and row.column.kind == "share")
_SCAN_KEY = ("scan_id", "set", "loss", "seed", "fold")
_MAP = Column("map", "`raw`, or `scaled` by the temperature that is fitted on the threshold set", "text")
_N_SCANS = count("n_scans", "Scans")
_VOXELS = (count("n_voxels", "Voxels"), count("n_lesion_voxels", "Lesion voxels of the reference among them"))

SWEEP = TableSpec(
    "sweep.tsv",
    "A row per scan, run and threshold, for the threshold sets and the test sets.",
    _MEASURED,
    key=(*_SCAN_KEY, "threshold", VOLUME),
)
EVALUATION = TableSpec(
    "evaluation.tsv",
    "A row per scan, run and threshold: t = 0.5 and the tuned t, for the threshold sets and the test sets.",
    (*_MEASURED, RULE),
    key=(*_SCAN_KEY, "threshold"),
)
THRESHOLDS = TableSpec(
    "thresholds.tsv",
    "A row per run (and fold): the tuned threshold.",
    (
        *RUN_COLUMNS,
        Column("objective", "What the threshold maximises (`threshold.objective`)", "text"),
        THRESHOLD,
        MINIMUM_VOLUME,
        volume("volume_interval_low", "Interval of the minimum volume", may_be_missing=True, optional=TUNED_VOLUME),
        volume("volume_interval_high", "Its upper end", may_be_missing=True, optional=TUNED_VOLUME),
        Column("score", "Value of the objective at the threshold"),
        Column("interval_low", "95 % interval of the threshold", "share", may_be_missing=True),
        Column("interval_high", "Its upper end", "share", may_be_missing=True),
        Column(
            "plateau_low",
            "Plateau: the range around the threshold in which the objective stays within 5 % of its best value",
            "share",
            may_be_missing=True,
        ),
        Column("plateau_high", "Its upper end", "share", may_be_missing=True),
        Column("loss_below", "Loss of score at t - 0.05; `n/a` outside the grid", may_be_missing=True),
        Column("loss_above", "Loss of score at t + 0.05; `n/a` outside the grid", may_be_missing=True),
        Column("area", "Mean score over the grid (t = 0 counts as outside for these three)", may_be_missing=True),
        count("n_scans", "Scans on which the threshold rests"),
        count("n_subjects", "Their subjects"),
        count("n_lesion_free", "Scans without lesions among them"),
        count("n_left_out", "Scans for which the objective is undefined", optional=_OLDER),
        Column("basis", "The same in words", "text"),
        Column("learned", "Whether the score is above 0 and above that of t = 0", "boolean", optional=_OLDER),
        Column(
            "maps_cut_at",
            "Of a comparator: the value below which its maps hold only 0",
            "share",
            may_be_missing=True,
            optional=_OLDER,
        ),
    ),
    key=("loss", "seed", "fold"),
)
RULES = TableSpec(
    "rules.tsv",
    "A row per test scan, run and lesion rule, at the tuned threshold.",
    (*SCAN_COLUMNS, *OF_SET, replace(RULE, optional=""), *_LESION_SCORES, *COUNTS, REFERENCE_VOLUME),
    key=(*_SCAN_KEY, "rule"),
)
STRATA = TableSpec(
    "strata.tsv",
    "A row per test scan, run and lesion size, at the tuned threshold. Lesions of the reference count by their own "
    "volume, predicted lesions by theirs.",
    (
        *SCAN_COLUMNS,
        *OF_SET,
        Column("stratum", "Name of the size", "text"),
        Column("low_mm3", "Lesions from this volume on", unit="mm3", range=(0, LARGEST)),
        Column("high_mm3", "Lesions below this volume; `inf` for the largest", unit="mm3", range=(0, math.inf)),
        *COUNTS,
    ),
    key=(*_SCAN_KEY, "stratum"),
)
FROC = TableSpec(
    "froc.tsv",
    "A row per set, run and threshold, from `sweep.tsv`.",
    (
        *OF_SET,
        THRESHOLD,
        Column("sensitivity", "Share of all lesions of the references that are detected", "share", may_be_missing=True),
        Column("false_per_scan", "False positives per scan", range=(0, LARGEST)),
        _N_SCANS,
        count("n_reference_lesions", "Lesions of their references"),
    ),
    key=("set", "loss", "seed", "fold", "threshold"),
)
CALIBRATION = TableSpec(
    "calibration.tsv",
    "A row per set, run and map. The voxels are those of the scan's own grid that its stack covers wholly. Maps are "
    "taken before post-processing.",
    (
        *OF_SET,
        _MAP,
        Column("temperature", "Temperature T; 1 for raw maps"),
        Column("expected_calibration_error", "Expected calibration error", "share", may_be_missing=True),
        Column("brier_score", "Brier score", "share", may_be_missing=True),
        _N_SCANS,
        *_VOXELS,
        Column("sum_probability", "Sum of the probabilities of all voxels"),
    ),
    key=("set", "loss", "seed", "fold", "map"),
)
RELIABILITY = TableSpec(
    "reliability.tsv",
    "As `calibration.tsv`, a row per bin of probability; empty bins are included.",
    (
        *OF_SET,
        _MAP,
        Column("bin_low", "Lower edge of the bin", "share"),
        Column("bin_high", "Upper edge of the bin", "share"),
        *_VOXELS,
        Column("mean_probability", "Mean probability; `n/a` in an empty bin", "share", may_be_missing=True),
        Column("lesion_share", "Share of lesion voxels; `n/a` in an empty bin", "share", may_be_missing=True),
    ),
    key=("set", "loss", "seed", "fold", "map", "bin_low"),
)
_LEVEL = Column("level", "What is retained: `voxel` or `lesion`", "text")
_UNCERTAINTY = Column(
    "uncertainty",
    "Measure by which the most certain are retained: `entropy` of the mean probability; `margin`, its distance from "
    "the threshold; of ensembles also `spread` (standard deviation over the networks), `mutual_information` and, of "
    "lesions, `disagreement`; `random` and `ideal` for comparison. That of a lesion is the mean over its voxels",
    "text",
)
_OF_ENSEMBLES = "Only in studies with ensembles: of them and their members."
UNCERTAINTY = TableSpec(
    "uncertainty.tsv",
    f"A row per test scan, run, level and measure of uncertainty, at the tuned threshold. {_OF_ENSEMBLES}",
    (
        *SCAN_COLUMNS,
        *OF_SET,
        _LEVEL,
        _UNCERTAINTY,
        Column("area", "Area under the error-retention curve of the scan", "share"),
        Column("score", "F1 (by voxel or lesion) where everything is retained", "share"),
    ),
    key=(*_SCAN_KEY, "level", "uncertainty"),
)
RETENTION = TableSpec(
    "retention.tsv",
    "A row per run, level, measure of uncertainty and share: the mean error-retention curve over test scans. What is "
    f"not retained is replaced by the reference. {_OF_ENSEMBLES}",
    (
        *OF_SET,
        _LEVEL,
        _UNCERTAINTY,
        Column("retained", "Share of the voxels, or predicted lesions, that is retained: the most certain", "share"),
        Column("score", "Mean over scans of F1 (by voxel or lesion)", "share"),
        count("n_scans", "Scans for which it is defined"),
    ),
    key=("set", "loss", "seed", "fold", "level", "uncertainty", "retained"),
)
_THRESHOLD_RULE = Column("threshold_rule", "Threshold rule, by its name in `threshold.rules`", "text")
_WITH_RULES = "Only in studies that tune further threshold rules (`threshold.rules`)."
_ANY = (-LARGEST, math.inf)
RULE_CHOICES = TableSpec(
    "rule_choices.tsv",
    f"A row per run (and fold), further threshold rule and setting, as chosen on the threshold set. {_WITH_RULES}",
    (
        *RUN_COLUMNS,
        _THRESHOLD_RULE,
        Column("setting", "Setting: `threshold`, `peak` ...; `n/a` for none", "text", may_be_missing=True),
        Column("value", "Its value; `inf` for a number of components: all", range=_ANY, may_be_missing=True),
        Column("interval_low", "95 % interval of the value", range=_ANY, may_be_missing=True),
        Column("interval_high", "Its upper end", range=_ANY, may_be_missing=True),
        Column("objective", "What the rule maximises (`threshold.objective`)", "text"),
        Column("score", "Value of the objective with the rule; `n/a` for a rule of your own", may_be_missing=True),
        count("n_scans", "Scans on which the choice rests"),
        count("n_subjects", "Their subjects"),
        count("n_lesion_free", "Scans without lesions among them"),
        count("n_left_out", "Scans for which the objective is undefined"),
        Column("learned", "Whether the score is above 0 and above that of t = 0", "boolean"),
    ),
    key=("loss", "seed", "fold", "threshold_rule", "setting"),
)
RULE_EVALUATION = TableSpec(
    "threshold_rules.tsv",
    "A row per scan, run and further threshold rule, for the threshold sets and the test sets: the mask compared with "
    f"the reference. Rows of the one threshold are those of `evaluation.tsv` at the tuned t. {_WITH_RULES}",
    (
        *SCAN_COLUMNS,
        *OF_SET,
        _THRESHOLD_RULE,
        Column(
            "threshold",
            "Decision threshold that the rule applied in the scan; `n/a` where it has none",
            "share",
            may_be_missing=True,
        ),
        *COLUMNS,
    ),
    key=(*_SCAN_KEY, "threshold_rule"),
)
HISTORY = TableSpec(
    "history.tsv",
    "A row per epoch of one training.",
    (
        Column("epoch", "Epoch", "integer"),
        Column("train_loss", "Mean loss of the training patches", may_be_missing=True),
        Column("validation_loss", "Mean loss of the validation patches", may_be_missing=True),
        Column("learning_rate", "Learning rate", may_be_missing=True),
        Column("seconds", "Time of the epoch", unit="s", may_be_missing=True),
    ),
    key=("epoch",),
)
COMPARATORS = TableSpec(
    "comparators.tsv",
    "A row per comparator and file, or scan without a file. A study that lacks files is refused.",
    (
        Column("comparator", "Name of the comparator", "text"),
        Column("kind", "`maps`, `masks`, `npz` or `bundle`", "text"),
        Column("scan_id", "Scan; `n/a` for a bundle", "text", may_be_missing=True),
        Column(
            "state",
            "`used`; `not needed` (its scan is in neither the threshold nor the test set, or is excluded); `no such "
            "scan`; `missing`",
            "text",
        ),
        Column(
            "file",
            "Path relative to the study folder; the name alone where the two share no folder",
            "text",
            may_be_missing=True,
        ),
        Column("sha256", "SHA-256 of the file, of a bundle: of all its files", "text", may_be_missing=True),
    ),
    key=("comparator", "scan_id", "file"),
)

ALL = (
    *(SPLITS, SWEEP, EVALUATION, THRESHOLDS, RULES, STRATA, FROC, CALIBRATION, RELIABILITY, UNCERTAINTY, RETENTION),
    *(LESION_PROBABILITIES, RULE_CHOICES, RULE_EVALUATION, OPERATING_POINTS, MULTI_SPINE, REPEATABILITY),
    *(HISTORY, COMPARATORS),
)
"""Every table of a study folder."""
_OF_LESIONS = (LESION_PROBABILITIES, MULTI_SPINE, REPEATABILITY)
_RARE = (UNCERTAINTY, RETENTION, RULE_CHOICES, RULE_EVALUATION, OPERATING_POINTS, *_OF_LESIONS)
OF_SOME = tuple(spec.file.removesuffix(".tsv") for spec in _RARE)
"""Names of the tables that some studies lack: without ensembles, further threshold rules or rescans, without predicted
lesions, or of earlier versions."""
TABLES = tuple(spec.file.removesuffix(".tsv") for spec in ALL if spec not in (*_RARE, HISTORY, COMPARATORS))
"""Names of the tables that the report reads from the study folder itself."""
SPECS = {spec.file: spec for spec in ALL}
