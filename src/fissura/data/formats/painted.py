"""Annotated sets as photos and masks: masks are painted once and kept in the cache."""

from __future__ import annotations

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fissura.data.annotation_options import AnnotationOptions
from fissura.data.cache import default_dir
from fissura.data.formats.annotation import AnnotatedImage, AnnotatedSet, Polyline, digest_of
from fissura.data.formats.labels import crack_labels, named
from fissura.data.formats.shapes.pixels import read_pixels
from fissura.data.formats.shapes.rasterize import IGNORED, is_ignored, rasterize
from fissura.data.labels import Labels
from fissura.data.walk import Skipped
from fissura.errors import InputError
from fissura.files import replacing
from fissura.files.images import write_image

FORMAT = 1  # raise it whenever the same shapes become other pixels


@dataclass(frozen=True)
class Painted:
    """An annotated image with its masks; fields are as those of `fissura.data.folder.Pair`.

    Attributes:
        name: Name of the image.
        split: "train", "val", "test" or "".
        image: The photo; in the cache where it lies inside another file.
        mask: In the cache, as all masks; 255 is crack, or the value of each class.
        ignored: Mask of the pixels without a label, or None.
        layers: Overlapping classes and their masks.
    """

    name: str
    split: str
    image: Path
    mask: Path | None
    ignored: Path | None
    layers: tuple[tuple[str, Path], ...]


def paint(
    annotated: AnnotatedSet,
    options: AnnotationOptions,
    labels: Labels,
    cache_dir: Path | None = None,
) -> tuple[list[Painted], list[Skipped], list[str]]:
    """Paint the masks of a set.

    Args:
        annotated: The set.
        options: Which labels are crack, and how wide lines are.
        labels: The classes, whose names are labels of the set; none for crack or not.
        cache_dir: Where masks are kept; None is `fissura.data.cache.default_dir()`.

    Returns:
        The images with their masks, those that cannot be painted, and what was noticed in
        sentences.

    Raises:
        InputError: It is unclear which labels are cracks, or a class is none of the labels.
        OSError: The cache cannot be written to.
    """
    chosen = _chosen(annotated, options, labels)
    folder = (cache_dir or default_dir()) / "annotations"

    def work(image: AnnotatedImage) -> Painted | Skipped:
        try:
            return _paint_one(image, chosen, options.line_width, folder)
        except InputError as error:
            return Skipped(image.image, str(error).removeprefix(f"{image.image}: ").rstrip("."))

    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        outcomes = list(pool.map(work, annotated.images))
    painted = [outcome for outcome in outcomes if isinstance(outcome, Painted)]
    skipped = [outcome for outcome in outcomes if isinstance(outcome, Skipped)]
    marked = {label for mask in chosen for label in mask.values}
    return painted, skipped, [*annotated.notes, *_told(annotated, marked, options, labels)]


@dataclass(frozen=True)
class _Mask:
    """One mask to paint: the value of each label, and the class whose own mask it is, or ""."""

    values: dict[str, int]
    layer: str = ""


def _chosen(annotated: AnnotatedSet, options: AnnotationOptions, labels: Labels) -> list[_Mask]:
    """Choose the masks that each image gets."""
    if not labels.classes:
        return [_Mask(dict.fromkeys(crack_labels(annotated, options.labels), 255))]
    if options.labels is not None:
        raise InputError("--labels says what is crack, and --classes names several. Give one.")
    of_label = {label.casefold(): label for label in annotated.labels}
    if unknown := [name for name in labels.classes if name.casefold() not in of_label]:
        raise InputError(
            f"--classes {','.join(labels.classes)}: {annotated.root} has no label "
            f"{', '.join(unknown)}. Its labels are {named(annotated.labels)}."
        )
    names = [of_label[name.casefold()] for name in labels.classes]
    if labels.overlapping:
        return [_Mask({n: 255}, c) for n, c in zip(names, labels.classes, strict=True)]
    return [_Mask(dict(zip(names, labels.values, strict=True)))]


def _paint_one(
    image: AnnotatedImage, chosen: list[_Mask], line_width: float | None, folder: Path
) -> Painted:
    """Paint the masks of an image, unless they are in the cache."""
    key = hashlib.sha256(f"{FORMAT} {line_width} {digest_of(image)}".encode())
    photo = image.image
    if image.stored is not None:
        photo = _unpacked(image, folder)
    lines = any(isinstance(shape.geometry, Polyline) for shape in image.shapes)
    if lines and line_width is None:  # the mask depends on the photo
        key.update(photo.read_bytes())

    def kept(values: dict[str, int], *, ignored: bool = False) -> Path:
        own = hashlib.sha256(key.digest() + f"{values} {ignored}".encode()).hexdigest()[:32]
        path = folder / "masks" / f"{own}.png"
        if not path.is_file():
            numbers = {label: number for number, label in enumerate(values, start=1)}
            indices = rasterize(image, numbers, line_width)
            written = np.zeros(256, np.uint16)
            written[1 : len(values) + 1] = list(values.values())
            if ignored:
                written[:] = [255 * (index == IGNORED) for index in range(256)]
            deep = written.max(initial=0) > 255
            write_image(path, written[indices].astype(np.uint16 if deep else np.uint8))
        return path

    paths = [(mask.layer, kept(mask.values)) for mask in chosen]
    layers = tuple((layer, path) for layer, path in paths if layer)
    ignored = None
    if any(map(is_ignored, image.shapes)):
        marked = {label: value for mask in chosen for label, value in mask.values.items()}
        ignored = kept(marked, ignored=True)
    mask = None if layers else paths[0][1]
    return Painted(image.name, image.split, photo, mask, ignored, layers)


def _unpacked(image: AnnotatedImage, folder: Path) -> Path:
    """Write an image that lies inside another file into the cache."""
    assert image.stored is not None
    data = image.stored()
    suffix = ".jpg" if data[:2] == b"\xff\xd8" else ".png"
    path = folder / "images" / f"{hashlib.sha256(data).hexdigest()[:32]}{suffix}"
    if path.is_file():
        return path
    if suffix == ".png" and data[:4] != b"\x89PNG":
        write_image(path, np.ascontiguousarray(read_pixels(image)[:, :, ::-1]))
        return path
    with replacing(path) as temporary:
        temporary.write_bytes(data)
    return path


def _told(
    annotated: AnnotatedSet, marked: set[str], options: AnnotationOptions, labels: Labels
) -> list[str]:
    """Say in sentences what was decided."""
    told = []
    others = tuple(label for label in annotated.labels if label not in marked)
    if others:
        count = "counts" if len(others) == 1 else "count"
        own = tuple(label for label in annotated.labels if label in marked)
        told.append(
            f"{named(others)} {count} as background."
            if labels.classes
            else f"Crack is what is labeled {named(own)}; {named(others)} {count} as background "
            "(--labels chooses otherwise)."
        )
    ignored = sum(any(map(is_ignored, image.shapes)) for image in annotated.images)
    if ignored:
        told.append(
            f"{'1 image has' if ignored == 1 else f'{ignored} images have'} areas without a label "
            "(crowds, or labeled as such), which count nowhere."
        )
    lines = sum(
        isinstance(shape.geometry, Polyline) and shape.label in marked
        for image in annotated.images
        for shape in image.shapes
    )
    if lines and options.line_width is None:
        drawn = "1 line gets its width" if lines == 1 else f"{lines} lines get their widths"
        told.append(
            f"{drawn} from the dark ridge in the photo beneath; --line-width sets a fixed one."
        )
    elif lines:
        told.append(f"Lines are painted {options.line_width:g} pixels wide.")
    return told
