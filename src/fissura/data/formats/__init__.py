"""The files of annotation tools: read as shapes on images, painted as masks, and written back.

One module per family of formats; `recognize.read_annotations` finds out which one a folder holds.
"""

from fissura.data.formats.annotation import (
    AnnotatedImage,
    AnnotatedSet,
    Bitmap,
    Polygon,
    Polyline,
    Shape,
)
from fissura.data.formats.recognize import read_annotations
from fissura.data.formats.shapes.rasterize import rasterize

__all__ = [
    "AnnotatedImage",
    "AnnotatedSet",
    "Bitmap",
    "Polygon",
    "Polyline",
    "Shape",
    "rasterize",
    "read_annotations",
]
