"""Corrected masks: the files and annotations that take the place of what the model finds."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fissura.data.folder import find_images
from fissura.data.formats.annotation import AnnotatedImage, digest_of
from fissura.data.formats.labels import crack_labels
from fissura.data.formats.recognize import read_annotations
from fissura.data.formats.shapes.rasterize import IGNORED, rasterize
from fissura.data.images import ORIENTATION_TAG, exif_of, size_difference, upright
from fissura.data.layouts import Placed, match
from fissura.errors import InputError
from fissura.files import MASKS
from fissura.inspection.options import InspectOptions
from fissura.inspection.photos.masks import sha256
from fissura.inspection.photos.sources import Source, read_source, recognize
from fissura.inspection.records.store import SETTINGS
from fissura.pillow import opened_image

NAMED = 5  # files that a sentence names


@dataclass(frozen=True, eq=False)
class GivenMask:
    """A mask that takes the place of the model's.

    Attributes:
        words: Where it comes from.
        digest: Hash of its content.
        read: Reads its crack pixels, bool (h, w).
        file: The mask file; None where it is painted from annotations.
        in_place: Whether it is the photo's own mask in the folder of results.
    """

    words: str
    digest: str
    read: Callable[[], NDArray[np.bool_]]
    file: Path | None = None
    in_place: bool = False


@dataclass(frozen=True, eq=False)
class GivenMasks:
    """The corrected masks of photos.

    Attributes:
        of_photo: The masks by photo.
        said: What was noticed, in sentences.
    """

    of_photo: dict[Path, GivenMask] = field(default_factory=dict)
    said: list[str] = field(default_factory=list)


def mask_in_place(file: Path, words: str) -> GivenMask:
    """Return the mask of a photo in the folder of results, as it is now."""
    own = Source("mask", "a mask", own=True)
    return GivenMask(words, sha256(file), lambda: read_source(file, own)[1], file, in_place=True)


def fit(mask: NDArray[np.bool_], photo: Path, size_hw: tuple[int, int]) -> NDArray[np.bool_]:
    """Turn a mask as its photo is turned, where it was drawn on the photo as it is stored.

    Args:
        mask: Crack pixels (h, w).
        photo: The photo, for its EXIF orientation.
        size_hw: Height and width of the photo, upright.

    Raises:
        InputError: It has another size than the photo.
    """
    if mask.shape == size_hw:
        return mask
    if mask.shape == size_hw[::-1]:
        try:
            with opened_image(photo) as image:
                orientation = exif_of(image).get(ORIENTATION_TAG, 1)
        except InputError:
            orientation = 1
        if orientation in (5, 6, 7, 8):
            return np.ascontiguousarray(upright(mask, orientation))
    raise InputError(f"{photo}: {size_difference(size_hw, mask.shape)}.")


def find_given_masks(options: InspectOptions, names: dict[Path, str]) -> GivenMasks:
    """Find the corrected mask of each photo.

    Args:
        options: Where masks or annotations are.
        names: The photos, and the names of their results.

    Raises:
        InputError: There are no masks, or none of them belongs to a photo.
    """
    if options.masks is None:
        return GivenMasks()
    source = Path(options.masks)
    folder = source / MASKS if (source / SETTINGS).is_file() else source
    given = None if folder != source else _from_annotations(options, source, list(names))
    given = given or _from_files(folder, names)
    if not given.of_photo:
        example = next(iter(names))
        raise InputError(
            f"{source} holds no mask of any of the photos. Masks are named as their photos, such "
            f"as {example.stem}.png for {example.name}."
        )
    without = [file for file in names if file not in given.of_photo]
    if without:
        given.said.append(
            f"{len(given.of_photo)} of {len(names)} photos have a corrected mask in {source}; the "
            f"model finds the cracks on {_listed(without)}."
        )
    return given


def _from_files(folder: Path, names: dict[Path, str]) -> GivenMasks:
    """Find mask files by the names of photos."""
    root = folder if folder.is_dir() else folder.parent
    files = [file for file in find_images([folder]) if file not in names]
    by_name = {file.relative_to(root).with_suffix("").as_posix(): file for file in files}
    found = {photo: by_name[name] for photo, name in names.items() if name in by_name}
    photos = [_placed(photo, name) for photo, name in names.items() if photo not in found]
    masks = [
        _placed(file, name) for name, file in by_name.items() if file not in set(found.values())
    ]
    for keep_folders in (True, False):
        if not keep_folders:
            photos, masks = ([replace(one, place=()) for one in side] for side in (photos, masks))
        pairs, photos, masks = match(photos, masks)
        found |= {photo.path: mask for photo, mask in pairs}
    given = GivenMasks({photo: _of_file(mask) for photo, mask in found.items()})
    if masks:
        one = len(masks) == 1
        given.said.append(
            f"{_listed([mask.path for mask in masks])} in {folder} "
            f"{'belongs' if one else 'belong'} to no photo, and {'is' if one else 'are'} left out."
        )
    return given


def _placed(file: Path, name: str) -> Placed:
    """Return a file whose folders are those of its name."""
    return Placed(file, "", "", tuple(name.split("/")[:-1]))


def _of_file(mask: Path) -> GivenMask:
    """Return a mask file as a given mask."""

    def read() -> NDArray[np.bool_]:
        return read_source(mask, recognize(mask, "mask"))[1]

    return GivenMask(str(mask), sha256(mask), read, mask)


def _from_annotations(
    options: InspectOptions, source: Path, photos: Sequence[Path]
) -> GivenMasks | None:
    """Paint masks from annotations; None where there are none."""
    annotated = read_annotations(source, photos)
    if annotated is None:
        return None
    cracks = dict.fromkeys(crack_labels(annotated, options.labels), 1)
    given = GivenMasks(said=[f"{source} was read as {annotated.format}.", *annotated.notes])
    given.said.extend(f"{bad.file}: {bad.reason}, in {source}." for bad in annotated.skipped)
    by_place = {photo.absolute(): photo for photo in photos}
    for image in annotated.images:
        photo = by_place.get(image.image.absolute())
        if photo is not None:
            given.of_photo[photo] = _painted(image, cracks, options.line_width, source)
    return given


def _painted(
    image: AnnotatedImage, cracks: dict[str, int], line_width: float | None, source: Path
) -> GivenMask:
    """Return annotations of an image as a given mask."""

    def read() -> NDArray[np.bool_]:
        painted = rasterize(image, cracks, line_width)
        return (painted > 0) & (painted != IGNORED)

    said = f"{digest_of(image)} {sorted(cracks)} {line_width}"
    return GivenMask(str(source), hashlib.sha256(said.encode()).hexdigest(), read)


def _listed(files: Sequence[Path]) -> str:
    """Name the first files."""
    more = len(files) - NAMED
    named = ", ".join(file.name for file in files[:NAMED])
    return f"{named} and {more} more" if more > 0 else named
