"""How the numbers of a study were computed, in words."""

from cordlesion.config import Blending, StudyConfig
from cordlesion.io.formats import format_percent
from cordlesion.metrics import LesionRule, resolve_rule
from cordlesion.statistics import MIN_SUBJECTS

_WINDOWS: dict[Blending, str] = {
    "mean": "averaged",
    "gaussian": "blended by Gaussian windows",
    "hann": "blended by Hann windows",
}


def describe_pipeline(config: StudyConfig) -> str:
    """Describe how maps, masks, lesion-wise values and intervals were computed, for captions of tables of results."""
    overlap = f"patches that overlap by {format_percent(config.patches.overlap_fraction)} are"
    mirrored = ", each a mean over its eight mirrored copies" if config.prediction.mirror else ""
    maps = f"Probability maps: {overlap} {_WINDOWS[config.prediction.blending]}{mirrored}."
    rule = config.evaluation.rule
    lesions = f"Lesions (rule {name_rule(rule)}): {describe_rule(rule)}."
    masks = f"{_masks(config)}{_comparators(config)}"
    return f"{maps} {masks} {lesions} Fewer than {MIN_SUBJECTS} subjects get no interval (–)."


def _masks(config: StudyConfig) -> str:
    kept, removal = ["p ≥ t"], config.postprocess
    if removal.cord_margin_mm is not None:
        kept.append(f"within {removal.cord_margin_mm:g} mm of the cord mask")
    if removal.minimum_volume_mm3:
        kept.append(f"in components larger than {removal.minimum_volume_mm3:g} mm³")
    if tried := config.threshold.minimum_volumes_mm3:
        volumes = ", ".join(f"{volume:g}" for volume in tried)
        kept.append(f"in components larger than a volume tuned together with t (one of {volumes} mm³)")
    return f"Masks: {', '.join(kept)}{'' if len(kept) > 1 else '; nothing is removed'}."


def _comparators(config: StudyConfig) -> str:
    """Describe what was not trained here, and how it was treated."""
    tuned = [one.name for one in config.comparators if one.is_tuned]
    given = [one.name for one in config.comparators if not one.is_tuned]
    maps = f" Not trained here, with maps of their own, cut and tuned likewise: {', '.join(tuned)}." if tuned else ""
    return maps + (f" Not trained here, masks taken as they are: {', '.join(given)}." if given else "")


def name_rule(name: str) -> str:
    """Return the name of a rule as it is printed, and where the rule comes from."""
    owner = resolve_rule(name).owner
    return f"“{name}”, {owner}" if owner else f"“{name}”"


def describe_rule(name: str) -> str:
    """Describe what a lesion is under a rule, and when it is detected."""
    rule = resolve_rule(name)
    size = f"larger than {rule.min_volume_mm3:g} mm³" if rule.min_volume_mm3 else "of any size"
    return f"{rule.connectivity}-connected, {size}; detected where {_detected(rule)}"


def _detected(rule: LesionRule) -> str:
    needed = []
    if rule.min_overlap:
        needed.append(f"more than {format_percent(rule.min_overlap)} is covered")
    if rule.min_overlap_voxels > 1 or not (rule.min_overlap or rule.min_iou):
        needed.append(f"{rule.min_overlap_voxels} or more voxels are covered")
    if rule.min_iou:
        needed.append(f"the IoU is at least {rule.min_iou:g}{', one to one' if rule.one_to_one else ''}")
    if rule.max_outside < 1:
        needed.append(f"what covers it lies at most {format_percent(rule.max_outside)} outside")
    return " and ".join(needed)
