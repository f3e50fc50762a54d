"""Recognition of files to measure: photos, masks and probabilities, and the reading of the latter.

The files that Fissura wrote itself are known by the folder of results that they lie in and, of
GeoTIFFs, by their description. Everything else is recognized by its values; where these are
unclear, the file is refused instead of guessed at.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from fissura.checkpoint import config_of
from fissura.data.masks import MaskLook, read_mask, read_mask_alone
from fissura.errors import InputError
from fissura.files import MASKS, PROBABILITIES
from fissura.gdal import has_raster, open_dataset
from fissura.inference.rasters.raster_files import CHUNKS
from fissura.inspection.photos.class_masks import (
    FLAT,
    OneClass,
    class_of_map,
    flatness,
    given_class,
    read_class,
)
from fissura.inspection.records.store import read_settings
from fissura.pillow import opened_image
from fissura.raster import Raster

Kind = Literal["auto", "photo", "mask", "probability"]
THRESHOLD = 0.5  # of probabilities of which nothing tells the threshold
TELL = "Say what it is with --kind photo, --kind mask or --kind probability."
# A mask is dark but for few pixels, most of which are nearly as bright as the brightest. It has one
# value everywhere but beside those, where resampling and JPEG leave others; a photo has noise.
DARK, NEAR_BRIGHTEST, MOSTLY = 1 / 4, 2 / 3, 0.5  # of the highest value; fraction of those pixels
BESIDE, EVEN = 16, 0.995  # pixels; fraction of the others that has the one value
MASK_COLORS = 4  # an image of more colors is a photo
RESULTS = ("prediction.json", "inspection.json")
OLD_CHUNKS = "parts"  # the name of the folder of chunks until version 0.2
BAND = 2048  # rows of a raster that are looked at together


@dataclass(frozen=True)
class Source:
    """What a file was taken for.

    Attributes:
        kind: "photo", "mask" or "probability".
        words: How its values are understood.
        threshold: Of probabilities, from which a pixel is crack; None of others.
        own: Whether Fissura wrote the file.
        one: The class that is measured, of a mask that tells several apart; None of others.
    """

    kind: Kind
    words: str
    threshold: float | None = None
    own: bool = False
    one: OneClass | None = None


def recognize(
    file: Path, kind: Kind = "auto", threshold: float | None = None, of_class: str | None = None
) -> Source:
    """Recognize what an image file is.

    Args:
        file: The file.
        kind: What the user says it is; "auto" to recognize it.
        threshold: Of probabilities, as the user gave it; by default that of the results which the
            file belongs to, or 0.5.
        of_class: The class that is measured, of masks that tell several apart: its name of maps
            that Fissura wrote, and `NAME=VALUE` of other index masks, which all files are then.

    Raises:
        InputError: Where that is unclear.
    """
    one = given_class(of_class)
    if one is not None:
        return Source("mask", f"an index mask ({one})", one=one)
    known = own_result(file)
    if known == "mask" and (one := _class_of_own(file, of_class)) is not None:
        return Source("mask", f"an index mask ({one})", own=True, one=one)
    if kind == "auto":
        kind = known or _kind_by_values(file)
    if kind != "probability":
        return Source(kind, f"a {kind}", own=known == kind)
    origin = "as given"
    if threshold is None:
        threshold, origin = _threshold_beside(file)
    return Source(kind, f"probabilities, crack from {threshold:g} on ({origin})", threshold)


def looks_like_mask(values: NDArray[Any]) -> bool:
    """Return whether an image is one that nobody would take for a photo, but for a mask.

    A mask has two values, or values near two ends: it is dark with few bright pixels, most of them
    nearly as bright as the brightest. Beside them, compression and resampling may leave other
    values; at more than 16 pixels from them a mask has one value, and a photo has many, however
    dark it is.

    Args:
        values: Gray (h, w) or RGB (h, w, 3).
    """
    if values.ndim == 3:
        lowest, highest = values.min(2), values.max(2)
        if (highest.astype(np.int32) - lowest > 24).any():
            return False
        values = highest
    highest = int(values.max(initial=0))
    if not highest:
        return False
    bright = values > DARK * highest
    near = values[bright] >= NEAR_BRIGHTEST * highest
    if not (0 < bright.mean() <= MOSTLY and near.mean() > MOSTLY):
        return False
    square = np.ones((2 * BESIDE + 1, 2 * BESIDE + 1), np.uint8)
    background = values[cv2.dilate(bright.astype(np.uint8), square) == 0]
    if not background.size:
        background = values[~bright]
    return int(np.bincount(background).max()) >= EVEN * background.size


def read_source(file: Path, source: Source) -> tuple[NDArray[np.float32], NDArray[np.bool_], str]:
    """Read the probabilities and the crack pixels of a mask or of probabilities.

    Returns:
        float32 (h, w), 0 to 1; bool (h, w); and in words how the values were understood.

    Raises:
        InputError: Where the file cannot be read, or where it is unclear which pixels are crack.
    """
    if source.one is not None:
        mask, words = read_class(file, source.one)
        return mask.astype(np.float32), mask, words
    if source.kind == "mask":
        mask, words = (_own_mask(file) if source.own else None) or read_mask_alone(file)
        words = f"a mask ({words})"
        return mask.astype(np.float32), mask, words
    stored = _stored(file)
    if stored.ndim != 2:
        raise InputError(f"{file}: has colors, but probabilities are gray.")
    prob = as_probabilities(file, stored)
    assert source.threshold is not None
    return prob, crack_of(prob, source.threshold), source.words


def as_probabilities(file: Path, stored: NDArray[Any]) -> NDArray[np.float32]:
    """Turn stored values into probabilities: of 8 and 16 bits by the highest value, or floats."""
    if stored.dtype.kind in "ui":
        highest = 65535 if stored.dtype.itemsize > 1 else 255
        return stored.astype(np.float32) / np.float32(highest)
    if not (
        np.isfinite(stored).all() and stored.min(initial=0) >= 0 and stored.max(initial=0) <= 1
    ):
        raise InputError(f"{file}: holds values outside 0 to 1, which are no probabilities.")
    return stored.astype(np.float32)


def crack_of(prob: NDArray[np.float32], threshold: float) -> NDArray[np.bool_]:
    """Return the crack pixels; a probability of 0, which marks pixels without image, is none."""
    return (prob >= np.float32(threshold)) & (prob > 0)


def check_raster_mask(raster: Raster, *, own: bool) -> None:
    """Raise where it is unclear which pixels of a mask that is read by windows are crack.

    Args:
        raster: The mask: 0, and one other value where there is crack.
        own: Whether Fissura wrote it, so that it may be crack nearly all over.

    Raises:
        InputError: For colors, for other values, and where more than half would be crack.
    """
    file, counts = raster.path, two_values(raster)
    if counts is None or (len(counts) == 2 and 0 not in counts):
        raise InputError(
            f"{file}: it is unclear which pixels are crack. A mask of this size is gray, 0, and "
            "one other value where there is crack."
        )
    fraction = 1 - counts.get(0, 0) / sum(counts.values())
    if fraction > 0.5 and not own:
        raise InputError(
            f"{file}: looks inverted, {fraction:.0%} of the pixels would be crack. Invert masks so "
            "that crack is the brighter value."
        )


def two_values(raster: Raster) -> dict[float, int] | None:
    """Return the pixels of each value of a gray raster, or None where it has more than two."""
    counts: dict[float, int] = {}
    height, width = raster.size_hw
    for top in range(0, height, BAND):
        bands = raster.stored(top, 0, min(top + BAND, height), width)
        if len(bands) != 1:
            return None
        for value, count in zip(*np.unique(bands, return_counts=True), strict=True):
            counts[float(value)] = counts.get(float(value), 0) + int(count)
        if len(counts) > 2:
            return None
    return counts


def own_result(file: Path) -> Kind | None:
    """Return the kind of a file that Fissura wrote, and None of others.

    Own files are known by the folder of results, or by the description of a GeoTIFF.
    """
    results = _results_of(file)
    if results is not None:
        return "probability" if results[1] == PROBABILITIES else "mask"
    if file.suffix.lower() in (".tif", ".tiff") and has_raster():
        try:
            with open_dataset(file) as dataset:
                told = dataset.tags().get("DESCRIPTION", "")
        except Exception:
            return None  # reading it will say why
        if told.startswith("probability of crack"):
            return "probability"
        if told.startswith("crack (255)"):
            return "mask"
    return None


def _class_of_own(file: Path, of_class: str | None) -> OneClass | None:
    """The class of a map that Fissura wrote into a folder of results; None of other masks."""
    results = _results_of(file)
    told = {} if results is None else read_settings(results[0] / RESULTS[0])
    return class_of_map(file, told, of_class)


def _kind_by_values(file: Path) -> Kind:
    """What a file of unknown origin is."""
    try:
        with opened_image(file) as image:
            mode, deep = image.mode, image.mode.startswith(("I", "F"))
            pixels = image.width * image.height
    except InputError:
        return "photo"  # reading it will say why
    if pixels > 2**28:
        return "photo" if mode in ("RGB", "RGBA", "YCbCr", "CMYK") else _unclear(file)
    if mode == "F" and _several_within_one(_stored(file)):
        return "probability"
    values = read_mask(file)
    if values.ndim == 3:
        many = flatness(values) < FLAT or len(MaskLook.of(values).colors) > MASK_COLORS
        return "photo" if many else "mask"
    highest = int(values.max(initial=0))
    count = np.count_nonzero(np.bincount(values.ravel()))
    if count <= 2 or looks_like_mask(values):
        if count > 2 and deep:
            return "probability"
        if count == 1 and highest:
            return "photo"
        return "mask"
    if deep and mode.startswith("I;16") and not highest <= 255:
        return "probability"
    if flatness(values) < FLAT:
        return "photo"
    try:
        read_mask_alone(file)
    except InputError as error:
        raise InputError(f"{error} Or is it no mask? {TELL}") from error
    return "mask"


def _own_mask(file: Path) -> tuple[NDArray[np.bool_], str] | None:
    """Read a mask that Fissura wrote, however much of it is crack; None where it has colors now."""
    values = read_mask(file)
    if values.ndim != 2 or values.dtype != np.uint8:
        return None
    return values >= 128, "crack from 128 on"


def _unclear(file: Path) -> Kind:
    """Refuse a file that is too large to look through."""
    raise InputError(f"{file}: is too large to recognize what it is. {TELL}")


def _several_within_one(values: NDArray[Any]) -> bool:
    """Whether floats have more than two values, all from 0 to 1."""
    return bool(
        np.isfinite(values).all()
        and values.min(initial=0) >= 0
        and values.max(initial=0) <= 1
        and len(np.unique(values)) > 2
    )


def _stored(file: Path) -> NDArray[Any]:
    """The values of an image file as they are stored."""
    with opened_image(file) as image:
        return np.asarray(image)


def _results_of(file: Path) -> tuple[Path, str] | None:
    """The folder of results that a file lies in, and whether below masks or probabilities."""
    path = file.absolute()
    for folder in path.parents:
        if folder.name in (MASKS, PROBABILITIES) and any(
            (folder.parent / name).is_file() for name in RESULTS
        ):
            return folder.parent, folder.name
    return None


def _threshold_beside(file: Path) -> tuple[float, str]:
    """The threshold of the results that probabilities belong to, and where it is known from."""
    results = _results_of(file)
    if results is None:
        return THRESHOLD, "the default; give another with --threshold"
    folder, _ = results
    name = file.absolute().relative_to(folder / PROBABILITIES).with_suffix("")
    for settings in (
        *(folder / each for each in RESULTS),
        *(folder / chunks / name / "settings.json" for chunks in (CHUNKS, OLD_CHUNKS)),
    ):
        told = read_settings(settings)
        threshold = told.get("threshold")
        if threshold is None and "model" in told:
            model = Path(str(told["model"]))
            there = model.is_file() or (model / "config.json").is_file()
            threshold = config_of(model).threshold if there else None
        if threshold is not None:
            return float(threshold), f"that of {settings.name}"
    return THRESHOLD, "the default; give another with --threshold"
