import platform
import subprocess
import sys

import pytest

PROGRAM = """
import resource, sys
import numpy as np
from fissura.memory import keep_freed_memory

if "keep" in sys.argv:
    assert keep_freed_memory()
for last in (False, True):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    np.ones(2**25, np.uint8)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""

GIVEN_BACK = """
from pathlib import Path
import numpy as np
from fissura.memory import give_back_freed_memory, keep_freed_memory

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096

keep_freed_memory()
np.ones(2**26, np.uint8)
before = resident()
give_back_freed_memory()
print(before - resident())
"""
glibc = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="a setting of glibc")


@glibc
def test_freed_memory_is_given_back_when_asked():
    done = subprocess.run(
        [sys.executable, "-c", GIVEN_BACK], capture_output=True, text=True, check=True
    )
    assert int(done.stdout) > 0.9 * 2**26


@glibc
def test_freed_memory_is_used_again():
    def faults(*arguments: str) -> int:
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, *arguments], capture_output=True, text=True, check=True
        )
        return int(done.stdout)

    # The second of two arrays of 32 MB: fresh pages (fewer, if they are huge ones), or the first's.
    assert faults("keep") < 5
    assert faults() > 10
