"""Whom the app answers: the Host check, the token, protection from other sites, and headers.

Everything here holds for every route, those of the desk and of the page as well.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fissura.serve.errors import HttpError
from fissura.serve.options import ServeOptions, is_loopback

CSRF_HEADER = "x-fissura-desk"
COOKIE = "fissura_desk"
SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
OPEN_PATHS = ("/healthz",)  # answered without a token, so that a container can ask
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=(), interest-cohort=()",
}


class Security:
    """Refuse requests that come from elsewhere, and add the headers that keep a page to itself.

    - The Host header must be a name of this server: a page whose own name was made to point here
      (DNS rebinding) is refused.
    - With a token, each request carries it: `Authorization: Bearer TOKEN`, or the cookie that
      `/?token=TOKEN` sets.
    - A request that changes something carries the header X-Fissura-Desk, which a page of another
      site cannot send without being asked about it first (CORS), and to that nobody answers.

    Args:
        app: What is guarded.
        options: Where the server listens, and its token.
    """

    def __init__(self, app: ASGIApp, options: ServeOptions) -> None:
        self.app, self.options = app, options

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request in, or refuse it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers[name] = value
                # A route may have a policy of its own, as that of the report, a page by itself.
                headers.setdefault("Content-Security-Policy", POLICY)
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        try:
            self._check_host(Headers(scope=scope))
            entering = self._check_token(scope)
            self._check_origin(scope)
        except HttpError as error:
            await answer(send_with_headers, error.status, error.body, error.headers)
            return
        if entering is not None:
            await answer(send_with_headers, 303, b"", entering)
            return
        await self.app(scope, receive, send_with_headers)

    def _check_host(self, headers: Headers) -> None:
        """Raise where the Host header is no name of this server."""
        host = _name_of(headers.get("host", ""))
        if not host:
            raise HttpError(400, "The request has no valid Host header.")
        known = {self.options.host.lower().strip("[]"), *map(_name_of, self.options.allowed_host)}
        # An address, unlike a name, cannot be made to point elsewhere.
        if host in known or is_loopback(host) or (not self.options.loopback and _is_address(host)):
            return
        raise HttpError(
            421,
            f"This server is not known as {host[:100]!r}. If that is its name, start it with "
            "--allowed-host and the name.",
        )

    def _check_token(self, scope: Scope) -> dict[str, str] | None:
        """Raise where the token is missing; return the headers that set the cookie, if asked."""
        token = self.options.token
        if token is None:
            return None
        given = dict(parse_qsl(scope["query_string"].decode("latin-1"))).get("token")
        if given is not None and scope["path"] == "/" and scope["method"] == "GET":
            if not _same(given, token):
                raise _unauthorized()
            secure = "; Secure" if scope.get("scheme") == "https" else ""
            cookie = f"{COOKIE}={cookie_of(token)}; Path=/; HttpOnly; SameSite=Strict{secure}"
            return {"Location": "/", "Set-Cookie": cookie}
        headers = Headers(scope=scope)
        if scope["path"] in OPEN_PATHS or self._bears_token(headers):
            return None
        if not _same(_cookie(headers), cookie_of(token)):
            raise _unauthorized()
        return None

    def _bears_token(self, headers: Headers) -> bool:
        """Whether the Authorization header has the token."""
        kind, _, given = headers.get("authorization", "").partition(" ")
        token = self.options.token
        return token is not None and kind.lower() == "bearer" and _same(given.strip(), token)

    def _check_origin(self, scope: Scope) -> None:
        """Raise where another site's page has sent the request, or may have."""
        headers = Headers(scope=scope)
        writes = scope["method"] not in SAFE_METHODS
        site = headers.get("sec-fetch-site", "none")
        origin = headers.get("origin")
        foreign = origin is not None and urlsplit(origin).netloc != headers.get("host")
        entrance = not writes and scope["path"] == "/"
        if (site not in ("same-origin", "none") and not entrance) or (writes and foreign):
            raise HttpError(403, "Pages of other sites cannot use this server.")
        if writes and CSRF_HEADER not in headers and not self._bears_token(headers):
            raise HttpError(
                403, "Requests that change something need the header `X-Fissura-Desk: 1`."
            )


def cookie_of(token: str) -> str:
    """Return what the cookie holds: a value that follows from the token, not the token itself.

    Args:
        token: The token.
    """
    return hmac.new(token.encode(), b"fissura desk", hashlib.sha256).hexdigest()


async def answer(
    send: Send, status: int, body: bytes, headers: dict[str, str] | None = None
) -> None:
    """Send a whole answer.

    Args:
        send: From the server.
        status: Of HTTP.
        body: JSON.
        headers: Further headers.
    """
    told = {"content-type": "application/json", "content-length": str(len(body)), **(headers or {})}
    lines = [(name.lower().encode(), value.encode("latin-1")) for name, value in told.items()]
    await send({"type": "http.response.start", "status": status, "headers": lines})
    await send({"type": "http.response.body", "body": body})


def entrance(address: str, token: str | None) -> str:
    """Return the address that a browser is opened with; it carries the token where there is one.

    >>> entrance("http://10.0.0.2:8000/", "0123456789abcdef")
    'http://10.0.0.2:8000/?token=0123456789abcdef'
    """
    return address if token is None else f"{address}?{urlencode({'token': token}, quote_via=quote)}"


def _unauthorized() -> HttpError:
    """The answer to a request without the token."""
    return HttpError(
        401,
        "This server needs its token: open /?token=TOKEN in the browser, or send the header "
        "`Authorization: Bearer TOKEN`.",
        {"WWW-Authenticate": "Bearer"},
    )


def _same(given: str, expected: str) -> bool:
    """Compare two texts in a time that tells nothing of them."""
    return hmac.compare_digest(given.encode(), expected.encode())


def _cookie(headers: Headers) -> str:
    """Return what the cookie of the desk holds, empty where there is none."""
    try:
        found = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
    except CookieError:
        return ""
    return found.value if found is not None else ""


def _name_of(host: str) -> str:
    """Return a Host header without its port, in lower case; empty where it is none.

    >>> _name_of("LocalHost:8000"), _name_of("[::1]:8000"), _name_of("a@b")
    ('localhost', '::1', '')
    """
    try:
        split = urlsplit(f"//{host}")
        _ = split.port
    except ValueError:
        return ""
    whole = split.netloc == host and not split.username and "@" not in host
    return (split.hostname or "").rstrip(".") if whole else ""


def _is_address(host: str) -> bool:
    """Whether a host is an IP address."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
