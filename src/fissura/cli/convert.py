"""`fissura convert`: annotations, masks or results, written as another tool reads them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Group, Parameter

from fissura.cli.options import PHOTOS_FAILED, counted
from fissura.data.annotation_options import AnnotationOptions
from fissura.data.conversion.options import ConvertOptions

Format = Literal["masks", "coco", "yolo", "labelme", "cvat", "label-studio"]
ANNOTATIONS, OPTIONS = AnnotationOptions(), ConvertOptions()


def convert(
    source: Path,
    out: Path,
    *,
    to: Format,
    annotations: Annotated[
        AnnotationOptions, Parameter(name="*", group=Group("Annotations"))
    ] = ANNOTATIONS,
    options: Annotated[ConvertOptions, Parameter(name="*", group=Group("Writing"))] = OPTIONS,
) -> int:
    """Write annotations, masks, or what a model found, as another tool reads them.

    SOURCE is a folder as a labeling tool leaves it (its format is recognized), photos with masks,
    or a folder of results of `fissura predict` or `fissura inspect`, whose masks become pre-labels
    to correct. `fissura train` takes annotations as they are, without converting.

    Args:
        source: Folder, or annotation file.
        out: Folder to make. It must not exist yet.
        to: Format to write.
    """
    from fissura.data.conversion.convert import convert as run

    done = run(source, out, to, annotations=annotations, options=options)
    for note in done.notes:
        print(f"Note: {note}", file=sys.stderr)
    for bad in done.skipped:
        print(f"Left out: {bad.file}: {bad.reason}.", file=sys.stderr)
    print(f"{counted(done.images, 'image')} of {done.source} written to {done.folder} as {to}.")
    return PHOTOS_FAILED if done.skipped else 0
