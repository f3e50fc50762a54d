"""Photos, an app in this process, and a server in a process of its own."""

import io
import os
import pathlib
import re
import socket
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image


def drawn(height=120, width=160, seed=0):
    """A gray photo with a dark line across it."""
    image = np.random.default_rng(seed).normal(170, 4, (height, width, 3))
    rows = np.arange(width) * height // (2 * width) + height // 4
    for offset in range(-1, 2):
        image[rows + offset, np.arange(width)] = 40
    return np.clip(image, 0, 255).astype(np.uint8)


def encoded(image, kind="JPEG", **options):
    """The bytes of a photo's file."""
    content = io.BytesIO()
    Image.fromarray(image).save(content, kind, **options)
    return content.getvalue()


@pytest.fixture(scope="session")
def photo_of():
    """Gives the file of a drawn photo: photo_of("PNG", seed=3, height=50)."""
    return lambda kind="JPEG", **drawing: encoded(drawn(**drawing), kind)


@pytest.fixture(scope="session")
def jpeg(photo_of):
    return photo_of()


@pytest.fixture(scope="session")
def serve():
    """Starts servers, see `Server`; those that a failed test has left are killed at the end."""
    started = []

    def start(*arguments, **options):
        started.append(Server(*arguments, **options))
        return started[-1]

    yield start
    for one in started:
        if one.process.poll() is None:
            one.process.kill()
            one.process.communicate()


class Server:
    """`fissura serve` in a process of its own."""

    def __init__(self, *arguments, folder, env=None):
        self.process = subprocess.Popen(
            [sys.executable, "-m", "fissura.cli", "serve", "--port", "0", *map(str, arguments)],
            env=os.environ | {"OMP_NUM_THREADS": "1", "TMPDIR": str(folder)} | (env or {}),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.temporary = folder
        told = self.process.stdout.readline()
        if not told:
            raise AssertionError(self.process.stderr.read())
        self.port = int(re.search(r":(\d+)/", told)[1])

    @property
    def memory(self):
        """Bytes that the process holds in memory."""
        with pathlib.Path(f"/proc/{self.process.pid}/statm").open(encoding="utf-8") as told:
            return int(told.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def connect(self):
        return socket.create_connection(("127.0.0.1", self.port), timeout=20)

    def said(self, connection, seconds=20):
        """What the server answers on a connection, to its end."""
        content, until = b"", time.monotonic() + seconds
        while time.monotonic() < until:
            connection.settimeout(max(until - time.monotonic(), 0.01))
            try:
                piece = connection.recv(65536)
            except (ConnectionResetError, TimeoutError):
                break
            if not piece:
                break
            content += piece
        return content.decode(errors="replace")

    def stop(self):
        self.process.terminate()
        try:
            _, told = self.process.communicate(timeout=30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise
        return told


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A server that is soon out of patience and takes little."""
    limits = ("--max-megabytes", 4, "--max-megapixels", 2, "--body-seconds", 2, "--queue", 8)
    running = Server("--api", *limits, folder=tmp_path_factory.mktemp("temporary"))
    yield running
    assert "Traceback" not in running.stop()
