"""Keep or give back the memory that the process frees."""

from __future__ import annotations

import ctypes
import os
import platform

# From glibc's malloc.h.
M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX, M_ARENA_MAX = -1, -2, -4, -8


def keep_freed_memory() -> bool:
    """Let this process keep the memory that it frees, for its next tensors.

    By default glibc gives a large block back to the system as soon as it is freed. Each tensor then
    comes as fresh pages, which the kernel has to zero and to map one by one as they are first
    touched. A network on a CPU makes hundreds of large tensors in a second, and spends a third of
    its time in that.

    It is a setting of the whole process, which the command line makes; a program that uses Fissura
    as a library may do so, too, at its start. The process then stays as large as it ever was.

    Returns:
        Whether the system has this setting: Linux with glibc.
    """
    if not _has_glibc():
        return False
    mallopt = ctypes.CDLL(None).mallopt
    # One arena: else each thread keeps what it freed for itself.
    settings = {M_ARENA_MAX: 1, M_MMAP_MAX: 0, M_TRIM_THRESHOLD: 2**31 - 1, M_TOP_PAD: 64 * 2**20}
    return all(mallopt(option, value) for option, value in settings.items())


def memory_of_machine() -> float:
    """Return the bytes of the machine's memory, without end where it doesn't tell."""
    try:
        return float(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    except (AttributeError, OSError, ValueError):
        return float("inf")


def give_back_freed_memory() -> None:
    """Give the memory that is free now back to the system, also after `keep_freed_memory`.

    It is for the seams of large work: the memory that a step freed is scattered, and the next one
    may not be able to use it. Does nothing but on Linux with glibc.
    """
    if _has_glibc():
        ctypes.CDLL(None).malloc_trim(0)


def _has_glibc() -> bool:
    """Whether the C library is glibc."""
    return platform.libc_ver()[0] == "glibc"
