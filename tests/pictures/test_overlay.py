import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from cordlesion.pictures.overlay import outline


@given(inside=hnp.arrays(bool, st.tuples(st.integers(1, 6), st.integers(1, 6))))
def test_outline_is_the_boundary_of_the_pixels(inside: np.ndarray) -> None:
    rows, columns = inside.shape
    segments = outline(inside, (float(columns), float(rows)))
    expected = 0
    for row in range(-1, rows + 1):
        for column in range(-1, columns + 1):
            here = 0 <= row < rows and 0 <= column < columns and inside[row, column]
            right = 0 <= row < rows and 0 <= column + 1 < columns and inside[row, column + 1]
            below = 0 <= row + 1 < rows and 0 <= column < columns and inside[row + 1, column]
            expected += int(here != right) + int(here != below)
    assert len(segments) == expected
    ends = [tuple(point) for segment in segments for point in segment]
    assert all(ends.count(point) % 2 == 0 for point in set(ends)), "closed curves"


def test_outline_is_upright_and_in_millimetres() -> None:
    inside = np.array([[False, True], [False, False]])
    points = np.concatenate(outline(inside, (4.0, 6.0)))
    np.testing.assert_allclose(points.min(axis=0), (2, 3))
    np.testing.assert_allclose(points.max(axis=0), (4, 6))
