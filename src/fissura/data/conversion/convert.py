"""`convert`: annotations, masks or results in one format, written in another."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from fissura.data.annotation_options import AnnotationOptions
from fissura.data.conversion.found import bitmap_of, read_results
from fissura.data.conversion.options import ConvertOptions
from fissura.data.folder import find_pairs
from fissura.data.formats.annotation import AnnotatedImage, AnnotatedSet, Bitmap, Polyline, Shape
from fissura.data.formats.exporters import Exporter, Ready, settled
from fissura.data.formats.exporters.coco import write_coco
from fissura.data.formats.exporters.cvat import write_cvat
from fissura.data.formats.exporters.label_studio import write_label_studio
from fissura.data.formats.exporters.labelme import write_labelme
from fissura.data.formats.exporters.masks import write_masks
from fissura.data.formats.exporters.yolo import write_yolo
from fissura.data.formats.labels import chosen_labels
from fissura.data.formats.mask_files import mask_shapes
from fissura.data.formats.recognize import read_annotations
from fissura.data.formats.source import Gathered, Source
from fissura.data.images import ORIENTATION_TAG, exif_of, read_size
from fissura.data.labels import Labels
from fissura.data.layouts import placed
from fissura.data.masks import MaskRule, read_mask
from fissura.data.pairs import Pair
from fissura.data.preparation.prepare import decode_rule
from fissura.data.walk import Skipped, refuse_bad
from fissura.errors import InputError
from fissura.files import new_folder
from fissura.pillow import opened_image

EXPORTERS: dict[str, Exporter] = {
    "masks": write_masks,
    "coco": write_coco,
    "yolo": write_yolo,
    "labelme": write_labelme,
    "cvat": write_cvat,
    "label-studio": write_label_studio,
}
DEFAULTS = AnnotationOptions()


@dataclass(frozen=True)
class Converted:
    """The outcome of `convert`.

    Attributes:
        folder: What was written.
        source: Format of the source, in words.
        images: Number of images.
        labels: Names of the classes.
        skipped: Files that were left out, with `skip_bad`.
        notes: What was noticed or lost, in sentences.
    """

    folder: Path
    source: str
    images: int
    labels: tuple[str, ...]
    skipped: list[Skipped]
    notes: list[str]


def convert(
    source: str | Path,
    out: str | Path,
    to: str,
    *,
    annotations: AnnotationOptions = DEFAULTS,
    options: ConvertOptions | None = None,
) -> Converted:
    """Write annotations, masks or results in another format.

    Args:
        source: A folder or file that `fissura.data.formats.read_annotations` knows; a folder of
            photos and masks; or a folder that `predict` or `inspect` wrote, whose masks become
            pre-labels.
        out: The folder to make. It must not exist or be empty.
        to: The format: masks, coco, yolo, labelme, cvat or label-studio.
        annotations: Labels to write, all unless given; and the width of lines.
        options: See `ConvertOptions`.

    Returns:
        What was written, and what was lost.

    Raises:
        InputError: The source cannot be read, has files that cannot be used, or `out` is not empty.
        OSError: `out` cannot be written.
    """
    source, out = Path(source), Path(out)
    options = options or ConvertOptions()
    if to not in EXPORTERS:
        raise InputError(f"There is no format {to!r}. Choose one of: {', '.join(EXPORTERS)}.")
    if not source.exists():
        raise InputError(f"{source} does not exist.")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"{out} exists already. Give a new folder.")
    annotated = _read(source, options)
    labels = annotated.labels or ("crack",)
    if annotations.labels is not None:
        labels = chosen_labels(annotated, annotations.labels)
    skipped = list(annotated.skipped)
    refuse_bad(skipped, annotated.root, go_on=options.skip_bad and bool(annotated.images))
    if not annotated.images:
        raise InputError(f"{source} has annotations ({annotated.format}), but of no image.")
    written = 0

    def ready() -> Iterator[Ready]:
        nonlocal written
        for image, name in zip(annotated.images, _names(annotated), strict=True):
            try:
                made = _ready(image, labels, annotations.line_width)
            except InputError as error:
                why = str(error).removeprefix(f"{image.image}: ").rstrip(".")
                skipped.append(Skipped(image.image, why))
                refuse_bad(skipped, annotated.root, go_on=options.skip_bad)
                continue
            written += 1
            suffix = image.image.suffix if image.stored is None else ".png"
            if image.stored is not None and image.stored()[:2] == b"\xff\xd8":
                suffix = ".jpg"
            yield Ready(made, name, suffix, options.polygons, options.copy_photos)

    with new_folder(out) as temporary:
        lost = EXPORTERS[to](temporary, labels, ready())
        refuse_bad(skipped, annotated.root, go_on=options.skip_bad and written > 0)
    notes = [*annotated.notes, *lost, *_lost(annotated, to, annotations)]
    return Converted(out, annotated.format, written, labels, skipped, notes)


def _read(source: Path, options: ConvertOptions) -> AnnotatedSet:
    """Read results, annotations, or photos with masks, whichever the source is."""
    if (results := read_results(source, options.photos)) is not None:
        return results
    if options.photos is not None:
        raise InputError(
            f"--photos says where the photos of results lie, and {source} holds none of `fissura "
            "predict` or `fissura inspect`. Put photos and annotations into one folder."
        )
    annotated = read_annotations(source)
    if annotated is not None:
        return annotated
    labels = Labels.parse(options.classes)
    folder = find_pairs(source, skip_bad=options.skip_bad, labels=labels)
    pairs = [(s, pair) for s, listed in folder.splits.items() for pair in listed]
    gathered = Gathered(Source(folder.root, (), ()), skipped=list(folder.skipped))
    _add_masks([(("" if s == "all" else s), pair) for s, pair in pairs], gathered, labels)
    return replace(
        gathered.finished("photos and masks"), format=f"photos and masks: {folder.layout}"
    )


def _add_masks(pairs: list[tuple[str, Pair]], gathered: Gathered, labels: Labels) -> None:
    """Add photos with their masks, decoded by the rule that training would take."""
    rule: MaskRule | None = None
    if not labels.classes:
        everything = [pair for _, pair in pairs]
        chosen, bad = decode_rule(everything, gathered.source.root, labels, skip_bad=True)
        rule = chosen if isinstance(chosen, MaskRule) else None
        gathered.skipped += bad
        pairs = [(s, pair) for s, pair in pairs if not {b.file for b in bad} & set(pair.masks)]
    gathered.labels |= dict.fromkeys(labels.classes or ("crack",))
    for split, pair in pairs:
        try:
            shapes, size_hw = _shapes_of(pair, rule, labels)
        except InputError as error:
            gathered.skip(pair.mask or pair.image, error)
            continue
        gathered.add(pair.image, shapes, pair.image, size_hw=size_hw, split=split, name=pair.name)
    gathered.files = {}


def _shapes_of(
    pair: Pair, rule: MaskRule | None, labels: Labels
) -> tuple[list[Shape], tuple[int, int] | None]:
    """The shapes of a pair's masks, and their size; None where there is no mask."""
    shapes, size_hw = [], None
    if pair.mask is not None and rule is None:
        meaning = {0: ""} | dict(zip(labels.values, labels.classes, strict=True))
        unlabeled = frozenset() if labels.unlabeled is None else frozenset({labels.unlabeled})
        shapes, size_hw = mask_shapes(pair.mask, meaning, ignored=unlabeled)
    elif pair.mask is not None and rule is not None:
        _, size_hw = read_size(pair.mask)
        shapes.append(Shape("crack", bitmap_of(pair.mask, rule)))
        if rule.ignore is not None:
            shapes.append(Shape("", _ignored(pair.mask, rule.ignore), ignored=True))
    if pair.ignored is not None:
        _, size_hw = read_size(pair.ignored)
        shapes.append(Shape("", bitmap_of(pair.ignored), ignored=True))
    return shapes, size_hw


def _ignored(path: Path, value: int) -> Bitmap:
    """The pixels of a mask file that have no label."""
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return Bitmap(lambda: read_mask(path) == value, f"{digest} ignored {value}")


def _ready(
    image: AnnotatedImage, labels: tuple[str, ...], line_width: float | None
) -> AnnotatedImage:
    """Return an image with the shapes of these labels, upright and decoded."""
    orientation = 1
    if image.stored is None:
        stored, shown = read_size(image.image)
        if image.size_hw == stored != shown:
            with opened_image(image.image) as opened:
                orientation = int(exif_of(opened).get(ORIENTATION_TAG, 1))
    kept = tuple(shape for shape in image.shapes if shape.ignored or shape.label in labels)
    return settled(replace(image, shapes=kept), line_width, orientation)


def _names(annotated: AnnotatedSet) -> list[str]:
    """Names of the images in the folder of photos: without words for images and splits."""
    short, root = [], annotated.root
    for image in annotated.images:
        file = root / image.name
        short.append("/".join([*placed(file, root).place, file.name]))
    uses = Counter(name.casefold() for name in short)
    names = [
        name if uses[name.casefold()] == 1 else image.name
        for name, image in zip(short, annotated.images, strict=True)
    ]
    if len({name.casefold() for name in names}) < len(names):
        names = [
            f"{image.name}_{image.image.suffix.removeprefix('.')}" for image in annotated.images
        ]
    return names


def _lost(annotated: AnnotatedSet, to: str, annotations: AnnotationOptions) -> list[str]:
    """Say what changed on the way."""
    told = []
    shapes = [shape for image in annotated.images for shape in image.shapes]
    lines = sum(isinstance(shape.geometry, Polyline) for shape in shapes)
    if lines:
        width = (
            "the width of the dark ridge in the photo beneath"
            if annotations.line_width is None
            else f"a width of {annotations.line_width:g} pixels"
        )
        told.append(
            f"{'1 line' if lines == 1 else f'{lines} lines'} got {width}, and became areas."
        )
    if to not in ("masks", "coco") and (ignored := sum(shape.ignored for shape in shapes)):
        areas = "1 area" if ignored == 1 else f"{ignored} areas"
        told.append(f"{areas} without a label became background, for {to} has no such thing.")
    return told
