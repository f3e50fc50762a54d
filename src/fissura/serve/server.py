"""The server that runs the app, until Ctrl-C."""

from __future__ import annotations

import contextlib
import logging
import socket

import uvicorn

from fissura.errors import InputError
from fissura.serve.app import create_app
from fissura.serve.desk.desk import Desk
from fissura.serve.options import Served
from fissura.serve.protocol import HEADER_SECONDS, MOST_CONNECTIONS, bounded
from fissura.serve.security import entrance

KEEP_ALIVE_SECONDS = 10  # of a connection between two requests
GRACEFUL_SECONDS = 10  # for requests under way when the server ends
BACKLOG = 512


def run(served: Served) -> int:
    """Serve until Ctrl-C or SIGTERM; requests under way are finished.

    Args:
        served: What the app is made of.

    Returns:
        The exit status.

    Raises:
        InputError: The address cannot be listened on, needs a token, or there is no such model.
    """
    options = served.options
    if not options.loopback and options.token is None:
        raise InputError(
            f"{options.host} can be reached from other machines, and so a token is needed: set "
            "FISSURA_TOKEN to what `python -c 'import secrets; print(secrets.token_urlsafe())'` "
            "prints. Without one, the desk opens on 127.0.0.1 alone."
        )
    listening = _listening(options.host, options.port)
    try:
        app = create_app(served)
        host = f"[{options.host}]" if ":" in options.host else options.host
        address = f"http://{host}:{listening.getsockname()[1]}/"
        told = entrance(address, "TOKEN" if options.token else None)
        print(f"{told}  (Ctrl-C ends it)", flush=True)
        logging.basicConfig(format="fissura: %(message)s")
        config = uvicorn.Config(
            app,
            http=bounded(min(HEADER_SECONDS, options.body_seconds), MOST_CONNECTIONS),
            ws="none",
            log_level="warning",
            access_log=False,  # addresses may hold the token
            server_header=False,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=GRACEFUL_SECONDS,
            proxy_headers=False,
            backlog=BACKLOG,
        )
        # Ctrl-C is raised once more when everything is finished.
        with contextlib.suppress(KeyboardInterrupt):
            _Server(config, app.state.desk).run(sockets=[listening])
    finally:
        listening.close()
    return 0


class _Server(uvicorn.Server):
    """A server that tells the desk to let its open streams end before it waits for them."""

    def __init__(self, config: uvicorn.Config, desk: Desk | None) -> None:
        super().__init__(config)
        self.desk = desk

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End."""
        if self.desk is not None:
            self.desk.end_streams()
        await super().shutdown(sockets)


def _listening(host: str, port: int) -> socket.socket:
    """Return a socket of an address, or say why there can be none."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
        listening.listen(BACKLOG)  # who comes before the model is loaded waits
    except OSError as error:
        listening.close()
        raise InputError(
            f"{host}:{port} cannot be listened on ({error.strerror or error}). Choose another port "
            "with --port; 0 takes any that is free."
        ) from error
    return listening
