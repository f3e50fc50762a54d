"""The guards hold for the desk's routes and its page as for the HTTP API."""

import re

import httpx2
import pytest
from fastapi.testclient import TestClient

from fissura.serve.app import create_app
from fissura.serve.options import Served, ServeOptions

WRITE = {"X-Fissura-Desk": "1"}
TOKEN = "a-token-of-24-letters-~._"


def opened(folder, **options):
    folder.mkdir()
    app = create_app(Served(folder=folder, options=ServeOptions(max_megapixels=1, **options)))
    return TestClient(app, base_url="http://127.0.0.1")


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    with opened(tmp_path_factory.mktemp("desk") / "photos") as client:
        yield client


def routes(client):
    """Every method and path, with something where its names vary."""
    for path, methods in client.get("/openapi.json").json()["paths"].items():
        for method in methods:
            yield method.upper(), re.sub(r"\{\w+\}", "1", path)


def test_whatever_changes_something_needs_the_header(client):
    writing = [(method, path) for method, path in routes(client) if method != "GET"]
    assert ("POST", "/v1/photos") in writing
    assert ("POST", "/v1/photos/1/edits") in writing
    for method, path in writing:
        response = client.request(method, path, json={})
        assert response.status_code == 403, path
        assert "X-Fissura-Desk" in response.json()["error"]


def test_everything_needs_the_token(client, tmp_path):
    asked = [*routes(client), ("GET", "/"), ("GET", "/page/main.js"), ("GET", "/openapi.json")]
    with opened(tmp_path / "photos", token=TOKEN) as guarded:
        for method, path in asked:
            status = guarded.request(method, path, headers=WRITE).status_code
            assert status == (200 if path == "/healthz" else 401), path


def test_the_page_is_served_under_its_policy(client):
    page = client.get("/")
    assert page.headers["content-type"].startswith("text/html")
    named = re.findall(r'(?:src|href)="(/page/[^"]+)"', page.text)
    assert named
    kinds = {"js": "javascript", "css": "text/css", "json": "application/json", "svg": "image/svg"}
    for address in [*named, "/page/texts.json"]:
        answer = client.get(address)
        assert answer.status_code == 200, address
        assert kinds[address.rpartition(".")[2]] in answer.headers["content-type"]
        assert "'unsafe" not in answer.headers["content-security-policy"]
    assert not re.search(r"<script(?![^>]*\bsrc=)|\son\w+=|style=", page.text)


@pytest.fixture(scope="module")
def desk(serve, tmp_path_factory):
    """A server with a desk, in a process of its own, and its folder."""
    outside = tmp_path_factory.mktemp("outside")
    (outside / "photos").mkdir()
    temporary = tmp_path_factory.mktemp("temporary")
    running = serve(outside / "photos", "--max-megapixels", 1, folder=temporary)
    with httpx2.Client(base_url=f"http://127.0.0.1:{running.port}", headers=WRITE) as http:
        yield http, outside / "photos"
    assert running.stop() == ""


def test_names_of_photos_choose_no_place(desk, jpeg):
    http, folder = desk
    for name in ("../evil.jpg", "/etc/evil.jpg", "..\\evil.jpg", "fissura-desk/desk.sqlite"):
        response = http.post("/v1/photos", files={"files": (name, jpeg)})
        assert response.status_code == 200, response.text
        (told,) = response.json()
        assert "error" in told or not {"/", "\\"} & set(told["name"])
    assert [file.name for file in folder.parent.iterdir()] == ["photos"]
    assert (folder / "fissura-desk" / "desk.sqlite").read_bytes().startswith(b"SQLite")


def test_what_is_no_photo_is_told_beside_the_good_ones(desk, photo_of, jpeg):
    http, _ = desk
    large = photo_of("PNG", height=1001, width=1000)
    files = [
        ("files", (name, content))
        for name, content in (("a.svg", b"<svg/>"), ("large.png", large), ("good.jpg", jpeg))
    ]
    told = http.post("/v1/photos", files=files).json()
    assert [("error" in one) for one in told] == [True, True, False]
    assert "megapixels" in told[1]["error"]
