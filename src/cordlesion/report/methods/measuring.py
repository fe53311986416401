"""The methods section on thresholds, evaluation, statistics and software."""

from cordlesion.metrics import resolve_rule
from cordlesion.report.methods.citing import MethodsContext
from cordlesion.report.pipeline import describe_rule, name_rule
from cordlesion.statistics import MIN_SUBJECTS
from cordlesion.study_folder.results import StudyResults
from cordlesion.threshold import GRIDS


def threshold(study: MethodsContext) -> str:
    """Describe how the thresholds were chosen."""
    n_tried = len(GRIDS[study.config.threshold.grid])
    each = " of each fold" if study.config.split.folds > 1 else ""
    return (
        f"Of {n_tried} thresholds from 0 to 1, {study.results.goal.choice} over the threshold set{each} was taken for "
        "every model; of tied ones, the middle of the longest run. Its 95 % interval is a bootstrap in which subjects "
        f"of the threshold set are drawn again and the choice is repeated.{_model(study)} The test set was opened "
        "once, after all thresholds were fixed."
    )


def _model(study: MethodsContext) -> str:
    """Describe how one of several models was chosen."""
    results, n_losses = study.results, len({run.loss for run in study.results.ranked})
    if len(results.ranked) <= 1:
        return ""
    seeds = ", in the middle between its own and the mean over the seeds of its loss," if _several(results) else ""
    chosen = f" The model with the highest score{seeds} was chosen among {n_losses} methods."
    if "fold" in results.written_thresholds:
        return chosen
    return (
        f"{chosen} Its score was corrected for the choice, which was repeated on bootstrap samples of subjects and "
        f"scored on the other subjects {study.cite('tsamardinos2018')}."
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
        f"with the temperature fitted on the threshold set {study.cite('guo2017')}."
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
