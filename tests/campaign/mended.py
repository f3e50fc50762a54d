"""What the campaign has found and what was mended since, each as a small input that stays right."""

from __future__ import annotations

import io
import json
import struct
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True, kw_only=True)
class Mended:
    """An input that once gave something else than a result or a sentence.

    Attributes:
        target: Name of the target.
        file: The file that is spoiled, in the folder of the target.
        change: From the right content to the spoiled one.
        was: What came of it, in words.
    """

    target: str
    file: str
    change: Callable[[bytes], bytes]
    was: str


def replaced(old: str, new: str) -> Callable[[bytes], bytes]:
    """Replace a text that must be there."""

    def change(content: bytes) -> bytes:
        assert old.encode() in content, old
        return content.replace(old.encode(), new.encode(), 1)

    return change


def added(text: str) -> Callable[[bytes], bytes]:
    """Add a text at the end."""
    return lambda content: content + text.encode("utf-8", "surrogateescape")


def instead(text: str | bytes) -> Callable[[bytes], bytes]:
    """Write a text instead of everything."""
    return lambda _: text.encode() if isinstance(text, str) else text


def packed(name: str, change: Callable[[bytes], bytes]) -> Callable[[bytes], bytes]:
    """Change an entry of an archive."""

    def change_entry(content: bytes) -> bytes:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            entries = {one: archive.read(one) for one in archive.namelist()}
        entries[name] = change(entries[name])
        again = io.BytesIO()
        with zipfile.ZipFile(again, "w") as archive:
            for one, inside in entries.items():
                archive.writestr(one, inside)
        return again.getvalue()

    return change_entry


def packed_under(beginning: str, change: Callable[[bytes], bytes]) -> Callable[[bytes], bytes]:
    """Change the first entry of an archive with a beginning in its name that can be changed."""

    def change_entry(content: bytes) -> bytes:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            names = [name for name in archive.namelist() if beginning in name]
            (name, *_) = [
                name for name in names if name.endswith(".py") and b"forward" in archive.read(name)
            ]
        return packed(name, change)(content)

    return change_entry


def of_size(width: int, height: int) -> Callable[[bytes], bytes]:
    """Let the header of a PNG promise another size."""

    def change(content: bytes) -> bytes:
        head = struct.pack(">II", width, height) + content[24:29]
        check = struct.pack(">I", zlib.crc32(b"IHDR" + head))
        return content[:16] + head + check + content[33:]

    return change


def twice_bytes(old: bytes, new: bytes) -> Callable[[bytes], bytes]:
    """Replace bytes, which must be there, wherever they are; as many."""

    def change(content: bytes) -> bytes:
        assert old in content, old
        return content.replace(old, new)

    return change


def both(*changes: Callable[[bytes], bytes]) -> Callable[[bytes], bytes]:
    """Change content in several ways."""

    def change(content: bytes) -> bytes:
        for one in changes:
            content = one(content)
        return content

    return change


def packed_as(form: str, old: Any, new: Any) -> Callable[[bytes], bytes]:
    """Replace numbers, which must be there, wherever they are, in the form of `struct`."""
    return twice_bytes(struct.pack(form, *old), struct.pack(form, *new))


def metadata(name: str, value: Any) -> Callable[[bytes], bytes]:
    """Set an entry of a JSON file."""
    return lambda content: json.dumps(json.loads(content) | {name: value}).encode()


def within(change: Callable[[Any], Any]) -> Callable[[bytes], bytes]:
    """Change what a JSON file holds in place."""

    def change_value(content: bytes) -> bytes:
        value = json.loads(content)
        change(value)
        return json.dumps(value).encode()

    return change_value


def in_array(change: Callable[[bytes], bytes]) -> Callable[[bytes], bytes]:
    """Change the bytes that an array of NumPy holds."""

    def change_bytes(content: bytes) -> bytes:
        inside = np.load(io.BytesIO(content)).tobytes()
        np.save(again := io.BytesIO(), np.frombuffer(change(inside), np.uint8))
        return again.getvalue()

    return change_bytes


DEEP_JSON, DEEP_YAML = "[" * 5000, "[" * 2000
RUN = "study/runs/panels-3pc-40-hybrid-focal-margin-2ep-s0-e0132f3f.json"
INPUTS: tuple[Mended, ...] = (
    *(
        Mended(target=target, file=file, change=change, was=was)
        for target, file in (
            ("settings", "limits.yaml"), ("settings", "report.yaml"),
            ("settings", "severity.yaml"), ("settings", "photos/scale.yaml"),
            ("options", "config.yaml"), ("options", "recipe.yaml"), ("options", "mixture.yaml"),
        )
        for change, was in (
            (instead(DEEP_YAML), "RecursionError"),
            (added("when: 2026-02-30\n"), "ValueError: day is out of range"),
            (added("when: !!timestamp x\n"), "AttributeError within PyYAML"),
        )
    ),
    Mended(
        target="settings", file="severity.yaml", change=replaced("width: p95", "width: [p95]"),
        was="TypeError: unhashable type",
    ),
    Mended(
        target="settings", file="report.yaml", change=replaced("date_form: iso", "date_form: []"),
        was="TypeError: unhashable type",
    ),
    Mended(
        target="options", file="mixture.yaml", change=replaced("[0-9]+", "[9-0]+"),
        was="re.error: bad character range",
    ),
    Mended(
        target="options", file="mixture.yaml", change=replaced("block: 10", "block: a"),
        was="TypeError: int // str",
    ),
    Mended(
        target="options", file="recipe.yaml", change=replaced("[crackseg]", "[{a: 1}]"),
        was="TypeError: unhashable type",
    ),
    Mended(
        target="convert coco", file="walls/annotations/instances_default.json",
        change=replaced('"category_id": 1', '"category_id": [1]'),
        was="TypeError: unhashable type",
    ),
    Mended(
        target="options", file="recipe.yaml", change=replaced("count: 40", "count: .nan"),
        was="ValueError: cannot convert NaN",
    ),
    Mended(
        target="options", file="recipe.yaml", change=replaced("loss: bce-dice", "data: a"),
        was="TypeError: multiple values for data",
    ),
    Mended(
        target="options", file="recipe.yaml",
        change=replaced("panels: 0.03, count: 40", "folder: [a]"), was="TypeError: unhashable",
    ),
    Mended(
        target="options", file="mixture.yaml", change=replaced("root: .", 'root: "\\ud800"'),
        was="UnicodeEncodeError of a lone surrogate",
    ),
    Mended(
        target="photos", file="palette.png", change=of_size(262_200, 134_217_769),
        was="all memory of the machine",
    ),
    Mended(
        target="masks", file="masks/plain.bmp",
        change=lambda content: content[:22] + struct.pack("<i", 2**27) + content[26:],
        was="4632 MB",
    ),
    Mended(
        target="photos", file="plain.tif",
        change=packed_as("<2H2I", [257, 4, 1, 40], [257, 4, 1, 10**7]),
        was="a hang, and 4 GB: 560 megapixels of nothing",
    ),
    Mended(
        target="read coco_compressed", file="instances_default.json",
        change=metadata("categories", 0.5), was="TypeError: not iterable",
    ),
    Mended(
        target="read supervisely", file="wall_0.jpg.json",
        change=replaced('"interior": []', '"interior": 0.5'), was="TypeError: not iterable",
    ),
    Mended(
        target="read hugging_face", file="train-*.parquet",
        change=twice_bytes(b"PAR1\x15\x04\x15\x96k", b"PAR1\x15\x04\x15\x96["),
        was="ArrowInvalid: Output buffer size",
    ),
    Mended(
        target="read label_studio", file="*.json",
        change=replaced('"annotations": [', '"annotations": 1, "x": ['),
        was="TypeError: not iterable",
    ),
    *(
        Mended(target="exported", file="exported.torchscript", change=change, was=was)
        for change, was in (
            (
                packed_under("code/__torch__/", twice_bytes(b"def forward", b"`ef forward")),
                "RuntimeError of torch's parser",
            ),
            (
                packed_under("code/__torch__/", twice_bytes(b"forward", b"forw\xb1rd")),
                "UnicodeDecodeError",
            ),
        )
    ),
    Mended(
        target="frames", file="video.mp4", change=twice_bytes(b"VideoHandler", b"Vi\xf3eoHandler"),
        was="UnicodeDecodeError within PyAV",
    ),
    Mended(
        target="cache", file="cache/*",
        change=packed("about.npy", lambda entry: entry[:8] + b"\x05\0('a'\n"),
        was="tokenize.TokenError",
    ),
    Mended(
        target="model", file="model/config.json", change=metadata("options", {"width": [2]}),
        was="TypeError in the network",
    ),
    Mended(
        target="model", file="model/config.json", change=metadata("std", [1e300, 1, 1]),
        was="RuntimeError: overflow",
    ),
    Mended(
        target="model", file="model/config.json", change=metadata("std", [1e-300, 1, 1]),
        was="RuntimeError: overflow of its inverse",
    ),
    *(
        Mended(
            target="evaluate", file="run/model/config.json", change=metadata("protocol", protocol),
            was=was,
        )
        for protocol, was in (
            ({"name": "native", "crop_hw": None}, "TypeError: size_hw is missing"),
            ({"name": "native", "crop_hw": [[8], [8]], "size_hw": None}, "TypeError: int / list"),
            ({"name": "native", "crop_hw": [0, 0], "size_hw": None}, "ZeroDivisionError"),
        )
    ),
    Mended(
        target="evaluate", file="run/model/config.json",
        change=metadata("training", {"ignore": []}),
        was="TypeError of a value to ignore",
    ),
    Mended(
        target="model", file="model/config.json", change=metadata("mean", None),
        was="TypeError: not iterable",
    ),
    *(
        Mended(target="resume", file="run/metrics.jsonl", change=change, was=was)
        for change, was in (
            (replaced('"loss"', '"lots"'), "KeyError: loss"),
            (metadata("loss", [[1]]), "ValueError: an element with a sequence"),
            (metadata("validation", []), "TypeError: list indices"),
            (metadata("validation", {"iou": {}, "f1": 0.5}), "TypeError: float() of a dict"),
        )
    ),
    Mended(
        target="run", file="run/metrics.jsonl", change=added('{"loss": 1}\n'),
        was="KeyError: epoch",
    ),
    Mended(
        target="run", file="run/metrics.jsonl", change=added("\udcb3"), was="UnicodeDecodeError",
    ),
    Mended(
        target="records", file="done/measured/0.npz",
        change=packed("meta.npy", twice_bytes(b'"cracks"', b'"crackz"')), was="AttributeError",
    ),
    Mended(
        target="records", file="done/inspection.json", change=instead(DEEP_JSON),
        was="RecursionError",
    ),
    Mended(
        target="chunks", file="done/chunks/tiled/settings.json", change=instead(DEEP_JSON),
        was="RecursionError",
    ),
    Mended(
        target="chunks", file="done/chunks/tiled/chunk-00000.npz",
        change=packed("prob.npy", twice_bytes(b"(40, 56)", b"(56, 40)")),
        was="ValueError: other dimensions",
    ),
    Mended(
        target="merge predictions", file="part-1/shard.json",
        change=within(lambda shard: shard["versions"].update(torch=["2"])),
        was="TypeError: unhashable type",
    ),
    Mended(
        target="merge predictions", file="part-1/shard.json", change=metadata("options", 5),
        was="TypeError: not iterable",
    ),
    Mended(
        target="merge predictions", file="part-1/shard.json",
        change=within(lambda shard: shard["notes"].update(notes=[1])), was="TypeError: list | dict",
    ),
    Mended(
        target="merge predictions", file="part-2/shard.json",
        change=within(lambda shard: shard["own"][0].update(name=[])), was="TypeError: unhashable",
    ),
    Mended(
        target="merge inspections", file="part-2/shard.json", change=metadata("options", "a"),
        was="AttributeError: no get",
    ),
    Mended(
        target="merge inspections", file="part-2/shard.json", change=metadata("notes", "a"),
        was="TypeError: string indices",
    ),
    Mended(
        target="merge inspections", file="part-1/shard.json",
        change=within(lambda shard: shard["notes"].update(told={"0": {"date": 1}})),
        was="TypeError: unexpected keyword",
    ),
    Mended(
        target="resume an inspection", file="done/measured/1.npz",
        change=packed("head.npy", in_array(metadata("photo", "a"))), was="AttributeError: no get",
    ),
    Mended(
        target="resume an inspection", file="done/measured/1.npz",
        change=packed("head.npy", twice_bytes(b'"mask": ', b'"musk": ')), was="KeyError: mask",
    ),
    Mended(target="study", file=RUN, change=instead(DEEP_JSON), was="RecursionError"),
    Mended(target="study", file=RUN, change=metadata("key", []), was="TypeError: unhashable"),
    Mended(target="study", file=RUN, change=metadata("counts", [[1], []]), was="ValueError"),
    Mended(target="study", file=RUN, change=metadata("metrics", "iou"), was="TypeError"),
    Mended(
        target="study", file=RUN, change=metadata("metrics", {"iou": 1}), was="an IoU of no float",
    ),
    Mended(
        target="georeferenced", file="tiled.tif", change=packed_as("<d", [0.002], [1e-300]),
        was="ZeroDivisionError",
    ),
    Mended(
        target="georeferenced", file="float.tif",
        change=packed_as("<2H2I", [339, 3, 1, 3], [339, 3, 1, 5]),
        was="TypeError: data type 'complex_int16' not understood",
    ),
    Mended(
        target="georeferenced", file="deep.tif",
        change=both(
            packed_as("<2H2I", [33550, 12, 3, 258], [33550, 12, 2**17, 258]),
            packed_as("<4H", [1025, 0, 1, 1], [1025, 0, 17, 1]),
        ),
        was="CPLE_AppDefinedError, told when the colors were asked for",
    ),
    Mended(
        target="georeferenced", file="mask.tif",
        change=both(
            twice_bytes(b"WGS 84", b"WGS\xa084"),
            packed_as("<4H", [1024, 0, 1, 1], [1024, 0, 1, 9]),
        ),
        was="UnicodeDecodeError within rasterio",
    ),
    Mended(
        target="georeferenced", file="deep.tif",
        change=packed_as("<2H2I", [262, 3, 1, 1], [262, 3, 1, 0]),
        was="IndexError: a palette of 65536 colors",
    ),
    Mended(
        target="desk", file="photos/fissura-desk/tiles/0.tiles",
        change=lambda content: content[:40],
        was="JSONDecodeError",
    ),
    Mended(
        target="desk", file="desk.sqlite", change=twice_bytes(b"\x78\x9c", b"\x78\x9d"),
        was="zlib.error: incorrect header check of the pixels of an edit",
    ),
    Mended(
        target="desk", file="desk.sqlite", change=twice_bytes(b"\x78\x01", b"\x78\x02"),
        was="zlib.error: incorrect header check of a crack",
    ),
    Mended(
        target="desk", file="desk.sqlite", change=twice_bytes(b'"verdict"', b'"verd\xffct"'),
        was="sqlite3.OperationalError: could not decode to UTF-8",
    ),
    Mended(
        target="desk", file="desk.sqlite", change=twice_bytes(b'"points"', b'"points%'),
        was="JSONDecodeError of the body of an edit",
    ),
    Mended(
        target="convert supervisely", file="walls/ds0/ann/wall_3.jpg.json",
        change=replaced('"origin": [', '"origin": [256'),
        was="OpenCV ended the process over a bitmap beside its image",
    ),
    Mended(
        target="evaluate", file="run/model/config.json",
        change=metadata("threshold_source", "."), was="KeyError: '.'",
    ),
    Mended(
        target="photos", file="deep.png",
        change=lambda c: c[: c.index(b"IDAT") - 4] + b"\x7f\xff\xff\xff" + c[c.index(b"IDAT") :],
        was="2 GB for a chunk of a PNG",
    ),
    Mended(  # the index of the photos' ids alone: the table still has the photo
        target="desk", file="desk.sqlite", change=twice_bytes(b"\x03\x11\tp1", b"\x03\x11\tq1"),
        was="KeyError: 'p1'",
    ),
)  # fmt: skip
# What was mended after a disturbance: its row of the table, and what came of it.
DISTURBED: tuple[tuple[str, str], ...] = (
    ("disk full: train", "a traceback of torch's writer, while the state was saved"),
    ("killed at any time: inspect", "hidden files of the process that was killed stayed"),
    ("killed at a change of a file: a large raster", "a hidden file of the first settings stayed"),
    ("killed at any time: inspect", "journals of GeoPackages that were not finished stayed"),
)
