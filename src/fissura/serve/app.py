"""The app: the desk's page, its routes, and the HTTP API, within the guards of `security`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from fastapi.responses import FileResponse
from fastapi.staticfiles import StaticFiles

from fissura.serve.options import Served
from fissura.serve.worker import Worker
from fissura.version import __version__

PAGE = Path(__file__).parent / "page"


def create_app(served: Served | None = None) -> FastAPI:
    """Make the app: load the model, open the desk, add routes and guards.

    Args:
        served: What the app is made of; by default the HTTP API with the shipped model.

    Returns:
        The app; its `state.worker` computes, and `state.desk` is the desk or None.

    Raises:
        InputError: There is no such model, or the folder cannot be used.
    """
    served = served or Served()
    worker = Worker(served.model, served.predicting)
    desk: Any = None

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        try:
            yield
        finally:
            if desk is not None and hasattr(desk, "close"):
                desk.close()
            worker.close()

    app = FastAPI(
        title="Fissura", version=__version__, lifespan=lifespan, docs_url=None, redoc_url=None
    )
    app.state.worker = worker
    if served.folder is not None and find_spec("fissura.serve.desk.routes"):
        from fissura.serve.desk import routes  # pyright: ignore[reportAttributeAccessIssue]

        desk = routes.Desk(served.folder, served, worker)
        app.include_router(routes.desk_router(desk))
    app.state.desk = desk
    _add_page(app)
    return app


def _add_page(app: FastAPI) -> None:
    """Serve the page and its files."""

    @app.get("/", include_in_schema=False)
    async def page() -> FileResponse:
        return FileResponse(PAGE / "desk.html")

    app.mount("/page", StaticFiles(directory=PAGE), name="page")
