"""Photos in object stores, by fsspec: listed by the driver, fetched one by one by its workers."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from fissura.data.folder import find_images
from fissura.data.images import SUFFIXES
from fissura.data.walk import natural_order
from fissura.errors import InputError, extra, first_line

WEB = ("http", "https", "ftp")  # pages, not folders: they cannot be listed


def is_address(path: str | Path) -> bool:
    """Tell whether a path is an address of a store, such as s3://bucket/photos.

    A `Path` has made one slash of two, which makes no difference.

    >>> is_address(Path("s3://bucket/photos")), is_address(Path("photos"))
    (True, False)
    """
    return re.match(r"[a-z][a-z0-9+.-]+:/", str(path)) is not None


def address_of(path: str | Path) -> str:
    """Return an address as it is written, of a path.

    >>> address_of(Path("s3://bucket/photos")), address_of(Path("file:///data/photos"))
    ('s3://bucket/photos', 'file:///data/photos')
    """
    scheme, _, rest = str(path).partition(":/")
    root = "/" if scheme in ("file", "local") else ""
    return f"{scheme}://{root}{rest.lstrip('/')}"


def shown(path: Path) -> str:
    """Return a path as it is written; the address of one in a store."""
    return address_of(path) if is_address(path) else str(path)


def find_photos(paths: list[Path], *, stores: bool) -> list[Path]:
    """List the images meant by files, folders and, with `stores`, addresses, without doubles."""
    found: dict[Path, None] = {}
    for path in paths:
        listed = list_photos(path) if stores and is_address(path) else find_images([path])
        found |= dict.fromkeys(listed)
    return list(found)


def list_photos(path: Path) -> list[Path]:
    """List the images below an address, in natural order.

    Raises:
        InputError: There are none, or the store cannot be read.
    """
    address = address_of(path)
    system, root = _system(address)
    try:
        found = [root] if system.isfile(root) else system.find(root)
    except Exception as error:  # each store has errors of its own
        raise InputError(f"{address} cannot be listed ({first_line(error)}).") from error
    base = root.rstrip("/")
    below = [one.removeprefix(base).strip("/") for one in found]
    images = [one for one in below if not one or _is_image(one)]
    if not images:
        raise InputError(f"{address} holds no images.")
    return [path / one if one else path for one in sorted(images, key=natural_order)]


@contextmanager
def fetched(path: Path) -> Iterator[Path]:
    """Fetch a photo into a temporary file of the same suffix; a photo on disk is given as it is.

    Raises:
        InputError: The store does not give it.
    """
    if not is_address(path):
        yield path
        return
    address = address_of(path)
    system, root = _system(address)
    with TemporaryDirectory(prefix="fissura-") as folder:
        file = Path(folder, path.name)
        try:
            with system.open(root, "rb") as source, file.open("wb") as copy:
                shutil.copyfileobj(source, copy, 2**20)
            os.utime(file, (0, 0))  # chunks of a raster are known by its name, size and time
        except Exception as error:
            raise InputError(f"{address}: cannot be fetched ({first_line(error)}).") from error
        yield file


def _is_image(below: str) -> bool:
    """Whether a file below an address is an image, and not hidden."""
    hidden = any(part.startswith(".") for part in below.split("/"))
    return Path(below).suffix.lower() in SUFFIXES and not hidden


def _system(address: str) -> tuple[Any, str]:
    """Return the file system of an address, and the path within it."""
    if address.split(":")[0] in WEB:
        raise InputError(
            f"{address} is a page, not a store of photos. Download it and give the file."
        )
    with extra("ray", "An address of an object store"):
        import fsspec.core
    try:
        return fsspec.core.url_to_fs(address)
    except (ImportError, ValueError) as error:
        raise InputError(f"{address} cannot be opened ({first_line(error)}).") from error
