import io

import matplotlib.image
import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from cordlesion.pictures.png import data_uri, encode_png, grey_levels


@given(arrays(np.uint8, array_shapes(min_dims=2, max_dims=2, max_side=12)))
def test_another_reader_reads_the_same_picture(grey):
    read = matplotlib.image.imread(io.BytesIO(encode_png(grey)), format="png")
    np.testing.assert_array_equal(np.rint(read * 255).astype(np.uint8), grey)


@given(st.floats(-100, 100), st.floats(1, 1e4))
def test_grey_levels_do_not_mind_scale_and_offset(offset, scale):
    image = np.linspace(0, 1, 400, dtype=np.float32).reshape(20, 20)
    levels = grey_levels((image * scale + offset).astype(np.float32))
    assert levels.min() == 0
    assert levels.max() == 255
    assert np.abs(levels.astype(int) - grey_levels(image)).max() <= 1


def test_a_constant_picture_is_black():
    assert not grey_levels(np.full((3, 4), 7, np.float32)).any()


def test_the_address_holds_the_file():
    assert data_uri(b"abc") == "data:image/png;base64,YWJj"
