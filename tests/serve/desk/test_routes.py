"""The desk over HTTP, as the page uses it."""

import asyncio
import time

import cv2
import numpy as np
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from fissura.serve.desk.routes import desk_router


@pytest.fixture
def client(desk):
    app = FastAPI()
    app.include_router(desk_router(desk))
    with TestClient(app, base_url="http://127.0.0.1") as client:
        yield client


def pixels(answer):
    assert answer.status_code == 200
    return cv2.imdecode(np.frombuffer(answer.content, np.uint8), cv2.IMREAD_UNCHANGED)


def test_photos_and_tiles(client, desk, drawn_photo):
    first, second = client.get("/v1/photos").json()
    assert (first["id"], first["name"], first["state"], first["cracks"]) == (
        *("p1", "wall 0.png", "done"),
        4,
    )
    assert second["id"] == "p2"
    shown = client.get("/v1/photos/p1").json()
    assert shown["tile"] == 256
    answer = client.get("/v1/photos/p1/tiles/0/1/0.jpg")
    tile = pixels(answer)
    assert tile.shape == (256, 144, 3)
    assert "immutable" in answer.headers["cache-control"]
    whole = drawn_photo(0)[:256, 256:, ::-1]
    assert np.abs(tile.astype(int) - whole).mean() < 8
    mask = pixels(client.get("/v1/photos/p1/mask/0/0/0.png"))
    assert np.array_equal(mask[..., 3] > 0, desk.opened("p1").mask[:256, :256])
    assert pixels(client.get("/v1/photos/p1/thumbnail.jpg")).shape == (150, 200, 3)
    for address in ("tiles/0/9/0.jpg", "tiles/7/0/0.jpg", "mask/0/-1/0.png"):
        assert client.get(f"/v1/photos/p1/{address}").status_code == 404
    assert client.get("/v1/photos/p9").json() == {"error": "There is no such photo on the desk."}


def test_edits_answer_with_what_changed_or_a_sentence(client):
    body = {"kind": "paint", "base_revision": 0, "points": [[30, 5], [200, 8]], "radius": 2}
    answer = client.post("/v1/photos/p1/edits", json=body)
    assert answer.status_code == 200
    assert answer.json()["revision"] == 1
    assert answer.json()["can_undo"]
    stale = client.post("/v1/photos/p1/edits", json=body)
    assert (stale.status_code, stale.json()["revision"]) == (409, 1)
    for wrong in (
        {"kind": "paint"},
        {"kind": "blow"},
        {"kind": "paint", "points": [[1, 2, 3]], "radius": 3},
        {"kind": "paint", "points": [[1, None]], "radius": 3},
        {"kind": "paint", "points": [[1, 2]], "radius": -1},
        {"kind": "erase", "points": [[1, 2]], "radius": 1e9},
        {"kind": "status", "crack": "77", "status": "accepted"},
        {"kind": "status", "crack": "1", "status": "eaten"},
        {"kind": "scale", "points": [[1, 1], [1, 1]], "length_mm": 3},
        {"kind": "scale", "points": [[1, 1], [9, 1]], "length_mm": "long"},
        {"kind": "note", "text": 5},
    ):
        refused = client.post("/v1/photos/p1/edits", json=wrong)
        assert refused.status_code == 422, wrong
        assert refused.json()["error"].endswith("."), wrong
    assert client.get("/v1/photos/p1").json()["revision"] == 1
    assert client.post("/v1/photos/p1/undo", json={"base_revision": 1}).json()["can_redo"]
    assert client.post("/v1/photos/p1/redo").json()["revision"] == 3
    assert [one["action"] for one in client.get("/v1/photos/p1/history").json()] == [
        *("edit", "undo", "redo")
    ]


def test_a_line_snaps_to_the_crack_between_two_clicks(client, desk):
    crack = client.get("/v1/photos/p1").json()["cracks"][0]
    (line,) = crack["lines"]
    body = {"from": line[10], "to": line[-10]}
    answer = client.post("/v1/photos/p1/path", json=body).json()
    way = np.array(answer["points"])
    known = np.array(line)
    nearest = np.hypot(*(way[:, None] - known[None]).transpose(2, 0, 1)).min(1)
    assert nearest.max() < 1.5
    assert answer["width"] == pytest.approx(crack["mean_width"], abs=1.5)
    refused = client.post("/v1/photos/p1/path", json={"from": [0, 0], "to": [5000, 0]})
    assert refused.status_code == 422


def test_a_report_is_filed_and_fetched(client):
    assert client.get("/v1/results/report.html").status_code == 404
    assert client.post("/v1/finish", json={"training": True}).status_code == 202
    for _ in range(600):
        finished = client.get("/v1/desk").json()["finished"]
        if finished:
            break
        time.sleep(0.05)
    assert finished["report"] == "report.html"
    (own,) = client.get("/v1/earlier").json()
    assert (own["name"], own["own"], own["photos"]) == ("report", True, 2)
    body = {"earlier": own["id"], "old_date": "soon"}
    assert client.post("/v1/finish", json=body).status_code == 422
    answer = client.get("/v1/results/report.html")
    assert answer.status_code == 200
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    for outside in ("../desk.sqlite", "%2e%2e/desk.sqlite", "/etc/passwd", "nothing"):
        assert client.get(f"/v1/results/{outside}").status_code == 404


def test_events_tell_edits(desk):
    async def heard():
        """Hear of the edit; what a photo's end still tells may come before it."""
        listening = desk.events.listen()
        await anext(listening)
        loop = asyncio.get_running_loop()
        loop.run_in_executor(None, desk.edit, "p1", "note", {"text": "north"})
        while '"note": "north"' not in (text := await asyncio.wait_for(anext(listening), 10)):
            pass
        await listening.aclose()
        return text

    text = asyncio.run(heard())
    assert text.startswith("event: photo\n")
    assert '"id": "p1"' in text
