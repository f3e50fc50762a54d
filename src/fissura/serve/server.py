"""The server that runs the app, until Ctrl-C."""

from __future__ import annotations

import socket

import uvicorn

from fissura.errors import InputError
from fissura.serve.app import create_app
from fissura.serve.options import Served


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
    app = create_app(served)
    config = uvicorn.Config(app, log_level="warning")
    host = f"[{options.host}]" if ":" in options.host else options.host
    print(f"http://{host}:{listening.getsockname()[1]}/  (Ctrl-C ends it)", flush=True)
    uvicorn.Server(config).run(sockets=[listening])
    return 0


def _listening(host: str, port: int) -> socket.socket:
    """Return a socket that listens, or say why none can."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
    except OSError as error:
        listening.close()
        raise InputError(
            f"{host}:{port} cannot be listened on ({error.strerror or error}). Choose another port "
            "with --port; 0 takes any that is free."
        ) from error
    return listening
