import math

import numpy as np
import pytest

from cordlesion.errors import CordlesionError
from cordlesion.metrics import STRATA_MM3, LesionMatches, match_lesions, stratum_scores


def scan(reference=(), detected=(), predicted=(), true=()):
    lists = (np.array(reference, dtype=float), np.array(detected, dtype=bool))
    return LesionMatches(*lists, np.array(predicted, dtype=float), np.array(true, dtype=bool))


def counts(scores):
    return (
        scores.n_reference_lesions,
        scores.n_detected_lesions,
        scores.n_predicted_lesions,
        scores.n_true_predicted_lesions,
    )


def test_lesions_are_pooled_over_scans_by_their_own_volume():
    scores = stratum_scores(
        [
            scan([5, 39.9, 40, 100], [False, True, True, True], [50, 300], [True, True]),
            scan([10, 99.9], [False, False], [3], [False]),
            scan(predicted=[20], true=[False]),
        ]
    )
    assert list(scores) == ["small", "medium", "large"]
    assert counts(scores["small"]) == (3, 1, 2, 0)
    assert counts(scores["medium"]) == (2, 1, 1, 1)
    assert counts(scores["large"]) == (1, 1, 1, 1)
    assert (scores["small"].sensitivity, scores["small"].precision) == (1 / 3, 0)


def test_strata_cover_every_volume_once():
    limits = list(STRATA_MM3.values())
    assert (limits[0][0], limits[-1][1]) == (0, math.inf)
    assert [high for _, high in limits[:-1]] == [low for low, _ in limits[1:]]


def test_own_strata_and_empty_ones():
    scores = stratum_scores([scan([5], [True])], {"tiny": (0, 5), "other": (5, 6)})
    assert math.isnan(scores["tiny"].sensitivity)
    assert math.isnan(scores["other"].precision)
    assert scores["other"].sensitivity == 1
    assert math.isnan(stratum_scores([])["large"].sensitivity)
    with pytest.raises(CordlesionError, match="'odd' goes from 5 to 5 mm3"):
        stratum_scores([], {"odd": (5, 5)})


def test_from_masks_to_strata():
    reference = np.zeros((20, 10, 10), dtype=bool)
    reference[:2, :4, :4] = reference[8:14, :5, :5] = True  # 32 and 150 voxels of 1 mm
    scores = stratum_scores([match_lesions(reference, reference * (np.arange(20) > 5)[:, None, None], (1, 1, 1))])
    assert (scores["small"].sensitivity, scores["large"].sensitivity) == (0, 1)
