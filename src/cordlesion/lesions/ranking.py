"""How well the probabilities of predicted lesions rank true before false ones: the score of MS-Multi-Spine."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from cordlesion.metrics import MULTI_SPINE_RATES, MatchedInstances, multi_spine_score
from cordlesion.metrics.instances import weighted_multi_spine_scores
from cordlesion.statistics import MIN_SUBJECTS
from cordlesion.statistics.intervals import draw_counts, percentile_interval

_RESAMPLES = 1000


@dataclass(frozen=True)
class LesionRanking:
    """The score of the MS-Multi-Spine challenge of one method."""

    score: float
    """Mean of the sensitivities; NaN where no scan has a lesion."""
    interval: tuple[float, float] | None
    """Its 95 % bootstrap interval over subjects; None where they are fewer than five."""
    sensitivities: Mapping[float, float]
    """Mean over lesion-bearing scans of the share of lesions that is found, by the number of false lesions per scan."""
    n_scans: int
    n_lesion_bearing: int

    def __str__(self) -> str:
        if math.isnan(self.score):
            return "no MS-Multi-Spine score, since no scan has a lesion"
        between = "" if self.interval is None else f" (95 % interval {self.interval[0]:.3f} to {self.interval[1]:.3f})"
        parts = ", ".join(f"{value:.3f} at {rate:g}" for rate, value in self.sensitivities.items())
        return f"MS-Multi-Spine score {self.score:.3f}{between}; lesion sensitivity {parts} false lesions per scan"

    def record(self) -> dict[str, object]:
        """Return it as JSON."""
        return {
            "score": None if math.isnan(self.score) else self.score,
            "interval": self.interval,
            "sensitivity_at_false_lesions_per_scan": {
                f"{rate:g}": None if math.isnan(value) else value for rate, value in self.sensitivities.items()
            },
            "n_scans": self.n_scans,
            "n_lesion_bearing": self.n_lesion_bearing,
        }


def rank_lesions(images: Sequence[MatchedInstances], subjects: Sequence[str], *, seed: int = 0) -> LesionRanking:
    """Return the score of MS-Multi-Spine with its interval over subjects.

    Args:
        images: The lesions of each scan, from :func:`cordlesion.metrics.match_components`.
        subjects: Who each scan is of.
        seed: Of the bootstrap.

    Raises:
        CordlesionError: There is no scan.

    Examples:
        >>> import numpy as np
        >>> from cordlesion.lesions.ranking import rank_lesions
        >>> from cordlesion.metrics import MatchedInstances
        >>> images = [MatchedInstances(detected_at=np.array([0.9, 0.4]), false=np.array([0.6]))]
        >>> rank_lesions(images, ["sub-01"]).score
        0.9
    """
    found = multi_spine_score(images)
    names, owner = np.unique(np.asarray(subjects), return_inverse=True)
    interval = None
    if len(names) >= MIN_SUBJECTS and not math.isnan(found.score):
        weights = draw_counts(len(names), _RESAMPLES, np.random.default_rng(seed))[:, owner]
        scores = weighted_multi_spine_scores(images, weights.astype(np.float64))
        # A sample may be without a lesion.
        interval = percentile_interval(scores[~np.isnan(scores)], 0.95)
    at = dict(zip(MULTI_SPINE_RATES, found.sensitivities, strict=True))
    n_with_lesions = sum(len(image.detected_at) > 0 for image in images)
    return LesionRanking(found.score, interval, at, len(images), n_with_lesions)
