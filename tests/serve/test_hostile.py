"""Hostile clients of a server in a process of its own: each is refused with a sentence, in time,
and the server goes on with the memory that it had."""

import io
import json
import os
import re
import signal
import socket
import struct
import time
import zipfile
import zlib
from pathlib import Path

import httpx2
import numpy as np
import pytest
from PIL import Image

pytestmark = pytest.mark.skipif(not Path("/proc/self/statm").is_file(), reason="needs Linux")

WRITE = {"X-Fissura-Desk": "1"}
MEGABYTES = 1e6


@pytest.fixture
def http(server):
    with httpx2.Client(base_url=f"http://127.0.0.1:{server.port}", timeout=60) as client:
        client.headers.update(WRITE)
        yield client


@pytest.fixture(autouse=True)
def lives(server, http, jpeg):
    """After whatever was sent, a photo is inspected as ever, and nothing is left behind."""
    yield
    response = http.post("/v1/inspect", files={"photo": ("a.jpg", jpeg)})
    assert response.status_code == 200, response.text
    assert server.process.poll() is None
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline and len(left(server)):
        time.sleep(0.05)
    assert left(server) == []


def left(server):
    """What lies in the server's folder for temporary files."""
    return [name for _, _, names in os.walk(server.temporary) for name in names]


def refused(response, *statuses):
    assert response.status_code in statuses, response.text
    sentence = response.json()["error"]
    assert sentence.endswith((".", ")"))
    assert "/tmp" not in sentence
    assert "Traceback" not in sentence
    return sentence


def send(http, content, name="photo.jpg"):
    return http.post("/v1/inspect", files={"photo": (name, content)})


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_that_claims(width, height, data=b"", extra=b""):
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = chunk(b"IHDR", head) + extra + chunk(b"IDAT", data) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def gif_bomb():
    content = io.BytesIO()
    Image.new("P", (8, 8)).save(content, "GIF")
    data = bytearray(content.getvalue())
    data[6:10] = struct.pack("<HH", 65535, 65535)
    return bytes(data)


def tiff_that_claims(width, height):
    content = io.BytesIO()
    Image.new("RGB", (8, 8)).save(content, "TIFF")
    data = bytearray(content.getvalue())
    (directory,) = struct.unpack("<I", data[4:8])
    (count,) = struct.unpack("<H", data[directory : directory + 2])
    for entry in range(directory + 2, directory + 2 + 12 * count, 12):
        tag = struct.unpack("<H", data[entry : entry + 2])[0]
        if tag in (256, 257):
            value = width if tag == 256 else height
            data[entry + 2 : entry + 12] = struct.pack("<HII", 4, 1, value)
    return bytes(data)


BOMBS = {
    "png by its header": lambda: png_that_claims(60000, 60000, zlib.compress(bytes(10**6))),
    "png of zeros": lambda: png_that_claims(20000, 20000, zlib.compress(bytes(2 * 10**7))),
    "png at the limit of the format": lambda: png_that_claims(2**31 - 1, 2**31 - 1),
    "tiff by its header": lambda: tiff_that_claims(100_000, 100_000),
    "gif": gif_bomb,
    "text of a gigabyte": lambda: png_that_claims(
        8, 8, zlib.compress(bytes(25 * 8)),
        chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(10**8))),
    ),
    "zip in a zip": lambda: zipped(zipped(bytes(10**7))),
}  # fmt: skip


def zipped(content):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a", content)
    return packed.getvalue()


@pytest.mark.parametrize("bomb", BOMBS)
def test_bombs(server, http, bomb):
    before = server.memory
    refused(send(http, BOMBS[bomb](), "photo.png"), 413, 415, 422)
    assert server.memory - before < 100 * MEGABYTES


@pytest.mark.parametrize("kept", [0, 0.3, 0.9])
def test_truncated_photos(http, photo_of, kept):
    for kind in ("JPEG", "PNG", "TIFF", "WEBP", "BMP"):
        whole = photo_of(kind)
        refused(send(http, whole[: int(kept * len(whole))]), 415, 422)


POLYGLOTS = {
    "a photo with a ZIP behind it": lambda jpeg: jpeg + zipped(b"x"),
    "a web page": lambda jpeg: b"<!DOCTYPE html><script>alert(1)</script>",
    "an SVG with a script": lambda jpeg: b"<svg xmlns='http://www.w3.org/2000/svg'/>",
    "a script that is a GIF": lambda jpeg: b"GIF89a/*" + bytes(20) + b"*/=1;alert(1)",
    "a photo with a page in its comment": lambda jpeg: (
        jpeg[:2] + b"\xff\xfe\x00\x22<html><script>alert(1)</script>\x00" + jpeg[2:]
    ),
    "a PDF": lambda jpeg: b"%PDF-1.7\n" + jpeg,
    "PostScript": lambda jpeg: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
    "a dataset of GDAL that names a file": lambda jpeg: (
        b"<VRTDataset rasterXSize='9' rasterYSize='9'><VRTRasterBand><SimpleSource>"
        b"<SourceFilename>/etc/passwd</SourceFilename></SimpleSource></VRTRasterBand></VRTDataset>"
    ),
    "a TIFF that is a dataset of GDAL": lambda jpeg: (
        b"II*\0\x08\0\0\0<VRTDataset rasterXSize='9' rasterYSize='9'></VRTDataset>"
    ),
}


@pytest.mark.parametrize("name", ["photo.jpg", "photo.tif"])
def test_polyglots(http, jpeg, name):
    for made in POLYGLOTS.values():
        refused(send(http, made(jpeg), name), 415, 422)


NAMES = [
    "../../../../tmp/evil.jpg", "/etc/cron.d/evil.jpg", "..\\..\\evil.jpg", "C:\\evil.jpg",
    "a\x00b.jpg", "~/.ssh/authorized_keys", "x" * 5000 + ".jpg", "CON.jpg", "\u202egpj.exe", ".",
    "..", "-rf.jpg", "$(touch evil).jpg", "a\nb.jpg",
]  # fmt: skip


def test_names_choose_no_place(http, jpeg):
    """They are names in the answer, and at most letters of names in the zip."""
    for name in NAMES:
        check_name(http, jpeg, name)


def check_name(http, jpeg, name):
    response = http.post("/v1/inspect?format=zip", files={"photo": (name, jpeg)})
    if response.status_code != 200:
        refused(response, 400, 415, 422)
        return
    with zipfile.ZipFile(io.BytesIO(response.content)) as archive:
        for entry in archive.namelist():
            assert re.fullmatch(r"(\w+/)?[\w. -]+", entry), entry
            assert ".." not in entry.split("/")
        told = json.loads(archive.read("answer.json"))["photos"][0]["photo"]
    assert not {"/", "\\", "\n", "\0", "\u202e"} & set(told)
    assert len(told) <= 200


def raw(server, head, body=()):
    """Send a request by hand, piece by piece; what is answered, and how much was taken."""
    sent = 0
    with server.connect() as connection:
        connection.sendall(head)
        try:
            for piece in body:
                connection.settimeout(10)
                connection.sendall(piece)
                sent += len(piece)
        except OSError:
            pass  # the server has closed
        return server.said(connection), sent


HEAD = (
    "POST /v1/inspect HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Fissura-Desk: 1\r\n"
    "Content-Type: multipart/form-data; boundary=b\r\n"
)
PART = b'--b\r\nContent-Disposition: form-data; name="photo"; filename="a.jpg"\r\n\r\n'


def test_a_gigabyte_that_is_declared(server):
    before = server.memory
    answer, _ = raw(server, f"{HEAD}Content-Length: {10**9}\r\n\r\n".encode())
    assert answer.startswith("HTTP/1.1 413")
    assert "larger than 4 MB" in answer
    assert server.memory - before < 20 * MEGABYTES


def test_a_gigabyte_that_is_not_declared(server):
    """Taken in chunks without a length, it is refused once it is too large."""
    before = server.memory
    piece = b"%x\r\n%s\r\n" % (2**16, bytes(2**16))
    pieces = (piece for _ in range(10**9 // 2**16))
    begin = b"%x\r\n%s\r\n" % (len(PART), PART)
    answer, sent = raw(server, f"{HEAD}Transfer-Encoding: chunked\r\n\r\n".encode() + begin, pieces)
    assert sent < 40 * MEGABYTES
    assert answer.startswith("HTTP/1.1 413") or not answer  # reset while it was still sending
    assert server.memory - before < 50 * MEGABYTES


def test_a_field_that_is_no_photo_and_has_no_end(http):
    refused(http.post("/v1/inspect", files={"limits": (None, "a" * 10**6)}), 400, 422)


def test_thousands_of_parts(http, jpeg):
    files = [("photo", (f"{index}.jpg", jpeg)) for index in range(500)]
    refused(http.post("/v1/inspect", files=files), 400, 413)


def test_headers_that_come_letter_by_letter(server):
    with server.connect() as connection:
        began = time.monotonic()
        said = ""
        for letter in b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nX-A: aaaaaaaaaaaaaaaaaaaaaaaa":
            try:
                connection.sendall(bytes([letter]))
            except OSError:
                break
            connection.settimeout(0.1)
            try:
                said = connection.recv(4096).decode()
                break
            except TimeoutError:
                continue
        assert said.startswith("HTTP/1.1 408")
        assert "too slowly" in said
        assert time.monotonic() - began < 15


def test_a_connection_that_says_nothing(server):
    with server.connect() as connection:
        assert server.said(connection, 15).startswith("HTTP/1.1 408")


def test_a_body_that_comes_letter_by_letter(server):
    def letters():
        for _ in range(200):
            time.sleep(0.1)
            yield b"a"

    head = f"{HEAD}Content-Length: 100000\r\n\r\n".encode() + PART
    began = time.monotonic()
    with server.connect() as connection:
        connection.sendall(head)
        connection.settimeout(0.1)
        said = b""
        for letter in letters():
            try:
                connection.sendall(letter)
                said += connection.recv(4096)
            except TimeoutError:
                continue
            except OSError:
                break
            if said:
                break
    assert said.startswith(b"HTTP/1.1 408")
    assert time.monotonic() - began < 15


def test_slow_clients_leave_room_for_others(server, http, jpeg):
    """Twice as many as the queue holds, all of which stop in the middle of their photo."""
    head = f"{HEAD}Content-Length: 100000\r\n\r\n".encode() + PART
    slow = [server.connect() for _ in range(16)]
    try:
        for connection in slow:
            connection.sendall(head)
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            response = send(http, jpeg)
            if response.status_code == 200:
                break
            assert response.status_code == 429
            time.sleep(0.2)
        assert response.status_code == 200
    finally:
        for connection in slow:
            connection.close()


MALFORMED = [
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    b"GET / HTTP/9.9\r\nConnection: close\r\n\r\n",
    b"GET /healthz HTTP/1.1\r\n\r\n",
    b"GET /healthz HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    b"GET /" + b"a" * 100_000,
    b"POST /v1/inspect HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: -1\r\n\r\n",
    b"POST /v1/inspect HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 5\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET / HTTP/1.1\r\n\r\n",
]


def test_what_is_no_http(server):
    for request in MALFORMED:
        answer, _ = raw(server, request)
        assert re.match(r"HTTP/1.1 4\d\d ", answer), (request[:80], answer)


def test_addresses_lead_nowhere(http):
    up = ("/page/../options.py", "/page/%2e%2e/options.py", "/v1/jobs/..%2f..%2fetc", "/%00")
    for address in up:
        refused(http.get(address), 400, 404)


def test_a_client_that_leaves_makes_room(server, http, jpeg):
    """More photos than the queue holds, of clients that don't wait for the answer."""
    body = PART + jpeg + b"\r\n--b--\r\n"
    request = f"{HEAD}Content-Length: {len(body)}\r\n\r\n".encode() + body
    for _ in range(20):
        with server.connect() as connection:
            connection.sendall(request)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    deadline = time.monotonic() + 20
    while http.get("/healthz").json()["jobs_open"] and time.monotonic() < deadline:
        time.sleep(0.1)
    assert http.get("/healthz").json()["jobs_open"] == 0


def test_the_end_is_orderly(serve, jpeg, tmp_path):
    """A request under way is answered, then everything is gone from the disk."""
    running = serve("--api", folder=tmp_path)
    with running.connect() as connection:
        body = PART + jpeg + b"\r\n--b--\r\n"
        connection.sendall(f"{HEAD}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        time.sleep(0.3)
        running.process.send_signal(signal.SIGTERM)
        answer = running.said(connection)
    assert answer.startswith("HTTP/1.1 200")
    assert running.stop() == ""
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_what_a_killed_server_left_is_swept_away(serve, tmp_path):
    killed = serve("--api", folder=tmp_path)
    killed.process.send_signal(signal.SIGKILL)
    killed.process.communicate(timeout=20)
    (old,) = tmp_path.iterdir()
    other = tmp_path / f"fissura-serve-{os.getpid()}-of-another-server"
    other.mkdir()
    running = serve("--api", folder=tmp_path)
    assert not old.exists()
    assert other.is_dir()
    running.stop()


@pytest.mark.slow
def test_pixels_up_to_the_limit_are_taken(http):
    content = io.BytesIO()
    Image.fromarray(np.full((1000, 2000, 3), 170, np.uint8)).save(content, "PNG")
    assert send(http, content.getvalue(), "wide.png").status_code == 200
    content = io.BytesIO()
    Image.fromarray(np.full((1001, 2000, 3), 170, np.uint8)).save(content, "PNG")
    assert "2000×1001" in refused(send(http, content.getvalue(), "wide.png"), 413)
