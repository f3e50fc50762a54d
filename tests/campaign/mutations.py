"""Spoil files on purpose: the same seed spoils a file in the same way.

`mutate` knows what a file holds by its name. Text is changed as text, JSON and YAML by their
structure, archives inside, and headers keep their checksums, so that what is wrong gets behind the
first check; and everything is also changed as bytes.
"""

from __future__ import annotations

import io
import json
import random
import re
import struct
import zipfile
import zlib
from collections.abc import Callable
from typing import Any

import yaml

# Numbers at the ends of every type, and what is no number.
NUMBERS = (0, 1, -1, 2, 255, 256, 65535, 65536, 99_999, 2**31 - 1, 2**31, 2**32 - 1, 2**63, 10**30)
FLOATS = (0.5, -0.5, 1e-300, 1e300, -1e300, float("nan"), float("inf"), -float("inf"))
TEXTS = (
    "", " ", "a" * 5000, "../../secret.jpg", "/etc/passwd", "..\\..\\secret.jpg", "C:\\secret.jpg",
    "secret.jpg\0.png", "nul", ".", "..", "~", "=1+1", "<script>x</script>", "{{7*7}}", "\ud800",
    "\u202e", "crack\n", "-", "%s%n", "'", '"', "null", "1e999", "0x10", "1_0", "NaN",
)  # fmt: skip
VALUES = (*NUMBERS, *FLOATS, *TEXTS, None, True, [], {}, [[]], {"a": []}, [None], [1, "a"])
BOMB = (
    '<!DOCTYPE a [<!ENTITY b "bbbbbbbbbb">'
    + "".join(f'<!ENTITY b{n} "{f"&b{n - 1};" * 10}">' for n in range(1, 10)).replace("b0", "b")
    + "]>"
)
OTHER_FILE = '<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]>'
YAML_TRICKS = (
    "a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b]\n"
    "d: &d [*c,*c,*c,*c,*c,*c,*c,*c]\ne: &e [*d,*d,*d,*d,*d,*d,*d,*d]\n"
    "f: &f [*e,*e,*e,*e,*e,*e,*e,*e]\ng: [*f,*f,*f,*f,*f,*f,*f,*f]\n",
    "a: !!python/object/apply:os.system ['touch secret']\n",
    "a: &a {b: *a}\n", "&a [*a]\n", "? [1, 2]\n: 3\n", "<<: 1\n", "2026-13-45\n", "a: 2026-02-30\n",
    "[" * 2000, "{" * 2000, "- " * 2000 + "x\n", "a: 1\na: 2\n", "\t- x\n", "!!binary x\n",
    "!!timestamp x\n", "!!float x\n", "!!int x\n", "1: 2\nnull: 3\ntrue: 4\n", "1:1:1:1\n",
)  # fmt: skip
JSON_TRICKS = (
    "[" * 5000, '{"a":' * 5000 + "1" + "}" * 5000, "[" * 5000 + "]" * 5000, "1e999", "NaN",
    "-1e999", "-", '{"a": 1, "a": 2}', "9" * 5000, '"\\ud800"', "null", "[]", "{}", '""', "0",
)  # fmt: skip
TEXT = (".json", ".jsonl", ".xml", ".yaml", ".yml", ".csv", ".txt", ".tfw")
ARCHIVES = (".npz", ".xlsx", ".torchscript", ".pt", ".cache")


def mutate(content: bytes, name: str, chance: random.Random) -> bytes:
    """Return the content of a file spoiled in one to three ways."""
    suffix = name[name.rfind(".") :].lower()
    for _ in range(chance.choice((1, 1, 1, 2, 3))):
        way = chance.choice(_ways(suffix, content))
        try:
            content = way(content, chance)
        except Exception:  # an earlier way has left no structure that could be changed
            content = _flip(content, chance)
    return content


def _ways(suffix: str, content: bytes) -> list[Callable[[bytes, random.Random], bytes]]:
    """Return the ways to spoil a file of a kind, the likelier ones several times."""
    ways = [*_BYTES]
    if suffix in TEXT:
        ways = [_numbers, _lines, _words, _text_bytes, *_BYTES[:2]]
        if suffix == ".json":
            ways += [*8 * [_json], _json_trick]
        elif suffix == ".jsonl":
            ways += 3 * [_json_lines]
        elif suffix == ".xml":
            ways += [*4 * [_xml], _entities]
        elif suffix in (".yaml", ".yml"):
            ways += [*6 * [_yaml], _yaml_trick]
        elif suffix == ".csv":
            ways += 4 * [_cells]
    elif suffix in ARCHIVES or content[:2] == b"PK":
        ways += 8 * [_archive]
    elif suffix == ".safetensors":
        ways += 6 * [_safetensors]
    elif content[:4] == b"\x89PNG":
        ways += 3 * [_png]
    elif content[:4] in (b"II*\0", b"MM\0*", b"II+\0"):
        ways += 8 * [_tiff]
    elif content[:2] == b"\xff\xd8":
        ways += 3 * [_jpeg]
    return ways


# --- bytes ------------------------------------------------------------------------------------


def _flip(content: bytes, chance: random.Random) -> bytes:
    """Turn one to eight bits, three times of four near the beginning, where headers are."""
    if not content:
        return b"\0"
    spoiled = bytearray(content)
    most = len(spoiled) if chance.random() < 0.25 else min(len(spoiled), 512)
    for _ in range(chance.randint(1, 8)):
        spoiled[chance.randrange(most)] ^= 1 << chance.randrange(8)
    return bytes(spoiled)


def _cut(content: bytes, chance: random.Random) -> bytes:
    return content[: chance.randrange(len(content) + 1)]


def _drop(content: bytes, chance: random.Random) -> bytes:
    at = chance.randrange(len(content) + 1)
    return content[:at] + content[at + chance.choice((1, 2, 4, 16, 300)) :]


def _copy(content: bytes, chance: random.Random) -> bytes:
    """Copy a block over another, or insert it there."""
    at, to = (chance.randrange(len(content) + 1) for _ in range(2))
    block = content[at : at + chance.choice((1, 4, 16, 64, 1024))]
    return content[:to] + block + content[to + len(block) * chance.randrange(2) :]


def _huge(content: bytes, chance: random.Random) -> bytes:
    """Write a number of two, four or eight bytes over others, in one of the two orders."""
    form = chance.choice(("H", "I", "Q"))
    size = struct.calcsize(form)
    if len(content) < size:
        return content
    value = chance.choice(NUMBERS) & (2 ** (8 * size) - 1)
    at = chance.randrange(min(len(content) - size + 1, 1024))
    return content[:at] + struct.pack(chance.choice("<>") + form, value) + content[at + size :]


_BYTES = [_flip, _flip, _cut, _drop, _copy, _huge]


# --- text -------------------------------------------------------------------------------------


def _decoded(content: bytes) -> str:
    return content.decode("utf-8", "surrogateescape")


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass" if "\ud800" in text else "surrogateescape")


def _one_of(
    pattern: str, content: bytes, chance: random.Random, other: Callable[[list[str]], str]
) -> bytes:
    """Replace one place of a pattern; `other` gives the new text from those of all places."""
    text = _decoded(content)
    found = list(re.finditer(pattern, text))
    if not found:
        return content
    one = chance.choice(found)
    return _encoded(text[: one.start()] + other([each[0] for each in found]) + text[one.end() :])


def _numbers(content: bytes, chance: random.Random) -> bytes:
    """Replace a number by another one, or by none."""
    return _one_of(r"-?\d+(\.\d+)?", content, chance, lambda _: str(chance.choice(VALUES)))


def _words(content: bytes, chance: random.Random) -> bytes:
    """Replace a word by another one of the file, or by a hostile one."""

    def other(words: list[str]) -> str:
        return chance.choice(words if chance.random() < 0.5 else TEXTS)

    return _one_of(r"[^\W\d]\w*", content, chance, other)


def _lines(content: bytes, chance: random.Random) -> bytes:
    """Drop, double or swap lines."""
    lines = content.split(b"\n")
    one, other = (chance.randrange(len(lines)) for _ in range(2))
    if chance.random() < 0.3:
        del lines[one]
    elif chance.random() < 0.5:
        lines.insert(other, lines[one])
    else:
        lines[one], lines[other] = lines[other], lines[one]
    return b"\n".join(lines)


def _text_bytes(content: bytes, chance: random.Random) -> bytes:
    """Change the coding: a byte order mark, another coding, line ends, or bytes of none."""
    text = _decoded(content)
    kind = chance.randrange(5)
    if kind == 0:
        return b"\xef\xbb\xbf" + content
    if kind == 1:
        return text.encode("utf-16", "replace")
    if kind == 2:
        return content.replace(b"\n", b"\r")
    at = chance.randrange(len(content) + 1)
    return content[:at] + (b"\0" if kind == 3 else b"\xff\xfe") + content[at:]


def _cells(content: bytes, chance: random.Random) -> bytes:
    """Replace a cell of a table."""
    lines = _decoded(content).split("\n")
    row = chance.randrange(len(lines))
    cells = lines[row].split(",")
    cells[chance.randrange(len(cells))] = str(chance.choice(VALUES))
    lines[row] = ",".join(cells)
    return _encoded("\n".join(lines))


def _xml(content: bytes, chance: random.Random) -> bytes:
    """Replace the value of an attribute, drop one, or rename an element."""
    text = _decoded(content)
    found = list(re.finditer(r'(\w+)="([^"]*)"', text))
    if not found or chance.random() < 0.2:
        return _words(content, chance)
    one = chance.choice(found)
    if chance.random() < 0.2:
        return _encoded(text[: one.start()] + text[one.end() :])
    value = chance.choice(found)[2] if chance.random() < 0.3 else str(chance.choice(VALUES))
    return _encoded(text[: one.start(2)] + value.replace('"', "") + text[one.end(2) :])


def _entities(content: bytes, chance: random.Random) -> bytes:
    """Declare entities that grow, or one of another file."""
    text = re.sub(r"<\?xml[^>]*>", "", _decoded(content))
    declared, used = (BOMB, "&b9;") if chance.random() < 0.5 else (OTHER_FILE, "&b;")
    return _encoded(declared + text.replace(">", f">{used}", 1))


# --- structures -------------------------------------------------------------------------------


def _json(content: bytes, chance: random.Random) -> bytes:
    try:
        value = json.loads(content)
    except (ValueError, RecursionError):
        return _numbers(content, chance)
    return _encoded(json.dumps(changed(value, chance), ensure_ascii=chance.random() < 0.5))


def _json_trick(content: bytes, chance: random.Random) -> bytes:
    trick = chance.choice(JSON_TRICKS).encode()
    at = chance.choice([0, *(one.start() for one in re.finditer(rb"[\d\[{\"]", content))])
    return trick if chance.random() < 0.4 else content[:at] + trick + content[at + 1 :]


def _json_lines(content: bytes, chance: random.Random) -> bytes:
    lines = content.split(b"\n")
    at = chance.randrange(len(lines))
    lines[at] = _json(lines[at], chance)
    return b"\n".join(lines)


def _yaml(content: bytes, chance: random.Random) -> bytes:
    try:
        value = yaml.safe_load(content)
        return yaml.safe_dump(changed(value, chance), allow_unicode=True).encode(
            "utf-8", "surrogatepass"
        )
    except (yaml.YAMLError, ValueError, RecursionError, TypeError):
        return _numbers(content, chance)


def _yaml_trick(content: bytes, chance: random.Random) -> bytes:
    trick = chance.choice(YAML_TRICKS).encode()
    return trick if chance.random() < 0.4 else content + trick


def changed(value: Any, chance: random.Random) -> Any:
    """Return a structure of JSON in which one value, or one key, is another one."""
    places = list(_places(value, ()))
    if not places:
        return chance.choice(VALUES)
    path = chance.choice(places)
    holder = value
    for step in path[:-1]:
        holder = holder[step]
    step, kind = path[-1], chance.randrange(10)
    if kind == 0:
        del holder[step]
    elif kind == 1:  # another value of the file
        other = value
        for part in chance.choice(places):
            other = other[part]
        holder[step] = json.loads(json.dumps(other))
    elif kind == 2 and isinstance(holder, dict):
        holder[str(chance.choice((*TEXTS, *holder)))] = holder.pop(step)
    elif kind == 2:
        holder.insert(step, holder[step])
    elif kind == 3:
        holder[step] = _nested(chance.choice((10, 300)))
    else:
        holder[step] = chance.choice(VALUES)
    return value


def _places(value: Any, path: tuple[Any, ...]) -> Any:
    """Yield the paths of all values within a structure."""
    inside = list(value.items()) if isinstance(value, dict) else []
    inside += enumerate(value) if isinstance(value, list) else ()
    for step, below in inside:
        yield (*path, step)
        yield from _places(below, (*path, step))


def _nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


# --- files with headers -----------------------------------------------------------------------


def _archive(content: bytes, chance: random.Random) -> bytes:
    """Change an entry of an archive, its name, or drop it; the checksums are right again."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            entries = {name: archive.read(name) for name in archive.namelist()}
    except (zipfile.BadZipFile, zlib.error, OSError, ValueError, NotImplementedError, RuntimeError):
        return _flip(content, chance)
    if not entries:
        return content
    name = chance.choice(list(entries))
    kind = chance.randrange(12)
    if kind == 0:
        del entries[name]
    elif kind == 1:
        entries[chance.choice(TEXTS) or "x"] = entries.pop(name)
    elif kind == 2:
        entries[name] = entries[chance.choice(list(entries))]
    else:
        entries[name] = _entry(entries[name], name, chance)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for one, inside in entries.items():
            archive.writestr(one.encode("utf-8", "replace").decode() or "x", inside)
    return packed.getvalue()


def _entry(content: bytes, name: str, chance: random.Random) -> bytes:
    """Change an entry: the JSON within an array of bytes by its structure, an array's header."""
    if content[:6] != b"\x93NUMPY":
        return mutate(content, name, chance)
    size = struct.unpack_from("<H", content, 8)[0]
    head, body = content[10 : 10 + size].decode("latin-1"), content[10 + size :]
    if body[:1] in b"{[" and b'"' in body and chance.random() < 0.8:
        body = _json(body, chance)
        head = re.sub(r"\(\d+,\)", f"({len(body)},)", head)
    elif chance.random() < 0.6:
        head = _array_head(head, chance)
    else:
        body = chance.choice(_BYTES)(body, chance)
    head = head.encode("latin-1", "replace")[:60_000]
    return content[:8] + struct.pack("<H", len(head)) + head + body


def _array_head(head: str, chance: random.Random) -> str:
    """Change the shape or the type of an array."""
    if chance.random() < 0.5:
        shapes = (
            "()",
            "(0,)",
            "(1,)",
            "(3, 2)",
            "(99999999999,)",
            "(-1,)",
            "(2, 99999)",
            "(2**9,)",
        )
        return re.sub(r"\([^)]*\)", chance.choice(shapes), head)
    kinds = ("|O", "O", "<f8", "<i8", "|u1", "<U3", "|S9", "<M8[ns]", "|b1", "<c16", "|V8")
    return re.sub(r"'descr': '[^']*'", f"'descr': '{chance.choice(kinds)}'", head)


def _safetensors(content: bytes, chance: random.Random) -> bytes:
    """Change the JSON at the beginning, whose length stays right."""
    if len(content) < 8:
        return content
    (size,) = struct.unpack_from("<Q", content)
    if size > len(content):
        return _flip(content, chance)
    head = _json(content[8 : 8 + size], chance)
    return struct.pack("<Q", len(head)) + head + content[8 + size :]


def _png(content: bytes, chance: random.Random) -> bytes:
    """Change a chunk of a PNG, most often its header; its checksum is right again."""
    chunks, at = [], 8
    while at + 12 <= len(content):
        (size,) = struct.unpack_from(">I", content, at)
        chunks.append([content[at + 4 : at + 8], content[at + 8 : at + 8 + size]])
        at += 12 + size
    if not chunks:
        return content
    chunk = chunks[0] if chance.random() < 0.6 else chance.choice(chunks)
    if chunk[0] == b"IHDR" and len(chunk[1]) == 13 and chance.random() < 0.7:
        values = list(struct.unpack(">IIBBBBB", chunk[1]))
        which = chance.randrange(7)
        values[which] = chance.choice(NUMBERS) & (0xFFFFFFFF if which < 2 else 0xFF)
        chunk[1] = struct.pack(">IIBBBBB", *values)
    else:
        chunk[1] = chance.choice(_BYTES)(chunk[1], chance)
    return content[:8] + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in chunks
    )


def _tiff(content: bytes, chance: random.Random) -> bytes:
    """Change a tag of a TIFF: its number, type, count or value."""
    order = "<" if content[:2] == b"II" else ">"
    if content[2:4] not in (b"*\0", b"\0*") or len(content) < 16:
        return _huge(content, chance)
    (at,) = struct.unpack_from(f"{order}I", content, 4)
    if at + 2 > len(content):
        return _flip(content, chance)
    (count,) = struct.unpack_from(f"{order}H", content, at)
    entry = at + 2 + 12 * chance.randrange(max(count, 1))
    if entry + 12 > len(content):
        return _flip(content, chance)
    spoiled = bytearray(content)
    place, form = chance.choice(((0, "H"), (2, "H"), (4, "I"), (8, "I"), (8, "H"), (8, "H")))
    mask = 0xFFFF if form == "H" else 0xFFFFFFFF
    values = (*NUMBERS, *range(1, 20), *range(256, 340), 33550, 33922, 34735, 34736, 42113)
    struct.pack_into(order + form, spoiled, entry + place, chance.choice(values) & mask)
    return bytes(spoiled)


def _jpeg(content: bytes, chance: random.Random) -> bytes:
    """Change the bytes of a marker's segment of a JPEG, most often the size of the image."""
    places = [one.start() for one in re.finditer(rb"\xff[\xc0-\xc4\xda-\xef\xfe]", content[:4096])]
    if not places:
        return content
    at = chance.choice(places)
    return content[: at + 2] + _huge(content[at + 2 : at + 40], chance) + content[at + 40 :]
