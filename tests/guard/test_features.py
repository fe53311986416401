"""Features of a stack: a plain derivation, what does not change them, and what they mean."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cordlesion.guard.features import FEATURES, stack_features
from cordlesion.preprocess.stack_file import CordStack
from support.stacks import SPACING_MM, cord_stack

QUARTILES = {"lower_quartile", "median", "upper_quartile"}


def features_of(stack: CordStack) -> dict[str, float]:
    return stack_features(stack.image, stack.geometry, SPACING_MM)


def plain_features(stack: CordStack) -> dict[str, float]:
    """The same, voxel by voxel and slice by slice."""
    inside = stack.geometry.measured(stack.image)
    low, q1, q2, q3, high = np.percentile(stack.image[inside], [1, 25, 50, 75, 99])
    n_x, n_y, n_z = stack.image.shape
    slices = []
    for z in range(n_z):
        zones: dict[str, list[float]] = {"all": [], "cord": [], "margin": [], "fluid": []}
        cord_is_inside = True
        for x in range(n_x):
            for y in range(n_y):
                distance = SPACING_MM * np.hypot(x - (n_x - 1) / 2, y - (n_y - 1) / 2)
                zone = "cord" if distance <= 2.5 else "fluid" if 5 <= distance <= 7.5 else ""
                zone = "margin" if 3 < distance < 5 else zone
                if not inside[x, y, z]:
                    cord_is_inside &= zone != "cord"
                    continue
                zones["all"].append(stack.image[x, y, z])
                if zone:
                    zones[zone].append(stack.image[x, y, z])
        if cord_is_inside and zones["fluid"]:
            slices.append({name: np.sort(values) for name, values in zones.items()})

    def at(values: np.ndarray, share: float) -> float:
        return float(values[round(share * (len(values) - 1))])

    scale = np.array([at(one["all"], 0.95) - at(one["all"], 0.05) for one in slices])
    cord = np.array([at(one["cord"], 0.5) for one in slices])

    def median(zone: str, share: float, minus: np.ndarray) -> float:
        return float(np.median((np.array([at(one[zone], share) for one in slices]) - minus) / scale))

    spread = np.array([at(one["cord"], 0.25) for one in slices])
    return {
        "lower_quartile": (q1 - low) / (high - low),
        "median": (q2 - low) / (high - low),
        "upper_quartile": (q3 - low) / (high - low),
        "fluid_contrast": median("fluid", 0.75, cord),
        "margin_contrast": median("margin", 0.5, cord),
        "cord_level": float(np.median((cord - [at(one["all"], 0.05) for one in slices]) / scale)),
        "cord_texture": median("cord", 0.75, spread),
        "change_along_cord": cord.std() / (high - low),
    }


@pytest.mark.parametrize("start", [10, -6, 240])
def test_features_are_those_of_a_plain_derivation(start):
    """Also where a part of the crop, or of the cord in it, lies beyond the image."""
    stack = cord_stack(3, start_x=np.full(40, start) + np.repeat([0, 2], 20))
    found = features_of(stack)
    assert found == pytest.approx(plain_features(stack), rel=1e-5, abs=1e-7)
    assert list(found) == list(FEATURES)


@given(st.floats(0.01, 1000), st.floats(-1000, 1000))
def test_scaled_and_shifted_intensities_have_the_same_features(factor, offset):
    stack = cord_stack(1)
    changed = replace(stack, image=(stack.image * factor + offset * factor).astype(np.float32))
    assert features_of(changed) == pytest.approx(features_of(stack), rel=0.01, abs=0.01)


def test_the_fluid_is_brighter_or_darker_than_the_cord():
    assert features_of(cord_stack(1, fluid=2.5))["fluid_contrast"] > 0.3
    assert features_of(cord_stack(1, fluid=0.3))["fluid_contrast"] < -0.3
    bright = cord_stack(1, fluid=2.5)
    assert features_of(replace(bright, image=-bright.image))["fluid_contrast"] < 0


def test_a_block_of_the_foreground_has_no_cord():
    stack = cord_stack(1, background=20.0)
    found = features_of(stack)
    assert found.keys() == QUARTILES
    values = stack.image[stack.image > 20]
    low, q1, high = np.percentile(values, [1, 25, 99])
    assert found["lower_quartile"] == pytest.approx((q1 - low) / (high - low), rel=1e-5)


@pytest.mark.parametrize("image", [np.zeros((20, 20, 40)), np.ones((20, 20, 40))])
def test_a_stack_without_contrast_has_finite_features(image):
    stack = replace(cord_stack(1), image=image.astype(np.float32))
    assert np.isfinite(list(features_of(stack).values())).all()


def test_a_stack_beyond_the_image_has_finite_features():
    stack = cord_stack(1, start_x=np.full(40, -12))
    assert np.isfinite(list(features_of(stack).values())).all()
