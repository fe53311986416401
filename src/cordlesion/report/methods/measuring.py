"""The methods section on thresholds, evaluation, statistics and software."""

from collections.abc import Sequence

from cordlesion.io.formats import format_percent
from cordlesion.io.import_path import is_import_path
from cordlesion.metrics import resolve_rule
from cordlesion.report.methods.citing import MethodsContext
from cordlesion.report.pipeline import describe_rule, name_rule
from cordlesion.report.words import enumerate_words
from cordlesion.statistics import MIN_SUBJECTS
from cordlesion.study_folder.results import StudyResults
from cordlesion.threshold import GRIDS, RiskName
from cordlesion.threshold.promise import promise_text


def threshold(study: MethodsContext) -> str:
    """Describe how the thresholds were chosen."""
    n_tried = len(GRIDS[study.config.threshold.grid])
    each = " of each fold" if study.config.split.folds > 1 else ""
    goal = study.results.goal
    icc = f" {study.cite('shrout1979')}" if goal.compares_repeats else ""
    return (
        f"Of {n_tried} thresholds from 0 to 1, {goal.choice} over the threshold set{each} was taken for every "
        f"model{icc}; of tied ones, the middle of the longest run. Its 95 % interval is a bootstrap in which subjects "
        f"of the threshold set are drawn again and the choice is repeated.{_model(study)}{_promises(study)} The test "
        f"set was opened once, after all thresholds were fixed.{_further(study)}"
    )


def _further(study: MethodsContext) -> str:
    """Describe the further threshold rules: those of the program, and those of the user."""
    rules = list(dict.fromkeys(study.results.rule_choices["threshold_rule"].astype(str)))
    if not rules:
        return ""
    known, own = ([name for name in rules if is_import_path(name) == is_own] for is_own in (False, True))
    return (
        _chosen(known, " of cordlesion", "chosen on the same scans for the same objective, all settings together")
        + _chosen(own, ", of our own,", "fitted on the same scans")
        + " The masks were compared with those of the one threshold, scan by scan."
    )


def _chosen(rules: Sequence[str], whose: str, how: str) -> str:
    """Say how rules were chosen; empty for none."""
    several, were = ("s", "were") if len(rules) > 1 else ("", "was")
    return f" The further threshold rule{several} {enumerate_words(rules)}{whose} {were} {how}." if rules else ""


def _model(study: MethodsContext) -> str:
    """Describe how one of several models was chosen."""
    results, n_losses = study.results, len({run.loss for run in study.results.ranked})
    if len(results.ranked) <= 1:
        return ""
    seeds = ", in the middle between its own and the mean over the seeds of its loss," if _several(results) else ""
    chosen = f" The model with the highest score{seeds} was chosen among {n_losses} methods."
    if "fold" in results.written_thresholds or results.goal.is_conditional:
        return chosen
    return (
        f"{chosen} Its score was corrected for the choice, which was repeated on bootstrap samples of subjects and "
        f"scored on the other subjects {study.cite('tsamardinos2018')}."
    )


def _promises(study: MethodsContext) -> str:
    """Describe how the operating points with a promise were chosen, where the study has any."""
    asked = study.config.threshold.promises
    limits: dict[RiskName, float | None] = {"missed": asked.missed, "false_positives": asked.false_positives}
    texts = [promise_text(risk, limit) for risk, limit in limits.items() if limit is not None]
    if study.results.operating_points.empty or not texts:
        return ""
    return (
        f" As further operating points ({'; '.join(texts)}) the best thresholds were taken among those for which a "
        f"test over subjects {study.cite('waudbysmith2024')}, of one threshold after the other "
        f"{study.cite('angelopoulos2025')}, showed with {format_percent(asked.certainty)} certainty that the mean over "
        "subjects keeps the limit."
    )


def _several(results: StudyResults) -> bool:
    return len(results.ranked) > len({run.loss for run in results.ranked})


def evaluation(study: MethodsContext) -> str:
    """Describe what was measured."""
    rule = study.config.evaluation.rule
    keys = resolve_rule(rule).references
    sources = f" {study.cite(*keys)}" if keys else ""
    return (
        "On the grid of the reference we measured sensitivity, precision and F1 (Dice score) by voxel and by lesion. "
        f"Lesions (rule {name_rule(rule)}{sources}) are components: {describe_rule(rule)}. Where the reference holds "
        "no lesion these values are undefined and were left out; there, false positives were counted. By subject, "
        "sensitivity is the share of scans with lesions in which at least one was detected, and specificity the share "
        "of scans without lesions in which none was predicted. Calibration was measured over the voxels of the stack, "
        f"with the temperature fitted on the threshold set {study.cite('guo2017')}.{_lesion_chances(study)}"
    )


def _lesion_chances(study: MethodsContext) -> str:
    """Describe how the chance of a predicted lesion was fitted; empty in studies without."""
    if study.results.lesion_probabilities["probability"].isna().all():
        return ""
    return (
        " The chance that a predicted lesion is real was fitted on those of the threshold set, by logistic regression "
        "on the logits of its highest and its mean probability and the logarithm of its volume with weights of at "
        "least 0, and was measured on the test set."
    )


def statistics(study: MethodsContext) -> str:
    """Describe which tests and intervals there are."""
    cite = study.cite
    return (
        "Values are medians over scans; subjects are the units of all tests and intervals. Tuned thresholds were "
        f"compared with 0.5 by Wilcoxon's signed-rank test of the subjects' mean differences {cite('wilcoxon1945')}, "
        f"with Holm's correction {cite('holm1979')}. {_losses(study)} Intervals are at 95 % (at least {MIN_SUBJECTS} "
        f"subjects): of medians those of the sign test, interpolated {cite('hettmansperger1986')}; of shares those of "
        f"Clopper and Pearson {cite('clopper1934')} with the effective number of trials {cite('korn1998')}; of the "
        f"FROC score a bootstrap over subjects {cite('efron1993')}; of false positives per scan from the ratio "
        f"estimator on the log scale, with cluster-robust standard errors {cite('cochran1977')}; of differences "
        f"between paired shares those of Agresti and Min {cite('agresti2005')}. The last three are approximate."
    )


def _losses(study: MethodsContext) -> str:
    """Describe how losses were compared; called where it is printed, because citing numbers the references."""
    over = "subjects and seeds" if len(study.config.seeds) > 1 else "subjects"
    return (
        f"Losses were compared with each other by the mean difference over subjects and its variance over {over}, by "
        f"Student's t with Satterthwaite's degrees of freedom {study.cite('satterthwaite1946')}; comparisons other "
        "than the primary ones are exploratory. Two losses count as equally good where two one-sided tests show a "
        f"difference below {study.config.evaluation.equivalence_margin:g} {study.cite('schuirmann1987')}. Ranks were "
        f"drawn from the same model {study.cite('wiesenfarth2021')}."
    )


def software(study: MethodsContext) -> str:
    """Name versions, hardware and seeds, as far as the manifest has them."""
    manifest = study.results.manifest
    packages = manifest.get("packages", {})
    named = ", ".join(f"{name} {packages[name]}" for name in ("torch", "numpy", "scipy", "nibabel") if name in packages)
    trained = ", ".join(manifest.get("hardware", {}).get("training", []))
    seeds = ", ".join(str(seed) for seed in study.config.seeds)
    parts = [
        f"cordlesion {manifest.get('cordlesion', '')} on Python {manifest.get('python', '')}",
        named,
        f"networks trained on {trained}" if trained else "",
        f"seed of the split {study.config.split.seed}, of the trainings {seeds}",
    ]
    return f"{'; '.join(part for part in parts if part)}. Configuration and manifest are with the results."
