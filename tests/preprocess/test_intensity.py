import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from cordlesion.preprocess.intensity import (
    PERCENTILES,
    STANDARD_RANGE,
    IntensityLandmarks,
    fit_landmarks,
)


def naive_percentile(values, percent):
    """Interpolate linearly between order statistics, by definition."""
    ordered = sorted(float(v) for v in values)
    place = percent / 100 * (len(ordered) - 1)
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (place - below) * (ordered[above] - ordered[below])


def naive_fit(stacks):
    """Nyul & Udupa's training: shift and scale the percentiles of each stack, then average them."""
    rows = []
    for stack, inside in stacks:
        own = [naive_percentile(stack[inside], p) for p in PERCENTILES]
        low, high = STANDARD_RANGE
        rows.append([low + (value - own[0]) * (high - low) / (own[-1] - own[0]) for value in own])
    return [sum(column) / len(rows) for column in zip(*rows, strict=True)]


def naive_apply(stack, inside, standard):
    """Nyul & Udupa's transformation: interpolate between the two landmarks around each value."""
    own = [naive_percentile(stack[inside], p) for p in PERCENTILES]
    result = np.empty(stack.shape)
    for index, value in np.ndenumerate(stack):
        k = next((k for k in range(1, len(own)) if value < own[k]), len(own) - 1)
        slope = (standard[k] - standard[k - 1]) / (own[k] - own[k - 1])
        result[index] = standard[k - 1] + (value - own[k - 1]) * slope
    return result


def random_stack(seed, shape=(6, 6, 8)):
    rng = np.random.default_rng(seed)
    stack = (rng.gamma(2.0, 50.0, shape) * rng.uniform(0.2, 5) + rng.uniform(-100, 100)).astype(np.float32)
    return stack, rng.uniform(size=shape) > 0.2


seeds = st.integers(0, 10_000)


@settings(max_examples=25, deadline=None)
@given(st.lists(seeds, min_size=1, max_size=4), seeds)
def test_fitting_and_mapping_equal_the_textbook(training, seed):
    stacks = [random_stack(s) for s in training]
    landmarks = fit_landmarks(stacks)
    standard = naive_fit(stacks)
    np.testing.assert_allclose(landmarks.values, standard, rtol=1e-5, atol=1e-4)
    stack, inside = random_stack(seed)
    np.testing.assert_allclose(
        landmarks.apply(stack, inside), naive_apply(stack, inside, standard), rtol=1e-4, atol=2e-3
    )


@settings(max_examples=25, deadline=None)
@given(st.lists(seeds, min_size=1, max_size=4), seeds)
def test_order_is_kept_and_percentiles_are_mapped_to_landmarks(training, seed):
    landmarks = fit_landmarks([random_stack(s) for s in training])
    stack, inside = random_stack(seed)
    mapped = landmarks.apply(stack, inside)
    assert (np.diff(mapped.ravel()[np.argsort(stack, axis=None)]) >= 0).all()
    everywhere = np.ones(stack.shape, bool)
    exact = stack.ravel()[:101].reshape(1, 1, 101)  # 101 values: every percentile is one of them
    assume(len(np.unique(exact)) == 101)
    own = np.percentile(exact, PERCENTILES)
    place = [int(np.argmin(np.abs(exact.ravel() - value))) for value in own]
    landed = landmarks.apply(exact, everywhere[:1, :1, :1].repeat(101, 2)).ravel()[place]
    np.testing.assert_allclose(landed, landmarks.values, atol=1e-3)


@settings(max_examples=25, deadline=None)
@given(seeds, st.floats(0.01, 100), st.floats(-1000, 1000))
def test_scale_and_offset_of_the_scanner_have_no_effect(seed, scale, offset):
    landmarks = fit_landmarks([random_stack(0), random_stack(1)])
    stack, inside = random_stack(seed)
    moved = (stack.astype(np.float64) * scale + offset).astype(np.float32)
    tolerance = 1e-4 * (1 + abs(offset) / (scale * float(np.ptp(stack)))) * 100
    np.testing.assert_allclose(landmarks.apply(moved, inside), landmarks.apply(stack, inside), atol=tolerance)


def test_padding_does_not_change_the_percentiles():
    landmarks = fit_landmarks([random_stack(0)])
    stack, inside = random_stack(1)
    expected = landmarks.apply(stack, inside)[inside]
    stack[~inside] = 1e6
    np.testing.assert_array_equal(landmarks.apply(stack, inside)[inside], expected)
    filled = random_stack(0)
    filled[0][~filled[1]] = 1e6
    assert fit_landmarks([filled]) == landmarks


def test_landmarks_span_the_standard_range():
    values = fit_landmarks([random_stack(s) for s in range(5)]).values
    assert (values[0], values[-1]) == pytest.approx(STANDARD_RANGE)
    assert (np.diff(values) > 0).all()


def test_a_stack_without_contrast_becomes_constant_and_is_not_used_for_landmarks():
    landmarks = fit_landmarks([random_stack(0)])
    flat, inside = np.full((4, 4, 4), 7, np.float32), np.ones((4, 4, 4), bool)
    assert len(np.unique(landmarks.apply(flat, inside))) == 1
    assert fit_landmarks([random_stack(0), (flat, inside)]) == landmarks
    with pytest.raises(ValueError, match="at least one training stack with contrast"):
        fit_landmarks([(flat, inside)])


def test_a_stack_with_a_large_flat_part_is_mapped_to_finite_ordered_values():
    landmarks = fit_landmarks([random_stack(0)])
    stack, _ = random_stack(1)
    stack[:4] = 0  # more than half of it: several percentiles coincide
    mapped = landmarks.apply(stack, np.ones(stack.shape, bool))
    assert np.isfinite(mapped).all()
    assert (np.diff(mapped.ravel()[np.argsort(stack, axis=None)]) >= 0).all()


@pytest.mark.parametrize(
    ("percentiles", "values"), [((1, 99), (0, 50, 100)), ((1,), (0,)), ((99, 1), (0, 100)), ((1, 50, 99), (0, 80, 40))]
)
def test_landmarks_must_increase_and_match(percentiles, values):
    with pytest.raises(ValueError, match="percentiles"):
        IntensityLandmarks(percentiles, values)


def test_two_percentiles_make_a_line():
    landmarks = fit_landmarks([random_stack(s) for s in range(3)], (1.0, 99.0))
    assert (landmarks.percentiles, landmarks.values) == ((1.0, 99.0), (0.0, 100.0))
    stack, inside = random_stack(7)
    low, high = np.percentile(stack[inside], [1, 99])
    np.testing.assert_allclose(landmarks.apply(stack, inside), (stack - low) / (high - low) * 100, rtol=1e-3, atol=1e-3)
