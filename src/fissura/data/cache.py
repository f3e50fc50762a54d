"""Keep prepared images on disk, so that no JPEG is decoded twice."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import PIL
from numpy.typing import NDArray

from fissura.data.pairs import Pair
from fissura.files import replacing
from fissura.files.archives import UNREADABLE
from fissura.files.documents import parse_json

# Raise it whenever decoding or preparing changes its results.
FORMAT = 2
THREADS = min(8, os.cpu_count() or 1)


@dataclass(frozen=True)
class Stored:
    """The content of a cache entry; the fields are those of `PreparedSet`."""

    images: list[NDArray[np.uint8]]
    masks: list[NDArray[Any]]
    names: list[str]
    scale: float
    mask_rule: str
    skipped: list[tuple[str, str]]
    valid: list[NDArray[np.bool_]] | None = None


def default_dir() -> Path:
    """Return `$FISSURA_CACHE`, or `fissura/` in `$XDG_CACHE_HOME` (by default `~/.cache`)."""
    if own := os.environ.get("FISSURA_CACHE"):
        return Path(own).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "fissura"


def key(pairs: list[Pair], masks: list[Path], options: dict[str, Any]) -> str:
    """Name a cache entry by the content of its files, and by everything else that counts.

    Content is read in full, at the disk's speed: a file changed in place, or copied with a new
    date, is never mistaken.

    Args:
        pairs: The pairs; their names and all of their files count.
        masks: All masks that have a say in how masks are decoded.
        options: Everything else that the result depends on; JSON must hold it.

    Returns:
        32 hexadecimal digits.
    """
    read = [path for pair in pairs for path in (pair.image, *pair.masks, pair.ignored) if path]
    files = list(dict.fromkeys(read + masks))
    with ThreadPoolExecutor(THREADS) as pool:
        content = dict(zip(files, pool.map(_content, files), strict=True))
    parts = {
        "format": FORMAT,
        "options": options,
        # Other releases may round otherwise when they decode or resample.
        "libraries": [cv2.__version__, PIL.__version__],
        "pairs": [
            [pair.name, content[pair.image], *(content[mask] for mask in pair.masks)]
            + ([] if pair.ignored is None else ["ignored", content[pair.ignored]])
            + [name for name, _ in pair.layers]
            for pair in pairs
        ],
        "masks": sorted(content[mask] for mask in masks),
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]


def _content(path: Path) -> str:
    """Hash of a file's content."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "blake2b").hexdigest()
    except OSError:  # decoding will say so
        return "unreadable"


def read(entry: Path) -> Stored | None:
    """Read an entry.

    Args:
        entry: Its file.

    Returns:
        The content, or None where there is no such file, or where it is damaged.
    """
    try:
        # Opened here, since numpy leaves a damaged file open.
        with entry.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            return _stored(parse_json(str(arrays["about"])), arrays)
    except UNREADABLE:
        return None


def _stored(about: dict[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Stored:
    """Return the content of an entry."""
    flat_images, flat_masks = arrays["images"], arrays["masks"]
    flat_valid = arrays.get("valid")
    images, masks, valid, start = [], [], [], 0
    for height, width in about["sizes"]:
        end = start + height * width
        images.append(flat_images[3 * start : 3 * end].reshape(height, width, 3))
        masks.append(flat_masks[start:end].reshape(height, width))
        if flat_valid is not None:
            valid.append(flat_valid[start:end].reshape(height, width))
        start = end
    if images and images[0].dtype != np.uint8:
        raise ValueError("images of another type")
    if len(about["names"]) != len(images):
        raise ValueError("as many names as images")
    return Stored(
        images=images,
        masks=masks,
        names=[str(name) for name in about["names"]],
        scale=float(about["scale"]),
        mask_rule=str(about["mask_rule"]),
        skipped=[(file, reason) for file, reason in about["skipped"]],
        valid=None if flat_valid is None else valid,
    )


def write(entry: Path, stored: Stored) -> None:
    """Write an entry whole or not at all; a folder that cannot be written to is no error.

    Args:
        entry: Its file.
        stored: The content.
    """
    about = {
        "names": stored.names,
        "sizes": [mask.shape for mask in stored.masks],
        "scale": stored.scale,
        "mask_rule": stored.mask_rule,
        "skipped": stored.skipped,
    }
    empty = [np.zeros(0, np.uint8)]
    valid = {}
    if stored.valid is not None:
        valid["valid"] = np.concatenate([mask.ravel() for mask in stored.valid] or empty)
    try:
        with replacing(entry) as temporary:
            np.savez(
                temporary,
                images=np.concatenate([image.ravel() for image in stored.images] or empty),
                masks=np.concatenate([mask.ravel() for mask in stored.masks] or empty),
                about=np.array(json.dumps(about)),
                **valid,
            )
    except OSError:
        return
