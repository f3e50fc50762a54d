"""A bad photo is told in a sentence that every console can show; a full disk concerns them all."""

import errno
import os
from pathlib import Path

import cv2
import pytest

from fissura.errors import InputError
from fissura.files.failures import failure, printable

PHOTO = Path("deck/7.jpg")


def no_memory():
    return RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to")


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (InputError("deck/7.jpg: cannot be read."), "deck/7.jpg: cannot be read."),
        (InputError("The file is odd."), "deck/7.jpg: The file is odd."),
        (MemoryError(), "deck/7.jpg: is too large for the memory of this machine."),
        (no_memory(), "deck/7.jpg: is too large for the memory of this machine."),
        (
            PermissionError(errno.EACCES, "Permission denied", "deck/7.jpg"),
            "deck/7.jpg: Permission denied.",
        ),
        (
            OSError(errno.ENAMETOOLONG, "File name too long", "out/7.png"),
            "deck/7.jpg: File name too long (out/7.png).",
        ),
        (IndexError("out of range\nmore"), "deck/7.jpg: cannot be processed (IndexError: out of"),
        (ValueError(), "deck/7.jpg: cannot be processed (ValueError)."),
    ],
)
def test_reasons_are_sentences_that_name_the_file(error, reason):
    found = failure(PHOTO, error)
    assert found.file == PHOTO
    assert found.reason.startswith(reason)
    assert found.reason.endswith((".", ")."))


def test_what_opencv_says_of_memory():
    with pytest.raises(cv2.error) as caught:
        raise cv2.error(
            "OpenCV(4) alloc.cpp:73: error: (-4:Insufficient memory) Failed to allocate"
        )
    assert "too large for the memory" in failure(PHOTO, caught.value).reason


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS])
def test_what_concerns_all_photos_is_raised(number):
    error = OSError(number, os.strerror(number), "out/masks/7.png")
    with pytest.raises(OSError, match=r"7\.png"):
        failure(PHOTO, error)


@pytest.mark.skipif(os.name != "posix", reason="names are bytes on POSIX alone")
@pytest.mark.parametrize("name", [b"Ri\xdf.png", b"\xff\xfe", "Riß €.png".encode(), b"a b"])
def test_printable_names_can_be_written(name):
    text = printable(Path(os.fsdecode(name)))
    assert text.encode("utf-8")
    if b"\xdf" not in name[:3] and not name.startswith(b"\xff"):
        assert text == name.decode()
    assert printable(text) == text


def test_failures_of_such_names_can_be_printed():
    file = Path("Ri\udcdf.png")
    assert failure(file, InputError(f"{file}: bad.")).reason == r"Ri\xdf.png: bad."
    assert failure(file, OSError(5, "I/O")).reason.encode("utf-8")
