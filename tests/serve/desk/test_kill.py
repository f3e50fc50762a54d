"""A server that is killed in the middle of edits loses nothing that it had answered."""

import random
import subprocess
import sys

import numpy as np
import pytest

from fissura.errors import InputError
from fissura.serve.desk.photos.pixels import stroke
from fissura.serve.desk.storage.store import Store

# Draws a stroke after another on the first photo, and says the revision after each answer.
PROGRAM = """
import sys
from pathlib import Path
from types import SimpleNamespace
from fissura.inference.options import PredictOptions
from fissura.measurement.options import MeasureOptions, ResolutionOptions
from fissura.serve.desk.desk import Desk

options = SimpleNamespace(
    limits=None, growth=None, earlier=(), predicting=PredictOptions(), measuring=MeasureOptions(),
    resolution=ResolutionOptions(), max_megapixels=100.0
)
desk = Desk(Path(sys.argv[1]), options, SimpleNamespace(name="dark is crack", model=Path("none")))
revision = desk.store.photo("p1").revision
while True:
    x, y = 37 * revision % 380, 53 * revision % 280
    body = {"points": [[x, y], [x + 20, y + 9]], "radius": 2, "base_revision": revision}
    revision = desk.edit("p1", "paint", body)["revision"]
    print(revision, flush=True)
"""


@pytest.mark.slow
def test_what_was_answered_is_there_after_a_kill(photos, opened):
    desk = opened(photos)
    mask = desk.opened("p1").mask.copy()
    desk.close()
    chance, revision = random.Random(0), 0
    for _ in range(3):
        with subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(photos)], stdout=subprocess.PIPE, text=True
        ) as server:
            assert server.stdout is not None
            for _ in range(chance.randrange(1, 12)):
                told = int(server.stdout.readline())
            server.kill()
            rest = server.stdout.read().splitlines()
        told = max([told, *(int(line) for line in rest if line.strip().isdigit())])
        desk = opened(photos)
        try:
            shown = desk.photo("p1")
            assert told <= shown["revision"] <= told + 1
            for number in range(revision, shown["revision"]):
                x, y = 37 * number % 380, 53 * number % 280
                drawn = stroke([(x, y), (x + 20, y + 9)], 2, mask.shape)
                assert drawn is not None
                mask[drawn.window] |= drawn.inside
            revision = shown["revision"]
            assert np.array_equal(desk.opened("p1").mask, mask)
            assert len(desk.store.history("p1")) == revision
        finally:
            desk.close()


@pytest.mark.parametrize("content", [b"", b"no database at all, but a text" * 100])
def test_a_damaged_store_is_told(photos, opened, content):
    desk = opened(photos)
    desk.close()
    for file in desk.home.glob("desk.sqlite*"):
        file.unlink()
    (desk.home / "desk.sqlite").write_bytes(content)
    if content:
        with pytest.raises(ValueError, match="cannot be opened as the store"):
            opened(photos)
    else:
        opened(photos).close()


@pytest.mark.parametrize(
    "use",
    [
        lambda store: store.photos(),
        lambda store: store.change_photo("p200", note="wet"),
        lambda store: store.add_photo("new.jpg", "new"),
    ],
)
def test_damage_within_a_store_is_told_whether_it_is_read_or_written(tmp_path, use):
    file = tmp_path / "desk.sqlite"
    store = Store(file)
    for number in range(300):
        store.add_photo(f"{number}.jpg", str(number))
    store.close()
    content = file.read_bytes()
    whole = 3 * 4096  # the header and the first pages, so that it can be opened
    file.write_bytes(content[:whole] + b"\xa5" * (len(content) - whole))
    store = Store(file)
    try:
        with pytest.raises(InputError, match=r"is damaged .*Move it away"):
            use(store)
    finally:
        store.close()
