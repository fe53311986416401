"""The lesion rule on masks small enough to count by hand; each test settles one point of the rule."""

import dataclasses

import numpy as np
import pytest

from cordlesion.metrics import LesionRule, evaluate, label_components

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


def test_overlap_must_reach_a_number_of_voxels():
    rule = LesionRule(min_overlap=0, max_outside=1, min_volume_mm3=0, min_overlap_voxels=3)
    assert counts(row((0, 9)), row((8, 11)), rule)[0] == 0
    assert counts(row((0, 9)), row((1, 2), (7, 11)), rule) == (1, 1, 0, 2)  # 1 + 2 voxels: found by two false ones


def test_intersection_over_union_is_of_the_pair():
    any_pair = LesionRule(min_overlap=0, max_outside=1, min_volume_mm3=0, min_iou=0.2)
    assert counts(row((0, 5)), row((4, 5)), any_pair)[0] == 1  # 1 / 5, exactly
    assert counts(row((0, 6)), row((5, 6)), any_pair)[0] == 0
    # Two halves of 2 / 5 each count both, unless each lesion has one partner.
    halves = row((0, 5)), row((0, 2), (3, 5))
    assert counts(*halves, any_pair) == (1, 1, 2, 2)
    assert counts(*halves, dataclasses.replace(any_pair, one_to_one=True)) == (1, 1, 1, 2)


def test_matching_takes_the_best_pair_first():
    # The bridge has IoU 3 / 10 and 6 / 10 with the lesions; the first lesion has 2 / 5 with a candidate of its own.
    rule = LesionRule(min_overlap=0, max_outside=1, min_volume_mm3=0, min_iou=0.2, one_to_one=True)
    assert counts(row((0, 3), (4, 10)), row((0, 10)), rule) == (1, 2, 1, 1)
    # The candidate (5, 12) is the best of the second lesion only, so the first lesion is left the other one.
    assert counts(row((0, 6), (7, 12)), row((0, 3), (4, 12)), rule) == (2, 2, 2, 2)


def test_components_carry_labels_on_the_whole_grid():
    mask = row((2, 4), (6, 7), (8, 12))
    found = label_components(mask, LesionRule(min_volume_mm3=1), 1.0)
    np.testing.assert_array_equal(found.labels, 1 * row((2, 4)) + 2 * row((8, 12)))
    np.testing.assert_array_equal(found.sizes, [2, 4])
