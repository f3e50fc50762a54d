"""Who is answered: names of the server, tokens, other sites; and the headers of every answer."""

import pytest
from fastapi.testclient import TestClient

from fissura.cli import run
from fissura.errors import InputError
from fissura.serve.app import create_app
from fissura.serve.options import Served, ServeOptions
from fissura.serve.security import COOKIE

WRITE = {"X-Fissura-Desk": "1"}
TOKEN = "a-token-of-24-letters-~._"
ANYWHERE = {"host": "0.0.0.0", "token": TOKEN, "allowed_host": ("desk.example",)}


def open_client(**options):
    app = create_app(Served(options=ServeOptions(**options)))
    return TestClient(app, base_url="http://127.0.0.1")


@pytest.fixture(scope="module")
def local():
    with open_client() as client:
        yield client


@pytest.fixture
def guarded():
    with open_client(**ANYWHERE) as client:
        yield client


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "", "a@127.0.0.1"])
def test_other_names_are_refused(local, host):
    """A page whose name was made to point here would be read by it."""
    response = local.get("/healthz", headers={"Host": host})
    assert response.status_code in (400, 421)
    assert response.json()["error"]


@pytest.mark.parametrize("host", ["127.0.0.1:8000", "localhost", "[::1]:9", "LOCALHOST:1"])
def test_own_names_are_known(local, host):
    assert local.get("/healthz", headers={"Host": host}).status_code == 200


def test_beyond_loopback_addresses_and_named_hosts_are_known(guarded):
    for host, status in (("10.1.2.3:8000", 200), ("desk.example", 200), ("other.example", 421)):
        assert guarded.get("/healthz", headers={"Host": host}).status_code == status


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {**WRITE, "Origin": "http://evil.example"},
        {**WRITE, "Origin": "null"},
        {**WRITE, "Origin": "http://127.0.0.1:81"},
        {**WRITE, "Sec-Fetch-Site": "cross-site"},
        {**WRITE, "Sec-Fetch-Site": "same-site"},
    ],
)
def test_other_sites_change_nothing(local, headers):
    response = local.post("/v1/jobs", files=[("photo", ("a.jpg", b"x"))], headers=headers)
    assert response.status_code == 403
    assert response.json()["error"]


def test_own_pages_may(local):
    headers = {**WRITE, "Origin": "http://127.0.0.1", "Sec-Fetch-Site": "same-origin"}
    response = local.post("/v1/jobs", files=[("photo", ("a.jpg", b"x"))], headers=headers)
    assert response.status_code == 415  # it is looked at, and is no photo


def test_no_other_site_may_read(local):
    """A preflight is answered without the headers that would allow it."""
    asked = {"Origin": "http://evil.example", "Access-Control-Request-Method": "POST"}
    response = local.options("/v1/jobs", headers=asked)
    assert response.status_code >= 400
    for answered in (response, local.get("/healthz", headers=asked)):
        assert not [name for name in answered.headers if name.startswith("access-control")]


def test_every_answer_keeps_to_itself(local, guarded):
    answers = [local.get("/healthz"), local.get("/nothing"), guarded.get("/v1/x")]
    answers.append(local.get("/healthz", headers={"Host": "evil.example"}))
    for response in answers:
        assert "default-src 'none'" in response.headers["content-security-policy"]
        assert "unsafe" not in response.headers["content-security-policy"]
        assert response.headers["x-content-type-options"] == "nosniff"
        assert response.headers["referrer-policy"] == "no-referrer"
        assert response.headers["cross-origin-resource-policy"] == "same-origin"


def test_the_token_is_needed(guarded):
    assert guarded.get("/metrics").status_code == 401
    assert guarded.get("/healthz").status_code == 200
    for wrong in ("Bearer wrong", f"Basic {TOKEN}", "Bearer", "Bearer ä".encode()):
        assert guarded.get("/metrics", headers={"Authorization": wrong}).status_code == 401
    bearer = {"Authorization": f"Bearer {TOKEN}"}
    assert guarded.get("/metrics", headers=bearer).status_code == 200
    # A program that knows the token is no page of another site.
    files = [("photo", ("a.jpg", b"x"))]
    assert guarded.post("/v1/jobs", files=files, headers=bearer).status_code == 415


def test_the_token_in_the_address_becomes_a_cookie(guarded):
    assert guarded.get("/?token=wrong", follow_redirects=False).status_code == 401
    entered = guarded.get(f"/?token={TOKEN}", follow_redirects=False)
    assert entered.status_code == 303
    assert entered.headers["location"] == "/"
    cookie = entered.headers["set-cookie"]
    assert cookie.startswith(f"{COOKIE}=")
    assert TOKEN not in cookie
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    assert guarded.get("/metrics").status_code == 200
    # With the cookie alone, the header against other sites is still needed.
    assert guarded.post("/v1/jobs", files=[("photo", ("a.jpg", b"x"))]).status_code == 403


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5"])
def test_without_a_token_it_listens_on_this_machine_alone(host, capsys, monkeypatch):
    monkeypatch.delenv("FISSURA_TOKEN", raising=False)
    assert run(["serve", "--api", "--host", host]) == 2
    assert "a token is needed" in capsys.readouterr().err


@pytest.mark.parametrize("token", ["short", "a token with spaces in it", "ü" * 20])
def test_tokens_that_can_be_guessed_or_not_be_sent(token):
    with pytest.raises(InputError, match="at least 16"):
        ServeOptions(token=token)


def test_a_taken_port_is_a_sentence(capsys):
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        assert run(["serve", "--api", "--port", str(taken.getsockname()[1])]) == 2
    assert "cannot be listened on" in capsys.readouterr().err
