"""The app: the desk's page, its routes, and the HTTP API, within the guards."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException

from fissura.errors import InputError
from fissura.serve.desk.routes import Desk, desk_router
from fissura.serve.guard import Guard
from fissura.serve.inspect_routes import inspect_router
from fissura.serve.jobs import Jobs
from fissura.serve.metrics import Metrics
from fissura.serve.options import Served
from fissura.serve.security import Security
from fissura.serve.worker import Worker
from fissura.version import __version__

PAGE = Path(__file__).parent / "page"
ABOUT = (
    "Cracks in photos, found and measured by the code of `fissura inspect`. Requests that change "
    "something carry the header `X-Fissura-Desk: 1`; with a token, `Authorization: Bearer TOKEN`. "
    'Refusals are `{"error": sentence}`.'
)


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
    metrics = Metrics()
    predicting = served.predicting.to_measure(served.measuring.min_prob)
    worker = Worker(served.model, predicting, on_batch=metrics.batches.observe)
    jobs = Jobs(worker, served.options, metrics)
    desk = None if served.folder is None else Desk(served.folder, served, worker)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        try:
            yield
        finally:
            if desk is not None:
                desk.close()
            worker.close()
            jobs.close()

    app = FastAPI(
        title="Fissura",
        version=__version__,
        description=ABOUT,
        lifespan=lifespan,
        docs_url=None,  # its page would come from a CDN
        redoc_url=None,
    )
    app.state.worker, app.state.jobs, app.state.served = worker, jobs, served
    app.include_router(inspect_router(served, jobs, metrics))
    app.state.desk = desk
    if desk is not None:
        app.include_router(desk_router(desk))
        add_page(app)
    _tell_in_sentences(app)
    app.add_middleware(Guard, options=served.options, metrics=metrics)
    app.add_middleware(Security, options=served.options)
    return app


def add_page(app: FastAPI) -> None:
    """Serve the desk's page and its files.

    Args:
        app: The app; routes of a desk are its own.
    """

    @app.get("/", include_in_schema=False)
    async def page() -> FileResponse:
        return FileResponse(PAGE / "desk.html")

    app.mount("/page", StaticFiles(directory=PAGE), name="page")


def _tell_in_sentences(app: FastAPI) -> None:
    """Answer `{"error": sentence}` wherever a request cannot be met."""

    @app.exception_handler(InputError)
    async def bad_input(_: Request, error: InputError) -> JSONResponse:
        return JSONResponse({"error": str(error)}, 422)

    @app.exception_handler(HTTPException)
    async def refused(request: Request, error: HTTPException) -> JSONResponse:
        words = {
            404: f"There is nothing at {request.url.path[:200]}.",
            405: f"{request.method} is not possible at {request.url.path[:200]}.",
        }
        detail = str(error.detail)
        sentence = words.get(error.status_code, detail if detail.endswith(".") else f"{detail}.")
        return JSONResponse({"error": sentence}, error.status_code, error.headers)

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> JSONResponse:
        told = [
            f"{'.'.join(str(part) for part in one['loc'][1:]) or one['loc'][0]}: {one['msg']}"
            for one in error.errors()[:5]
        ]
        return JSONResponse(
            {"error": f"The request is not as it should be: {'; '.join(told)}."}, 422
        )
