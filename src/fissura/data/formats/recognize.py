"""Find out from the content of files which format a source has, and read it."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from fissura.data.formats.annotation import AnnotatedSet
from fissura.data.formats.documents import read_json, read_xml
from fissura.data.formats.readers import (
    coco,
    cvat,
    hugging_face,
    label_studio,
    labelme,
    mvtec,
    nnunet,
    roboflow,
    supervisely,
    via,
    voc,
    yolo,
)
from fissura.data.formats.source import Gathered, Source, not_used
from fissura.data.layouts import match, placed, tell_apart
from fissura.data.walk import below
from fissura.errors import InputError

# How the JSON files of a format are recognized and read.
JSON: dict[str, tuple[Callable[[Any], bool], Callable[[Path, Any, Gathered], None]]] = {
    coco.NAME: (coco.is_coco, coco.read_coco),
    labelme.NAME: (labelme.is_labelme, labelme.read_labelme),
    label_studio.NAME: (label_studio.is_label_studio, label_studio.read_label_studio),
    via.NAME: (via.is_via, via.read_via),
}

# Suffixes of files that may be given instead of their folder.
KNOWN = (".json", ".xml", ".csv", ".yaml", ".yml", ".parquet", ".arrow")
BRUSH_PICTURE = re.compile(r"task-\d+-annotation-\d+-by-")


def read_annotations(source: Path, photos: Sequence[Path] | None = None) -> AnnotatedSet | None:
    """Read the annotations of a folder, or of one annotation file, in the format they have.

    Args:
        source: The folder that holds annotations and images; or an annotation file, whose images
            lie in its folder or below, or beside its folder where that is named for annotations.
        photos: The images that annotations may mean, where these lie elsewhere.

    Returns:
        The images with their shapes; None where no format is recognized, and where photos and
        masks are paired by their names, which then count.

    Raises:
        InputError: A file that belongs to the format is damaged as a whole, or there are several
            formats.
    """
    if source.suffix.lower() not in KNOWN and not source.is_dir():
        return None
    files = Source.of(source, photos)
    _refuse_brush_pictures(files)
    if photos is None and (whole := _read_layout(files)) is not None:
        return whole
    if photos is None and source.is_dir() and _has_masks(files):
        return None
    found: dict[str, Gathered] = defaultdict(lambda: Gathered(files))
    damaged: list[tuple[Path, InputError]] = []
    for path in files.ending(".json"):
        try:
            content = read_json(path)
        except InputError as error:
            damaged.append((path, error))
            continue
        for name, (recognized, read) in JSON.items():
            if recognized(content):
                read(path, content, found[name])
                break
    for path in files.ending(".xml"):
        try:
            root = read_xml(path)
        except InputError as error:
            damaged.append((path, error))
            continue
        if cvat.is_cvat(root):
            cvat.read_cvat(path, root, found[cvat.NAME])
    for path in files.ending(".csv"):
        if via.is_via_csv(path):
            via.read_via_csv(path, found[via.NAME])
    if not found and hugging_face.tables(files):
        hugging_face.read_hugging_face(found[hugging_face.NAME])
    if not found and yolo.has_yolo(files):
        yolo.read_yolo(found[yolo.NAME])
    if source.is_dir():
        for gathered in found.values():
            _note_unlisted(gathered)
    return _the_one(found, damaged, files)


def _note_unlisted(gathered: Gathered) -> None:
    """Say how many photos of the folder no annotation lists."""
    used = {image.image for image in gathered.images} | {bad.file for bad in gathered.skipped}
    if unlisted := len([file for file in gathered.source.images if file not in used]):
        gathered.notes.append(not_used(unlisted, "photo", "no annotation"))


def _refuse_brush_pictures(source: Source) -> None:
    """Raise for Label Studio's export of brush masks as images, which names no photo."""
    if source.images and all(BRUSH_PICTURE.match(file.name) for file in source.images):
        raise InputError(
            f"{source.root} holds masks as Label Studio exports them to PNG or NumPy, whose names "
            "don't say which photo they belong to. Export the project as JSON, and put it beside "
            "the photos."
        )


def _read_layout(source: Source) -> AnnotatedSet | None:
    """Read a format that is told by its folders and descriptions, before all files are opened."""
    gathered = Gathered(source)
    if (description := nnunet.find_nnunet(source)) is not None:
        nnunet.read_nnunet(description, gathered)
        return gathered.finished(nnunet.NAME)
    if (description := supervisely.find_supervisely(source)) is not None:
        supervisely.read_supervisely(description, gathered)
        return gathered.finished(supervisely.NAME)
    layouts = (
        (mvtec.NAME, mvtec.has_mvtec, mvtec.read_mvtec),
        (voc.NAME, voc.has_voc, voc.read_voc),
        (roboflow.NAME, roboflow.has_roboflow, roboflow.read_roboflow),
    )
    for name, there, read in layouts:
        if len(source.given) == len(source.files) and there(source):
            read(gathered)
            return gathered.finished(name)
    return None


def _the_one(
    found: dict[str, Gathered], damaged: list[tuple[Path, InputError]], source: Source
) -> AnnotatedSet | None:
    """Return the only format that was found."""
    if len(found) > 1:
        told = " and ".join(
            f"{name} ({', '.join(below(file, source.root) for file in list(g.files)[:2])})"
            for name, g in found.items()
        )
        raise InputError(
            f"{source.root} has annotations in several formats: {told}. Give the file that counts "
            "instead of the folder, or remove the others."
        )
    if not found:
        if damaged:
            raise damaged[0][1]
        return None
    ((name, gathered),) = found.items()
    for path, error in damaged:
        gathered.skip(path, error)
    return gathered.finished(name)


def _has_masks(source: Source) -> bool:
    """Whether images and masks are paired by their names, so that annotations are not needed."""
    images, masks = tell_apart([placed(file, source.root) for file in source.images])
    return bool(images and masks and match(images, masks)[0])
