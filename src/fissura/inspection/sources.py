"""Recognition of files to measure: photos, masks and probabilities, and the reading of the latter.

The files that Fissura wrote itself are known by their place below a folder of results and, of
GeoTIFFs, by their description. Everything else is recognized by its values; where these are
unclear, the file is refused instead of guessed at.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fissura.checkpoint import read_config
from fissura.data.masks import MaskLook, read_mask, read_mask_alone
from fissura.errors import InputError
from fissura.files import MASKS, PROBABILITIES
from fissura.gdal import has_raster, open_dataset
from fissura.raster import Raster

Kind = Literal["auto", "photo", "mask", "probability"]
THRESHOLD = 0.5  # of probabilities of which nothing tells the threshold
TELL = "Say what it is with --kind photo, --kind mask or --kind probability."
# A mask: dark but for few pixels, most of which are nearly as bright as the brightest.
DARK, NEAR_BRIGHTEST, MOSTLY = 8, 40, 0.5
MASK_COLORS = 4  # an image of more colors is a photo
RESULTS = ("prediction.json", "inspection.json")


@dataclass(frozen=True)
class Source:
    """What a file was taken for.

    Attributes:
        kind: "photo", "mask" or "probability".
        words: How its values are understood.
        threshold: Of probabilities, from which a pixel is crack; None of others.
    """

    kind: Kind
    words: str
    threshold: float | None = None


def recognize(file: Path, kind: Kind = "auto", threshold: float | None = None) -> Source:
    """Recognize what an image file is.

    Args:
        file: The file.
        kind: What the user says it is; "auto" to recognize it.
        threshold: Of probabilities, as the user gave it; by default that of the results which the
            file belongs to, or 0.5.

    Raises:
        InputError: Where that is unclear.
    """
    if kind == "auto":
        kind = own_result(file) or _kind_by_values(file)
    if kind != "probability":
        return Source(kind, f"a {kind}")
    origin = "as given"
    if threshold is None:
        threshold, origin = _threshold_beside(file)
    return Source(kind, f"probabilities, crack from {threshold:g} on ({origin})", threshold)


def looks_like_mask(values: NDArray[Any]) -> bool:
    """Return whether an image, gray (h, w) or RGB (h, w, 3), is dark with few bright pixels."""
    if values.ndim == 3:
        lowest, highest = values.min(2), values.max(2)
        if (highest.astype(np.int32) - lowest > 24).any():
            return False
        values = highest
    highest = int(values.max(initial=0))
    if not highest:
        return False
    step = max(highest // 255, 1)  # 16-bit values
    bright = values > min(DARK * step, highest // 2)
    near = values[bright] >= highest - min(NEAR_BRIGHTEST * step, highest // 3)
    return bool(0 < bright.mean() <= MOSTLY and near.mean() > MOSTLY)


def read_source(file: Path, source: Source) -> tuple[NDArray[np.float32], NDArray[np.bool_], str]:
    """Read the probabilities and the crack pixels of a mask or of probabilities.

    Returns:
        float32 (h, w), 0 to 1; bool (h, w); and in words how the values were understood.

    Raises:
        InputError: Where the file cannot be read, or where it is unclear which pixels are crack.
    """
    if source.kind == "mask":
        mask, words = _jpeg_mask(file) or read_mask_alone(file)
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


def is_whole_mask(raster: Raster, file: Path) -> None:
    """Raise `InputError` where a mask that is read by windows has other values than 0 and one."""
    values: set[int] = set()
    height, width = raster.size_hw
    for top in range(0, height, 2048):
        band = raster.stored(top, 0, min(top + 2048, height), width)
        if len(band) != 1:
            raise InputError(f"{file}: has colors, and it is unclear which of them is crack.")
        values |= set(np.unique(band).tolist())
        if len(values) > 2 or (len(values) == 2 and 0 not in values):
            raise InputError(
                f"{file}: it is unclear which pixels are crack. A mask of this size is 0, and one "
                "other value where there is crack."
            )


def own_result(file: Path) -> Kind | None:
    """Return the kind of a file that Fissura wrote, and None of others.

    They are known by the folder of results, or by the description of a GeoTIFF.
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


def _kind_by_values(file: Path) -> Kind:
    """What a file of unknown origin is."""
    try:
        with Image.open(file) as image:
            mode, deep = image.mode, image.mode.startswith(("I", "F"))
            pixels = image.width * image.height
    except (OSError, ValueError, SyntaxError):
        return "photo"  # reading it will say why
    if pixels > 2**28:
        return "photo" if mode in ("RGB", "RGBA", "YCbCr", "CMYK") else _unclear(file)
    if mode == "F" and _several_within_one(_stored(file)):
        return "probability"
    values = read_mask(file)
    if values.ndim == 3:
        return "photo" if len(MaskLook.of(values).colors) > MASK_COLORS else "mask"
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
    if MaskLook.of(values).is_photo():
        return "photo"
    try:
        read_mask_alone(file)
    except InputError as error:
        raise InputError(f"{error} Or is it no mask? {TELL}") from error
    return "mask"


def _jpeg_mask(file: Path) -> tuple[NDArray[np.bool_], str] | None:
    """Read a JPEG that looks like a mask: its compression scatters values around the two."""
    if file.suffix.lower() not in (".jpg", ".jpeg", ".jfif"):
        return None
    values = read_mask(file)
    if values.ndim != 2 or not looks_like_mask(values):
        return None
    least = int(values.max()) // 2 + 1
    return values >= least, f"a JPEG, crack from {least} on"


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
    try:
        with Image.open(file) as image:
            return np.asarray(image)
    except (OSError, ValueError, SyntaxError) as error:
        raise InputError(f"{file}: cannot be read ({error}).") from error


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
        folder / "parts" / name / "settings.json",
    ):
        told = _json(settings)
        threshold = told.get("threshold")
        if threshold is None and "model" in told:
            config = Path(str(told["model"])) / "config.json"
            threshold = read_config(config).threshold if config.is_file() else None
        if threshold is not None:
            return float(threshold), f"that of {settings.name}"
    return THRESHOLD, "the default; give another with --threshold"


def _json(file: Path) -> dict[str, Any]:
    """The content of a JSON file, empty where there is none."""
    try:
        told = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return told if isinstance(told, dict) else {}
