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


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="a setting of glibc")
def test_freed_memory_is_used_again():
    def faults(*arguments: str) -> int:
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, *arguments], capture_output=True, text=True, check=True
        )
        return int(done.stdout)

    # The second of two arrays of 32 MB: fresh pages (fewer, if they are huge ones), or the first's.
    assert faults("keep") < 5
    assert faults() > 10
