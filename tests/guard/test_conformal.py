"""Scores against plain loops; and the stated rate of false alarms, on simulated cohorts of known distribution."""

import numpy as np
import pytest

from cordlesion.guard.conformal import SAME_VOXEL, SHRINKAGE, look_scores, p_value, voxel_scores
from cordlesion.guard.features import FEATURES
from cordlesion.guard.profile import ProfiledScan, make_profile
from cordlesion.guard.verdict import Verdict, judge_scan

N_COHORTS = 600
MIX = np.triu(np.ones((len(FEATURES), len(FEATURES))))
PROTOCOLS_MM = np.array([(2.8, 0.6, 0.6), (0.6, 0.6, 4.0), (1.0, 1.0, 1.0)])


def test_a_look_score_is_the_distance_from_all_others():
    rng = np.random.default_rng(0)
    points = rng.normal(50, 3, (12, 4)) @ rng.normal(size=(4, 4))
    for k, score in enumerate(look_scores(points)):
        others = np.delete(points, k, axis=0)
        correlations = np.corrcoef(others.T) * (1 - SHRINKAGE) + SHRINKAGE * np.eye(4)
        standard = (points[k] - others.mean(axis=0)) / others.std(axis=0)
        assert score == pytest.approx(np.sqrt(standard @ np.linalg.inv(correlations) @ standard / 4), rel=1e-9)


def test_a_voxel_score_is_the_ratio_to_the_most_similar_other_subject():
    rng = np.random.default_rng(0)
    edges = np.exp(rng.normal(0, 0.5, (9, 3)))
    subjects, drawn = np.array([0, 1, 2, 3, 0, 1, 1, 3, 2]), np.arange(4)
    found = voxel_scores(edges, subjects, drawn)
    for subject in range(4):
        others = [edges[k] for k in range(9) if subjects[k] != subject]
        nearest = min(max(abs(np.log(a / b)) for a, b in zip(edges[subject], other, strict=True)) for other in others)
        assert found[subject] == pytest.approx(max(0, nearest - SAME_VOXEL))
    assert (found > 0).any()


def test_a_p_value_counts_the_scan_itself_and_ties():
    assert p_value(np.array([1.0, 2.0, 3.0, 4.0])) == 0.25
    assert p_value(np.array([4.0, 2.0, 3.0, 3.0])) == 0.75
    assert p_value(np.zeros(5)) == 1


def draw_subject(rng: np.random.Generator) -> list[ProfiledScan]:
    """Draw a subject with one to three scans: skewed, correlated features with heavy tails, one of three protocols."""
    protocol, n_scans = np.searchsorted([0.7, 0.95, 1], rng.random()), rng.integers(1, 4)
    own = rng.standard_t(3, len(FEATURES)) @ MIX + protocol
    values = np.exp(0.3 * (own + 0.3 * rng.standard_t(3, (n_scans, len(FEATURES)))))
    edges = PROTOCOLS_MM[protocol] * np.exp(rng.normal(0, 0.15, 3)) * np.exp(rng.normal(0, 0.02, (n_scans, 3)))
    return [
        ProfiledScan(dict(zip(FEATURES, row, strict=True)), tuple(edge), 1, 0.1, 1.0)
        for row, edge in zip(values.tolist(), edges.tolist(), strict=True)
    ]


def verdicts(n_subjects: int, seed: int) -> list[Verdict]:
    """Compare, cohort after cohort, a scan of one more subject with the scans of the others."""
    found = []
    for cohort in range(N_COHORTS):
        rng = np.random.default_rng([seed, n_subjects, cohort])
        *training, new = (draw_subject(rng) for _ in range(n_subjects + 1))
        profile = make_profile(training)
        found.append(judge_scan(profile, new[0].features, new[0].voxels_mm))
    return found


@pytest.mark.parametrize("n_subjects", [12, 44])
def test_the_stated_rate_of_false_alarms_is_true(n_subjects):
    """Whatever the distribution; with few subjects the level is higher, and said to be."""
    found = verdicts(n_subjects, 1)
    level = found[0].level
    assert level == pytest.approx(max(0.05, 2 / (n_subjects + 1)), abs=1e-4)
    alarms = np.mean([verdict.status != "like the training scans" for verdict in found])
    error = np.sqrt(level * (1 - level) / N_COHORTS)
    assert alarms <= level + 3 * error
    assert alarms >= level / 5, "the guard sleeps"
    refused = np.mean([verdict.status == "refused" for verdict in found])
    assert refused <= 1 / (n_subjects + 1) + 3 * np.sqrt(1 / (n_subjects * N_COHORTS))
    for stated in (0.1, 0.25, 0.5):
        share = np.mean([verdict.p_value <= stated for verdict in found])
        assert share <= stated + 3 * np.sqrt(stated * (1 - stated) / N_COHORTS)


def test_a_scan_of_another_kind_is_noticed():
    rng = np.random.default_rng(0)
    profile = make_profile([draw_subject(rng) for _ in range(44)])
    scan = draw_subject(rng)[0]
    odd = {name: value * 1000 for name, value in scan.features.items()}
    assert judge_scan(profile, odd, scan.voxels_mm).status == "refused"
    voxels = judge_scan(profile, scan.features, (0.6, 5.0, 0.6))
    assert (voxels.status, len(voxels.reasons)) == ("unusual", 1)
    assert "its voxels measure 0.60 x 5.00 x 0.60 mm" in voxels.reasons[0]


def test_a_point_very_far_away_does_not_spoil_the_scores_of_the_others():
    points = np.random.default_rng(0).normal(size=(20, 3))
    far = np.vstack([points, [1e9, -1e9, 1e9]])
    assert look_scores(far)[-1] > 1e8
    assert np.isfinite(look_scores(far)).all()
    assert (look_scores(far)[:-1] < 2).all()
