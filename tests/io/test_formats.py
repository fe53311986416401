from decimal import Decimal

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from cordlesion.io.formats import format_fine, printed_difference

VALUES = st.floats(0, 30, allow_nan=False)


@given(VALUES, VALUES, st.integers(1, 3))
def test_a_difference_is_that_of_the_printed_values(before: float, after: float, digits: int) -> None:
    printed = [Decimal(format_fine(value, digits)) for value in (before, after)]
    found = printed_difference(np.float64(before), after, digits)
    assert Decimal(format_fine(found, digits).replace("−", "-")) == printed[1] - printed[0]


def test_two_numbers_that_round_apart() -> None:
    """2.04 - 1.14 is 0.90, and a reader sees 2.0 and 1.1; 1.96 - 1.14 is 0.82, and a reader sees 2.0 and 1.1."""
    assert printed_difference(1.14, 2.04, 1) == printed_difference(1.14, 1.96, 1) == 0.9
    assert np.isnan(printed_difference(np.nan, 1.0))
