"""Files of other programs: how much memory a library may take for them."""

import resource

import numpy as np
import pytest

from cordlesion.io.foreign_file import limited_memory


def test_what_takes_more_memory_fails_and_the_limit_ends_with_the_block():
    before = resource.getrlimit(resource.RLIMIT_AS)
    with limited_memory(2**28), pytest.raises(MemoryError):
        np.ones(2**27)  # 1 GiB
    assert resource.getrlimit(resource.RLIMIT_AS) == before
    assert np.ones(2**25).nbytes == 2**28


def test_what_takes_less_is_let_through():
    with limited_memory(2**28):
        assert np.ones(2**20).sum() == 2**20


def test_a_limit_that_is_there_is_not_raised():
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    with limited_memory(2**28):
        inner = resource.getrlimit(resource.RLIMIT_AS)
        with limited_memory(2**40):
            assert resource.getrlimit(resource.RLIMIT_AS) == inner
    assert resource.getrlimit(resource.RLIMIT_AS) == (soft, hard)
