import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from payloads import parse, unpack, unpack_into

from cordlesion.explorer.pack import as_script, numbers, pack_array, pack_part

HOSTILE = "</script><script>alert(1)</script> <!-- \u2028 \u2029 & ' \" \\ é"


@given(st.text())
def test_any_text_is_kept_and_cannot_end_a_script(text):
    script = as_script("study", {text: [text + HOSTILE]})
    assert parse(script) == ("study", {text: [text + HOSTILE]})
    assert not set(b"<>&") & set(script)
    assert max(script) < 128


def test_undefined_numbers_become_null():
    assert json.dumps(numbers([0.1, math.nan, 1])) == "[0.1, null, 1.0]"
    assert numbers([0.123456], 4) == [0.1235]
    with pytest.raises(ValueError, match="not JSON compliant"):
        as_script("study", math.nan)


@given(st.sampled_from([np.uint8, np.uint16]), st.booleans())
def test_arrays_are_unpacked_unchanged(kind, fortran):
    array = np.arange(2 * 3 * 5).reshape(2, 3, 5).astype(kind) * 7
    packed = pack_array(np.asfortranarray(array) if fortran else array)
    assert (unpack(packed) == array).all()
    assert packed["type"] == np.dtype(kind).name


def test_a_part_is_the_bounding_box():
    array = np.zeros((6, 7, 8), np.uint8)
    array[2, 3:5, 6] = 9
    packed = pack_part(array, array > 0)
    assert (packed["start"], packed["shape"]) == ([2, 3, 6], [1, 2, 1])
    assert (unpack_into(packed, array.shape) == array).all()


def test_an_empty_part():
    packed = pack_part(np.zeros((3, 4, 5), np.uint8), np.zeros((3, 4, 5), bool))
    assert 0 in packed["shape"]
    assert not unpack_into(packed, (3, 4, 5)).any()
