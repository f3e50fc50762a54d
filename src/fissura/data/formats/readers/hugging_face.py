"""Hugging Face data sets on disk: Parquet or Arrow files with columns of images and masks.

The format: https://huggingface.co/docs/datasets/image_load. An image is a record of `bytes` and
`path`.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fissura.data.formats.annotation import Bitmap, Shape
from fissura.data.formats.source import Gathered, Source
from fissura.data.layouts import SPLITS
from fissura.data.masks import MaskLook, MaskRule, choose_rule
from fissura.data.walk import below
from fissura.errors import InputError, extra
from fissura.pillow import check_promise, opened_image

NAME = "Hugging Face"
PHOTO = re.compile(r"image|img|photo|picture|input|pixel_values", re.IGNORECASE)
MASK = re.compile(r"mask|label|annotation|segmentation|target|ground", re.IGNORECASE)


def tables(source: Source) -> list[Path]:
    """Files of tables in a source."""
    return source.ending(".parquet", ".arrow")


def read_hugging_face(gathered: Gathered) -> None:
    """Read all tables of a source; names of files or folders tell the split.

    What the values of masks mean is told by all of them, as of masks in files.

    Raises:
        InputError: pyarrow is missing, or a table has no columns of images and masks.
    """
    with extra("parquet", "Reading Parquet and Arrow files"):
        import pyarrow  # noqa: F401  # pyright: ignore[reportMissingImports]
    rows = []
    for path in tables(gathered.source):
        photo, mask, groups = _columns(path)
        split = gathered.split_of(path) or _split_of(path)
        for group, count in enumerate(groups):
            for row in range(count):
                name = f"{below(path.with_suffix(''), gathered.source.root)}/{len(rows)}"
                rows.append((path, name, split, (group, row, photo), (group, row, mask)))
    values: list[NDArray[Any] | None] = []
    looks = []
    for path, name, _, _, mask in rows:
        try:
            pixels = _decoded(_cell(path, *mask), f"the mask of {name}")
            looks.append((path.parent / name, MaskLook.of(pixels)))
            values.append(np.array(pixels.shape[:2]))
        except InputError as error:
            gathered.skip(path, error)
            values.append(None)
    rule = choose_rule(looks, gathered.source.root) if looks else MaskRule()
    for (path, name, split, photo, mask), size in zip(rows, values, strict=True):
        if size is None:
            continue
        shape = Shape("crack", _bitmap(path, mask, name, rule))
        size_hw = int(size[0]), int(size[1])
        gathered.add(
            path,
            [shape],
            path,
            size_hw=size_hw,
            split=split,
            name=name,
            stored=_reader(path, photo),
        )


def _bitmap(path: Path, mask: tuple[int, int, str], name: str, rule: MaskRule) -> Bitmap:
    """The crack pixels of a row."""
    digest = hashlib.sha256(_cell(path, *mask)).hexdigest()

    def read() -> NDArray[np.bool_]:
        return rule.apply(_decoded(_cell(path, *mask), f"the mask of {name}"))

    return Bitmap(read, f"{digest} {rule}")


def _reader(path: Path, photo: tuple[int, int, str]) -> Callable[[], bytes]:
    """Return what reads the photo of a row."""
    return lambda: _cell(path, *photo)


def _columns(path: Path) -> tuple[str, str, list[int]]:
    """The columns of photos and masks, and the number of rows of each group."""
    import pyarrow as pa  # pyright: ignore[reportMissingImports]
    import pyarrow.parquet as pq  # pyright: ignore[reportMissingImports]

    try:
        if path.suffix.lower() == ".parquet":
            file = pq.ParquetFile(path)
            schema = file.schema_arrow
            counts = [file.metadata.row_group(g).num_rows for g in range(file.num_row_groups)]
        else:
            table = _arrow_table(path)
            schema, counts = table.schema, [table.num_rows]
    except Exception as error:  # pyarrow's are of many kinds
        raise InputError(f"{path}: is damaged, it is no whole table.") from error
    if min(counts, default=0) < 0 or sum(counts) > path.stat().st_size:
        raise InputError(f"{path}: is damaged, it promises more rows than it can hold.")
    images = [
        field.name
        for field in schema
        if pa.types.is_struct(field.type) and field.type.get_field_index("bytes") >= 0
    ]
    masks = [name for name in images if MASK.search(name)]
    photos = [name for name in images if name not in masks and PHOTO.search(name)]
    if len(images) == 2 and len(masks) == 1:
        photos = [name for name in images if name not in masks]
    if len(photos) != 1 or len(masks) != 1:
        told = ", ".join(field.name for field in schema)
        raise InputError(
            f"{path}: one column of images and one of masks are expected, and its columns are "
            f"{told}. Name them image and mask."
        )
    return photos[0], masks[0], counts


def _arrow_table(path: Path) -> Any:
    """A table as `save_to_disk` writes it, in the memory of the file."""
    import pyarrow as pa  # pyright: ignore[reportMissingImports]

    with pa.memory_map(str(path)) as source:
        try:
            return pa.ipc.open_stream(source).read_all()
        except pa.ArrowInvalid:
            return pa.ipc.open_file(source).read_all()


@lru_cache(maxsize=4)
def _group(path: Path, changed: int, group: int, column: str) -> Any:
    """A column of a group of rows; kept for a while, as rows are read one after the other."""
    import pyarrow.parquet as pq  # pyright: ignore[reportMissingImports]

    if path.suffix.lower() == ".parquet":
        return pq.ParquetFile(path).read_row_group(group, columns=[column]).column(0)
    return _arrow_table(path).column(column)


def _cell(path: Path, group: int, row: int, column: str) -> bytes:
    """The bytes of an image in a table."""
    try:
        value = _group(path, path.stat().st_mtime_ns, group, column)[row].as_py()
    except Exception as error:  # pyarrow's are of many kinds
        raise InputError(f"{path}: is damaged, row {row} cannot be read ({error})") from error
    data = value.get("bytes") if isinstance(value, dict) else None
    if not isinstance(data, bytes):
        raise InputError(f"{path}: row {row} holds no image in {column}, but a path at most")
    return data


def _decoded(data: bytes, what: str) -> NDArray[Any]:
    """The values of a mask."""
    with opened_image(data, what) as image:
        check_promise(what, image, len(data))
        values = np.asarray(image.convert("L") if image.mode == "1" else image)
    if values.ndim == 3:
        values = values[:, :, :3].max(axis=2)
    return values.astype(np.uint8 if values.max(initial=0) <= 255 else np.uint16)


def _split_of(path: Path) -> str:
    """The split that the name of a file begins with, such as train-00000-of-00001.parquet."""
    word = re.split(r"[-_.]", path.stem)[0]
    return next((s for s, words in SPLITS.items() if re.fullmatch(words, word, re.IGNORECASE)), "")
