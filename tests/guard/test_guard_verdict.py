"""What a verdict says: about the scan, and about the lesions that were found."""

import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cordlesion.guard.conformal import SHRINKAGE, look_parts, look_scores
from cordlesion.guard.features import stack_features
from cordlesion.guard.profile import LesionExtent, ScanProfile, make_profile, profile_scan
from cordlesion.guard.reasons import look_reason
from cordlesion.guard.verdict import NOT_COMPARED, Verdict, judge_result, judge_scan
from cordlesion.lesions.measure import Lesion, LesionList, LesionLoad
from support.stacks import SPACING_MM, cord_stack

VOXELS = (2.8, 0.6, 0.6)
LIKE = Verdict("like the training scans")
LESION = Lesion(
    lesion=1, volume_mm3=20.0, length_mm=4.0, position_mm=20.0, left_mm=0.0, anterior_mm=0.0, peak_probability=0.9,
    mean_probability=0.5, n_voxels=40, x_mm=0, y_mm=0, z_mm=0, i=0, j=0, k=0,
)  # fmt: skip


@pytest.fixture(scope="module")
def profile():
    """Lesions: one per scan, at most 17.5 % of the cord long."""
    return make_profile([[profile_scan(cord_stack(k), SPACING_MM)] for k in range(44)])


def verdict_on(profile, stack, voxels_mm=VOXELS):
    return judge_scan(profile, stack_features(stack.image, stack.geometry, SPACING_MM), voxels_mm)


def found(n: int, length_mm: float = 4.0, volume_mm3: float = 20.0, cord_mm: float | None = 100.0) -> LesionList:
    lesions = (replace(LESION, length_mm=length_mm, volume_mm3=volume_mm3),) * n
    return LesionList(lesions, LesionLoad(n, n * volume_mm3, min(n * length_mm, 100.0), cord_mm, 0))


def test_scans_like_the_training_scans_are_said_to_be(profile):
    verdicts = [verdict_on(profile, cord_stack(100 + k)) for k in range(20)]
    assert sum(verdict.status == "like the training scans" for verdict in verdicts) >= 18
    like = next(verdict for verdict in verdicts if verdict.status == "like the training scans")
    assert (like.reasons, like.heading, like.n_subjects) == ((), "", 44)
    assert like.p_value > like.level == 0.05


def test_dark_fluid_is_refused_in_words(profile):
    verdict = verdict_on(profile, cord_stack(1, fluid=0.4))
    assert verdict.status == "refused"
    assert verdict.distance >= 2
    (reason,) = verdict.reasons
    assert reason.startswith("the fluid around the cord is darker than the cord (-")
    assert "; in the training scans it is brighter (" in reason
    low, high = profile.span("fluid_contrast")
    assert reason.endswith(f"({100 * low:.0f} to {100 * high:.0f} %)")


def profile_of(points: np.ndarray) -> ScanProfile:
    """A profile whose only features are two quartiles, with these values."""
    n = len(points)
    return ScanProfile(
        features={"lower_quartile": tuple(points[:, 0]), "median": tuple(points[:, 1])}, voxels_mm=(VOXELS,) * n,
        subjects=tuple(range(n)), lesions=LesionExtent(n_lesions=1),
    )  # fmt: skip


def test_a_value_within_the_range_is_named_with_the_one_that_fits_the_other_values():
    """Both quartiles rise together, from 0.1 and 0.2 to 0.5 and 0.6; a low first one needs a low second one."""
    together = np.linspace(0.1, 0.5, 60)
    profile = profile_of(np.stack([together, together + 0.1], axis=1))
    (reason,) = judge_scan(profile, {"lower_quartile": 0.12, "median": 0.58}, VOXELS).reasons
    value, usual, low, high = (float(number) for number in re.findall(r"([\d.]+)(?= %| to)", reason))
    assert "have about" in reason
    # The one with the larger part: the correlation of the score is half of the true one.
    name = "lower_quartile" if "lower quartile" in reason else "median"
    assert value == {"lower_quartile": 12, "median": 58}[name]
    assert (low, high) == {"lower_quartile": (10, 50), "median": (20, 60)}[name]
    mean, other = {"lower_quartile": (0.3, 0.58 - 0.4), "median": (0.4, 0.12 - 0.3)}[name]
    assert usual == round(100 * (mean + (1 - SHRINKAGE) * other))


@settings(max_examples=60)
@given(st.integers(0, 10**6), st.floats(0, 1), st.floats(0, 1))
def test_no_reason_names_a_value_within_the_range_without_saying_what_is_unusual(seed, first, second):
    points = np.random.default_rng(seed).multivariate_normal([0.4, 0.5], [[0.01, 0.009], [0.009, 0.01]], 40).clip(0, 1)
    profile = profile_of(points)
    reason = look_reason(profile, {"lower_quartile": first, "median": second})
    value, *others, low, high = (float(number) for number in re.findall(r"([\d.]+)(?= %| to)", reason))
    assert len(others) == ("have about" in reason)
    assert others or not low <= value <= high
    assert others != [value]


def test_the_parts_of_the_features_are_those_of_the_distance():
    points = np.random.default_rng(0).normal(size=(30, 5)) @ np.diag([1, 2, 3, 1, 1])
    parts, expected = look_parts(points)
    assert parts.mean() == pytest.approx(look_scores(points)[-1] ** 2)
    # Independently: regression on the other features, with the correlations of the score.
    mean, sd = points[:-1].mean(axis=0), points[:-1].std(axis=0)
    z, correlation = (points[-1] - mean) / sd, np.corrcoef(points[:-1].T)
    correlation = (1 - SHRINKAGE) * correlation + SHRINKAGE * np.eye(5)
    for k in range(5):
        rest = np.arange(5) != k
        fitted = correlation[k, rest] @ np.linalg.solve(correlation[np.ix_(rest, rest)], z[rest])
        assert expected[k] == pytest.approx(mean[k] + sd[k] * fitted)


def test_other_voxels_are_unusual_and_never_refused(profile):
    verdict = verdict_on(profile, cord_stack(100), (1.0, 1.0, 1.0))
    assert verdict.status == "unusual"
    (reason,) = verdict.reasons
    assert reason == (
        "its voxels measure 1.00 x 1.00 x 1.00 mm (left to right, front to back, up and down); in the most similar "
        "training scan 2.80 x 0.60 x 0.60 mm"
    )


def test_every_feature_is_on_record_with_the_range_of_the_training_scans(profile):
    record = verdict_on(profile, cord_stack(100)).record()
    assert record["Verdict"] == "like the training scans"
    assert record["Features"].keys() == profile.features.keys()
    for name, entry in record["Features"].items():
        assert entry["TrainingScans"] == [*profile.span(name)]


def test_more_than_three_times_as_many_lesions_as_in_any_training_scan_are_unusual(profile):
    assert judge_result(LIKE, found(3), profile, cord_only=True) == LIKE
    verdict = judge_result(LIKE, found(4), profile, cord_only=True)
    assert verdict.status == "unusual"
    assert verdict.reasons == ("4 lesions were segmented; the training scans have at most 1",)


@pytest.mark.parametrize(("length_mm", "alarms"), [(34.0, 0), (36.0, 1)])
def test_a_lesion_twice_as_long_as_any_is_unusual(profile, length_mm, alarms):
    assert profile.lesions.longest_share == 0.175
    verdict = judge_result(LIKE, found(1, length_mm), profile, cord_only=True)
    assert len(verdict.reasons) == alarms
    if alarms:
        assert verdict.reasons == (
            "one lesion takes 36 % of the length of the cord that was searched; in the training scans at most 18 %",
        )


def test_lesions_that_fill_the_cord_are_unusual(profile):
    most = profile.lesions.mean_section_mm2
    assert judge_result(LIKE, found(1, volume_mm3=199 * most), profile, cord_only=True) == LIKE
    (reason,) = judge_result(LIKE, found(1, volume_mm3=201 * most), profile, cord_only=True).reasons
    assert reason.startswith(f"the lesions fill {2.01 * most:.1f} mm2 of a section, on average along the cord; in the")


def test_without_a_profile_only_what_no_model_should_find_is_unusual():
    assert judge_result(NOT_COMPARED, found(50, 80.0), None, cord_only=True) == NOT_COMPARED
    long = judge_result(NOT_COMPARED, found(1, 95.0), None, cord_only=True)
    assert (long.status, long.reasons) == (
        "unusual", ("one lesion takes 95 % of the length of the cord that was searched",),
    )  # fmt: skip
    full = judge_result(NOT_COMPARED, found(1, volume_mm3=3500.0), None, cord_only=True)
    assert full.reasons == ("the lesions fill 35.0 mm2 of a section, on average along the cord",)


def test_beyond_the_cord_only_the_number_of_lesions_counts(profile):
    assert judge_result(LIKE, found(2, 95.0, 5000.0), profile, cord_only=False) == LIKE
    assert judge_result(LIKE, found(2, 95.0, 5000.0, cord_mm=None), profile, cord_only=True) == LIKE
    assert judge_result(LIKE, found(9), profile, cord_only=False).status == "unusual"


def test_a_refused_scan_stays_refused_whatever_is_found_in_it(profile):
    refused = replace(verdict_on(profile, cord_stack(1, fluid=0.4)), forced=True)
    after = judge_result(refused, found(1, 95.0), profile, cord_only=True)
    assert (after.status, after.forced, len(after.reasons)) == ("refused", True, 2)
    assert after.heading == "This scan is refused for this model, but accepted with --force:"
    assert after.sentence.startswith("refused, but accepted with --force: the fluid around the cord is darker")
