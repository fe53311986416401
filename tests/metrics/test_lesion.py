"""The lesion rule on masks small enough to count by hand; each test settles one point of the rule."""

import dataclasses

import numpy as np
import pytest

from cordlesion.errors import CordlesionError
from cordlesion.metrics import RULES, LesionRule, evaluate, label_components, resolve_rule

ANY_SIZE = LesionRule(min_volume_mm3=0)


def row(*spans, n=60):
    """A 1-D mask in 3-D: ``row((2, 5), (8, 9))`` has voxels 2, 3, 4 and 8."""
    mask = np.zeros((1, 1, n), dtype=bool)
    for start, stop in spans:
        mask[0, 0, start:stop] = True
    return mask


def counts(reference, prediction, rule=ANY_SIZE, spacing_mm=(1, 1, 1)):
    m = evaluate(reference, prediction, spacing_mm, rule)
    return m.n_detected_lesions, m.n_reference_lesions, m.n_true_predicted_lesions, m.n_predicted_lesions


def test_overlap_must_exceed_the_share():
    assert counts(row((0, 4)), row((0, 1)))[0] == 0
    assert counts(row((0, 7)), row((0, 2)))[0] == 1


def test_candidate_exactly_at_the_outside_limit_passes():
    assert counts(row((0, 3)), row((0, 10)))[0] == 1
    assert counts(row((0, 3)), row((0, 11)))[0] == 0


def test_a_neighbouring_lesion_is_not_outside():
    # 2 of 12 candidate voxels lie in the first lesion, 4 in the second: 6 outside is half of it.
    assert counts(row((0, 2), (3, 7)), row((0, 12)))[:2] == (2, 2)


def test_outside_is_relative_to_the_candidate():
    # 8 voxels outside are more than the lesion of 6, but only 8 / 14 of the candidate.
    assert counts(row((0, 6)), row((0, 14)))[0] == 1


def test_overlap_is_summed_over_candidates():
    assert counts(row((0, 10)), row((0, 1), (3, 4), (6, 7)))[0] == 1


def test_candidates_beyond_gamma_are_forgiven():
    # The first candidate explains 6 of 8 common voxels; the second lies 18 / 20 outside.
    reference, prediction = row((0, 10)), row((0, 6), (8, 28))
    assert counts(reference, prediction)[0] == 1
    assert counts(reference, prediction, dataclasses.replace(ANY_SIZE, gamma=0.8))[0] == 0


def test_all_candidates_needed_for_gamma_are_tested():
    # The largest candidate explains only 4 of 7 common voxels, so the second, 27 / 30 outside, is tested too.
    reference, prediction = row((0, 10)), row((0, 4), (7, 37))
    assert counts(reference, prediction)[0] == 0
    assert counts(reference, prediction, dataclasses.replace(ANY_SIZE, gamma=0.5))[0] == 1


def test_candidate_that_completes_gamma_exactly_is_the_last():
    # Of 20 common voxels, 7 + 6 are exactly 0.65 (but not when 0.35 and 0.3 are added); the next candidate sprawls.
    assert counts(row((0, 23)), row((0, 7), (8, 14), (15, 18), (19, 60)))[0] == 1


def test_gamma_one_tests_candidates_that_touch_the_lesion_only():
    pieces = [(i, i + 1) for i in range(0, 12, 2)]
    assert counts(row((0, 12)), row(*pieces, (30, 60)), LesionRule(gamma=1, min_volume_mm3=0)) == (1, 1, 6, 7)


def test_of_equal_overlaps_the_larger_candidate_is_tested_first():
    # Both candidates share 2 voxels with the lesion; the larger one sprawls and must be seen within gamma 0.5.
    rule = dataclasses.replace(ANY_SIZE, gamma=0.5)
    assert counts(row((10, 18)), row((8, 12), (16, 40)), rule)[0] == 0


def test_precision_counts_with_swapped_roles():
    # Two lesions under one bridge, and a speck that is a fifth of a large lesion.
    assert counts(row((0, 5), (6, 11)), row((0, 11))) == (2, 2, 1, 1)
    assert counts(row((0, 30)), row((0, 3))) == (0, 1, 0, 1)


def test_f1_is_the_harmonic_mean_of_both_ratios():
    m = evaluate(row((0, 5), (6, 11)), row((0, 11), (20, 30)), (1, 1, 1), ANY_SIZE)
    assert (m.lesion_sensitivity, m.lesion_precision) == (1.0, 0.5)
    assert m.lesion_f1 == pytest.approx(2 / 3)


@pytest.mark.parametrize(("n_voxels", "is_lesion"), [(24, False), (25, True)])
@pytest.mark.parametrize("edge_mm", [0.5, np.float64(np.float32(0.5)) * (1 + 1e-7), 0.5 * (1 - 1e-7)])
def test_a_lesion_is_larger_than_three_cubic_millimetres(n_voxels, is_lesion, edge_mm):
    mask = row((0, n_voxels))
    assert evaluate(mask, mask, (edge_mm,) * 3).n_reference_lesions == is_lesion


def test_small_components_are_background_in_both_masks():
    rule = LesionRule(min_volume_mm3=3)
    # The second lesion is too small: its voxels count as outside of the candidate, 8 of 11.
    assert counts(row((0, 4)), row((1, 12)), rule)[0] == 0
    assert counts(row((0, 4), (5, 8)), row((1, 12)), rule)[:2] == (0, 1)
    assert counts(row((0, 4), (5, 9)), row((1, 12)), rule)[:2] == (2, 2)


@pytest.mark.parametrize(("connectivity", "n"), [(6, 3), (18, 2), (26, 1)])
def test_connectivity(connectivity, n):
    mask = np.zeros((3, 3, 3), dtype=bool)
    mask[0, 0, 0] = mask[0, 1, 1] = mask[1, 2, 2] = True
    assert (
        evaluate(mask, mask, (1, 1, 1), LesionRule(min_volume_mm3=0, connectivity=connectivity)).n_reference_lesions
        == n
    )


def test_components_carry_labels_on_the_whole_grid():
    mask = row((2, 4), (6, 7), (8, 12))
    found = label_components(mask, LesionRule(min_volume_mm3=1), 1.0)
    np.testing.assert_array_equal(found.labels, 1 * row((2, 4)) + 2 * row((8, 12)))
    np.testing.assert_array_equal(found.sizes, [2, 4])


@pytest.mark.parametrize(
    "values",
    [
        {"min_overlap": -0.1},
        {"min_overlap": 1.0},
        {"max_outside": 1.1},
        {"gamma": 0.0},
        {"gamma": 1.01},
        {"min_volume_mm3": -1.0},
        {"min_volume_mm3": float("inf")},
        {"min_overlap": float("nan")},
        {"connectivity": 8},
    ],
)
def test_rule_refuses_values_out_of_range(values):
    (name,) = values
    with pytest.raises(CordlesionError, match=name):
        LesionRule(**values)


def test_presets():
    assert resolve_rule("study") == LesionRule(0.25, 0.70, 0.65, 3.0, 6)
    assert resolve_rule("anima") == LesionRule(0.10, 0.70, 0.65, 3.0, 6)
    own = LesionRule(connectivity=26)
    assert resolve_rule(own) is own
    with pytest.raises(CordlesionError, match=r"'anime'.*" + ", ".join(RULES)):
        resolve_rule("anime")
