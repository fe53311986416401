import math
from dataclasses import dataclass

from cordlesion.metrics import subject_scores


@dataclass
class Scan:
    n_reference_lesions: int
    n_detected_lesions: int
    n_predicted_lesions: int
    reference_volume_mm3: float


FOUND = Scan(3, 1, 4, 90.0)
MISSED = Scan(3, 0, 4, 90.0)
CLEAN = Scan(0, 0, 0, 0.0)
FALSE_ALARM = Scan(0, 0, 1, 0.0)
TINY_LESIONS_ONLY = Scan(0, 0, 1, 2.0)


def test_shares_of_scans():
    scores = subject_scores([FOUND, FOUND, MISSED, CLEAN, FALSE_ALARM, FALSE_ALARM, FALSE_ALARM, TINY_LESIONS_ONLY])
    assert (scores.sensitivity, scores.n_found, scores.n_with_lesions) == (2 / 3, 2, 3)
    assert (scores.specificity, scores.n_clean, scores.n_lesion_free) == (1 / 4, 1, 4)
    assert scores.n_left_out == 1


def test_a_false_prediction_beside_a_missed_lesion_is_not_found():
    assert subject_scores([MISSED]).sensitivity == 0


def test_undefined_without_scans_of_a_kind():
    assert math.isnan(subject_scores([CLEAN]).sensitivity)
    assert math.isnan(subject_scores([FOUND]).specificity)
    assert subject_scores([]).n_left_out == 0
