"""The guard of `segment` and `predict`: scans that the model was not made for, and results that cannot be right."""

from dataclasses import replace

from cordlesion.errors import CordlesionError
from cordlesion.guard.features import stack_features
from cordlesion.guard.profile import voxel_edges
from cordlesion.guard.verdict import NOT_COMPARED, Verdict, judge_result, judge_scan
from cordlesion.io.progress import show_message
from cordlesion.io.volume import Volume
from cordlesion.lesions.measure import LesionList
from cordlesion.model.architectures import Predictor
from cordlesion.model.bundle import Bundle
from cordlesion.prediction import Cut


def compare_scan(model: Predictor, image: Volume, cut: Cut | None, *, force: bool = False) -> Verdict:
    """Compare a scan with the training scans of a model.

    Args:
        model: The model.
        image: The scan.
        cut: What the model sees of it (:func:`cordlesion.prediction.cut_scan`).
        force: Accept a scan that is refused.

    Raises:
        CordlesionError: The scan is refused.
    """
    if model.profile is None or cut is None:
        return replace(NOT_COMPARED, reasons=(why_not_compared(model),))
    spacing_mm = model.card.preprocess.spacing_mm
    verdict = judge_scan(model.profile, stack_features(*cut, spacing_mm), voxel_edges(cut[1], spacing_mm))
    if verdict.status != "refused":
        return verdict
    if not force:
        raise CordlesionError(
            f"{image.path or 'the scan'}: is refused, because it looks unlike the scans that the model was trained "
            f"on: {'; '.join(verdict.reasons)}. Choose a model for such scans, or segment it all the same with --force."
        )
    return replace(verdict, forced=True)


def compare_result(verdict: Verdict, model: Predictor, found: LesionList) -> Verdict:
    """Add to the verdict on a scan what is unusual about the lesions found in it."""
    cord_only = model.card.cord_settings.region == "cord"
    return judge_result(verdict, found, model.profile, cord_only=cord_only)


def why_not_compared(model: Predictor) -> str:
    """Return why scans are not compared with the training scans of a model without a profile."""
    if isinstance(model, Bundle):
        return "the model has no profile of its training scans (`cordlesion study run` on its study adds one)"
    return "the scans that this network was trained on are not known"


def show_verdict(name: str, verdict: Verdict) -> None:
    """Show the verdict on a scan to the user."""
    show_message(f"{name}: {verdict.sentence}")
