"""The options of the server, without FastAPI and torch, so that the command's help is instant."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from pathlib import Path

from fissura.errors import InputError
from fissura.inference.options import PredictOptions
from fissura.measurement.options import MeasureOptions, ResolutionOptions
from fissura.shipped import DEFAULT

LEAST_TOKEN = 16  # letters; shorter ones can be guessed


@dataclass(frozen=True, kw_only=True)
class ServeOptions:
    """Where the server listens, whom it answers, and how much it takes."""

    host: str = "127.0.0.1"
    """Address to listen on. Any other than this machine's own (127.0.0.1, ::1, localhost) needs a
    token."""

    port: int = 8000
    """Port to listen on; 0 for any that is free."""

    token: str | None = None
    """Password of at least 16 letters that every request has to carry; also from the environment
    variable FISSURA_TOKEN, which other users of the machine cannot see."""

    allowed_host: tuple[str, ...] = ()
    """Further names under which the server is reached, such as that of a proxy before it. The
    option may be given several times."""

    max_megabytes: float = 100.0
    """Largest upload, all its files together."""

    max_megapixels: float = 100.0
    """Largest photo, by the size that its file states, before it is decoded."""

    queue: int = 32
    """Inspections that may wait or be uploaded at once; a further one is answered with 429."""

    body_seconds: float = 120.0
    """Longest time for a client to send a request, and to take a piece of the answer."""

    job_seconds: float = 300.0
    """Longest time that an inspection may wait and be computed."""

    keep_seconds: float = 3600.0
    """Time for which the results of finished jobs are kept to be fetched."""

    earlier: tuple[Path, ...] = ()
    """Folder of earlier inspections that the desk offers for comparison, or of one; also may be
    given several times. Those beside FOLDER are offered anyhow, to this machine alone."""

    def __post_init__(self) -> None:
        if not 0 <= self.port <= 65535:
            raise InputError(f"--port is {self.port}; it must be from 0 to 65535.")
        for name in ("max_megabytes", "max_megapixels", "body_seconds", "job_seconds"):
            _above_zero(name, getattr(self, name))
        _above_zero("keep_seconds", self.keep_seconds)
        _above_zero("queue", self.queue)
        if self.token is not None and (len(self.token) < LEAST_TOKEN or not _plain(self.token)):
            raise InputError(
                f"The token must have at least {LEAST_TOKEN} letters, digits, or any of -._~; for "
                "example what `python -c 'import secrets; print(secrets.token_urlsafe())'` prints."
            )

    @property
    def loopback(self) -> bool:
        """Whether the server can be reached from this machine alone."""
        return is_loopback(self.host)


@dataclass(frozen=True, kw_only=True)
class Served:
    """All that an app is made of.

    Attributes:
        folder: Folder of the desk's photos and of what is kept of them; None for the HTTP API
            alone, which keeps nothing.
        model: Run folder, model folder, or a name of `fissura.shipped.MODELS`.
        limits: A limits.yaml that photos are judged by.
        growth: Rules of growth for comparisons with earlier inspections.
        predicting: How the model is applied.
        resolution: How millimeters per pixel are found, unless a request says so.
        measuring: How cracks are measured.
        options: Where the server listens, whom it answers, and how much it takes.
    """

    folder: Path | None = None
    model: Path = Path(DEFAULT)
    limits: Path | None = None
    growth: Path | None = None
    predicting: PredictOptions = field(default_factory=PredictOptions)
    resolution: ResolutionOptions = field(default_factory=ResolutionOptions)
    measuring: MeasureOptions = field(default_factory=MeasureOptions)
    options: ServeOptions = field(default_factory=ServeOptions)

    @property
    def max_megapixels(self) -> float:
        """The largest photo that is taken."""
        return self.options.max_megapixels

    @property
    def earlier(self) -> tuple[Path, ...]:
        """Folders in which the desk looks for earlier inspections.

        What lies beside the folder of photos was not handed to the server; so only pages of this
        machine are shown it.
        """
        if self.folder is None:
            return ()
        beside = (self.folder.resolve().parent,) if self.options.loopback else ()
        return (*self.options.earlier, self.folder, *beside)


def is_loopback(host: str) -> bool:
    """Tell whether an address is that of the machine itself.

    Args:
        host: A name or an address, IPv6 with or without brackets.

    >>> is_loopback("127.0.0.1"), is_loopback("[::1]"), is_loopback("0.0.0.0")
    (True, True, False)
    """
    bare = host.strip("[]").lower()
    if bare == "localhost":
        return True
    try:
        return ipaddress.ip_address(bare).is_loopback
    except ValueError:
        return False


def _above_zero(name: str, value: float) -> None:
    """Raise `InputError` where a number is not above 0."""
    if not 0 < value < float("inf"):
        raise InputError(f"--{name.replace('_', '-')} is {value}; it must be above 0.")


def _plain(token: str) -> bool:
    """Whether a token can stand in an address, a header and a cookie as it is."""
    return token.isascii() and all(letter.isalnum() or letter in "-._~" for letter in token)
