"""Uploads: their names, their kinds and sizes, before anything of them is decoded."""

from __future__ import annotations

import re
import shutil
import unicodedata
import warnings
import zipfile
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath
from typing import BinaryIO

from PIL import Image

from fissura.data.images import HEIF, register_heif, unreadable_format
from fissura.serve.errors import HttpError

# What Pillow calls the formats that are taken, and the suffix that a file of it gets.
FORMATS = {
    "JPEG": ".jpg",
    "MPO": ".jpg",
    "PNG": ".png",
    "WEBP": ".webp",
    "TIFF": ".tif",
    "BMP": ".bmp",
    "JPEG2000": ".jp2",
    "HEIF": ".heic",
    "AVIF": ".avif",
}
READ_BY_WINDOWS = (".tif", ".jp2")  # may be georeferenced
LONGEST_NAME = 80
RESERVED = re.compile(r"(?i)(con|prn|aux|nul|com\d|lpt\d)(\..*)?")
# Beginnings of documents that a browser or another program might take a file for.
DOCUMENTS = {
    b"%pdf-": "a PDF",
    b"<!doctype": "a web page",
    b"<html": "a web page",
    b"<script": "a web page",
    b"<svg": "an SVG",
    b"<?php": "a program",
    b"<vrtdataset": "a GDAL dataset",
}
HEAD = 1024  # bytes


@dataclass(frozen=True)
class Upload:
    """A photo that was uploaded and may be decoded.

    Attributes:
        name: Its name as the client gave it, without folders, for people to read.
        stem: A name for files, unlike any other of its request.
        file: Where it is.
        size_hw: Height and width as its header states them, before it is turned upright.
    """

    name: str
    stem: str
    file: Path
    size_hw: tuple[int, int]


def shown_name(name: str | None) -> str:
    """Return a client's name of a file without its folders and without what cannot be printed.

    >>> shown_name("../../etc/passwd"), shown_name("C:\\\\photos\\\\wall.jpg"), shown_name("")
    ('passwd', 'wall.jpg', 'photo')
    """
    last = PureWindowsPath((name or "").replace("/", "\\")).name
    plain = "".join(letter if letter.isprintable() else "_" for letter in last)
    return plain.strip()[:200] or "photo"


def safe_stem(name: str, taken: set[str]) -> str:
    """Return a name for files that no file system takes for anything else, and add it to `taken`.

    Args:
        name: What `shown_name` gave.
        taken: Names that are there already, in lower case.

    >>> taken = set()
    >>> safe_stem("Pfeiler 3.JPG", taken), safe_stem("pfeiler 3.png", taken)
    ('Pfeiler 3', 'pfeiler 3-2')
    >>> safe_stem("..", taken), safe_stem("NUL.png", taken)
    ('photo', '_NUL')
    """
    stem = unicodedata.normalize("NFC", name.rpartition(".")[0] or name)
    stem = "".join(letter if letter.isalnum() or letter in "-_ ." else "_" for letter in stem)
    stem = stem.strip(". ")[:LONGEST_NAME].strip(". ") or "photo"
    if RESERVED.fullmatch(stem):
        stem = f"_{stem}"
    unique, count = stem, 1
    while unique.lower() in taken:
        count += 1
        unique = f"{stem}-{count}"
    taken.add(unique.lower())
    return unique


def checked_format(content: BinaryIO, name: str, max_megapixels: float) -> tuple[str, int, int]:
    """Look at the header of a photo, decoding nothing.

    Args:
        content: The file, open at any place.
        name: For messages.
        max_megapixels: The largest photo.

    Returns:
        The suffix of its format, height and width.

    Raises:
        HttpError: 415 for what is no photo, or no photo alone; 413 for too many pixels.
    """
    _refuse_documents(content, name)
    content.seek(0)
    if unreadable_format(Path(f"x{HEIF[0]}")) is None:
        register_heif()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(content, formats=[each for each in FORMATS if _known(each)]) as image:
                found, (width, height) = image.format or "", image.size
    except Exception as error:
        kinds = "JPEG, PNG, TIFF, WebP, BMP, JPEG 2000, AVIF" + ", HEIC" * _known("HEIF")
        raise HttpError(
            415, f"{name}: is damaged, or no photo of a format that is taken here ({kinds})."
        ) from error
    if width * height > max_megapixels * 1e6:
        raise HttpError(
            413,
            f"{name}: has {width}×{height} pixels, {width * height / 1e6:.0f} megapixels; the most "
            f"that is taken here is {max_megapixels:g} (fissura serve --max-megapixels).",
        )
    return FORMATS[found], height, width


def keep_upload(
    content: BinaryIO, name: str | None, folder: Path, taken: set[str], max_megapixels: float
) -> Upload:
    """Check an uploaded photo and write it into a folder, under a name of our own making.

    Args:
        content: The file.
        name: As the client gave it; it chooses letters of the new name, never the place.
        folder: A folder that is there.
        taken: Names of its files without suffix, in lower case; the new one is added.
        max_megapixels: The largest photo.

    Raises:
        HttpError: See `checked_format`.
    """
    shown = shown_name(name)
    suffix, height, width = checked_format(content, shown, max_megapixels)
    stem = safe_stem(shown, taken)
    file = folder / f"{stem}{suffix}"
    content.seek(0)
    with file.open("xb") as target:
        shutil.copyfileobj(content, target, 2**20)
    return Upload(shown, stem, file, (height, width))


def _known(name: str) -> bool:
    """Whether Pillow can read a format here."""
    Image.init()
    return name in Image.OPEN


def _refuse_documents(content: BinaryIO, name: str) -> None:
    """Raise where a file is, or is as well, something that other programs would run or unpack."""
    content.seek(0)
    head = content.read(HEAD).lower()
    kind = next((words for start, words in DOCUMENTS.items() if start in head), None)
    content.seek(0)
    if kind is None and zipfile.is_zipfile(content):
        kind = "a ZIP archive"
    if kind is not None:
        raise HttpError(
            415, f"{name}: is {kind}, or a photo and {kind} at once, which is not taken."
        )
