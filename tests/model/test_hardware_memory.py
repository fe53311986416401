"""A process that computes on the CPU keeps the memory that it frees (glibc)."""

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

MIB = 100
OLDER = """
malloc_trim = ctypes.CDLL(None).malloc_trim

class Library:
    def __init__(self, name, mallopt=ctypes.CDLL(None).mallopt):
        self.mallopt = lambda parameter, value: 0 if parameter == -3 and value > 2**25 else mallopt(parameter, value)
        self.malloc_trim = malloc_trim

ctypes.CDLL = Library
"""
"""Refuses a threshold above 32 MiB, as older versions of glibc do."""
SCRIPT = f"""
import ctypes
import os
import numpy as np
import torch
from cordlesion.model.hardware import choose_hardware, give_back_memory

def resident_mib():
    return int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20

def growth_of_what_is_freed():
    before = resident_mib()
    blocks = [np.ones({MIB} * 2**20, np.uint8) for _ in range(3)]
    del blocks
    return resident_mib() - before

print(growth_of_what_is_freed())
{{older}}
choose_hardware()
print(growth_of_what_is_freed())
print(growth_of_what_is_freed())
before = resident_mib()
give_back_memory()
print(before - resident_mib())
"""


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="no /proc/self/statm: not Linux")
@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the C library is not glibc")
@pytest.mark.parametrize("older", ["", OLDER], ids=["this glibc", "an older one"])
def test_freed_memory_is_kept_and_taken_again(older):
    command = [sys.executable, "-c", SCRIPT.replace("{older}", older)]
    done = subprocess.run(command, env=os.environ | {"CUDA_VISIBLE_DEVICES": ""}, capture_output=True, text=True)
    assert not done.returncode, done.stderr
    by_default, kept, again, given_back = map(float, done.stdout.split())
    assert by_default < MIB / 10
    assert kept > 2.9 * MIB
    assert again < MIB / 10
    assert given_back > 2.9 * MIB
