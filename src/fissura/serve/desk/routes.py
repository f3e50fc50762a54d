"""The desk's part of the HTTP API: photos, tiles, cracks, edits, events and the filed report."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Body, File, Request, Response, UploadFile
from fastapi.responses import FileResponse, JSONResponse, StreamingResponse
from fastapi.routing import APIRoute

from fissura.errors import InputError
from fissura.serve.desk.answers import shown_photo
from fissura.serve.desk.desk import Desk, Stale
from fissura.serve.desk.storage.store import NoPhotoError
from fissura.serve.errors import HttpError

__all__ = ["Desk", "desk_router"]

FOREVER = {"Cache-Control": "private, max-age=31536000, immutable"}
FRESH = {"Cache-Control": "no-store"}
# The report is one page of our own with its styles and programs in it; it may fetch nothing.
REPORT_POLICY = (
    "default-src 'none'; img-src 'self' data:; style-src 'unsafe-inline'; "
    "script-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
REPORT = {"Content-Security-Policy": REPORT_POLICY, **FRESH}
Answer = dict[str, Any]
Json = Annotated[dict[str, Any], Body()]


class _Route(APIRoute):
    """Answers with sentences where something cannot be done."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the handler of requests."""
        handle = super().get_route_handler()

        async def answer(request: Request) -> Response:
            try:
                return await handle(request)
            except Stale as error:
                told = {"error": str(error), "revision": error.revision}
                return JSONResponse(told, 409)
            except NoPhotoError:
                return JSONResponse({"error": "There is no such photo on the desk."}, 404)
            except InputError as error:
                return JSONResponse({"error": str(error)}, 422)

        return answer


def desk_router(desk: Desk) -> APIRouter:
    """Return the routes of a desk; none of them checks who asks, which is the app's part.

    Args:
        desk: The desk.
    """
    router = APIRouter(prefix="/v1", tags=["desk"], route_class=_Route)
    _add_photos(router, desk)
    _add_pictures(router, desk)
    _add_edits(router, desk)
    _add_filing(router, desk)
    return router


def _add_photos(router: APIRouter, desk: Desk) -> None:
    """Add the routes of the desk itself and its list of photos."""

    @router.get("/desk")
    def about() -> Answer:
        """What is on the desk, how far the model is, and the last report."""
        return desk.about()

    @router.get("/photos")
    def photos() -> list[Answer]:
        """All photos with their verdicts."""
        return [shown_photo(row) for row in desk.store.photos()]

    @router.post("/photos")
    def add(files: Annotated[list[UploadFile], File()]) -> list[Answer]:
        """Put photos on the desk; each bad file is told beside the good ones."""
        return [_received(desk, file) for file in files]

    @router.get("/photos/{photo}")
    def photo(photo: str) -> Answer:
        """One photo with its cracks."""
        return desk.photo(photo)

    @router.get("/photos/{photo}/history")
    def history(photo: str) -> list[Answer]:
        """All that was done on a photo, the latest last."""
        return desk.store.history(desk.store.photo(photo).id)

    @router.get("/events")
    async def events() -> StreamingResponse:
        """What happens from now on, as server-sent events."""
        headers = {**FRESH, "X-Accel-Buffering": "no"}
        return StreamingResponse(
            desk.events.listen(), media_type="text/event-stream", headers=headers
        )


def _received(desk: Desk, upload: UploadFile) -> Answer:
    """Keep an uploaded photo, or say what is wrong with it."""
    try:
        return shown_photo(desk.receive(upload.file, upload.filename))
    except HttpError as error:
        return {"name": upload.filename or "", "error": error.sentence}
    except InputError as error:
        return {"name": upload.filename or "", "error": str(error)}


def _add_pictures(router: APIRouter, desk: Desk) -> None:
    """Add the routes of tiles."""

    @router.get("/photos/{photo}/thumbnail.jpg")
    def thumbnail(photo: str) -> Response:
        """A photo in 256 pixels at most."""
        return Response(desk.opened_tiles(photo).thumbnail(), media_type="image/jpeg")

    @router.get("/photos/{photo}/tiles/{level}/{column}/{row}.jpg")
    def tile(photo: str, level: int, column: int, row: int) -> Response:
        """A tile of a photo; level 0 is full size."""
        found = desk.opened_tiles(photo).tile(level, column, row)
        if found is None:
            return JSONResponse({"error": "There is no such tile."}, 404)
        return Response(found, media_type="image/jpeg", headers=FOREVER)

    @router.get("/photos/{photo}/mask/{level}/{column}/{row}.png")
    def mask(photo: str, level: int, column: int, row: int, revision: int = -1) -> Response:
        """A tile of the corrected mask, transparent where no crack is."""
        opened = desk.opened(photo)
        with opened.lock:
            found = opened.levels.tile(level, column, row)
        if found is None:
            return JSONResponse({"error": "There is no such tile."}, 404)
        headers = FOREVER if revision == desk.store.photo(photo).revision else FRESH
        return Response(found, media_type="image/png", headers=headers)


def _add_edits(router: APIRouter, desk: Desk) -> None:
    """Add the routes that change a photo."""

    @router.post("/photos/{photo}/edits")
    def edit(photo: str, body: Json) -> Answer:
        """Do an edit; what is answered is on disk."""
        kind = body.get("kind")
        kept = {name: value for name, value in body.items() if name != "kind"}
        return desk.edit(photo, kind if isinstance(kind, str) else "", kept)

    @router.post("/photos/{photo}/undo")
    def undo(photo: str, body: Annotated[dict[str, Any] | None, Body()] = None) -> Answer:
        """Take the last edit back."""
        return desk.undo(photo, body or {})

    @router.post("/photos/{photo}/redo")
    def redo(photo: str, body: Annotated[dict[str, Any] | None, Body()] = None) -> Answer:
        """Do the edit again that was taken back."""
        return desk.redo(photo, body or {})

    @router.post("/photos/{photo}/path")
    def path(photo: str, body: Json) -> Answer:
        """The way along a crack between two points."""
        return desk.way(photo, body.get("from"), body.get("to"))


def _add_filing(router: APIRouter, desk: Desk) -> None:
    """Add the routes of the report."""

    @router.get("/earlier")
    def earlier() -> list[Answer]:
        """The inspections that the photos can be compared with, the latest first."""
        return [
            {
                "id": one.id,
                "name": one.name,
                "own": one.own,
                "day": one.day.isoformat(),
                "photos": one.photos,
            }
            for one in desk.earlier()
        ]

    @router.post("/finish", status_code=202)
    def finish(body: Annotated[dict[str, Any] | None, Body()] = None) -> Answer:
        """Begin to write report, corrected masks, training folder and comparison."""
        desk.finish(body or {})
        return {"state": "running"}

    @router.get("/results/{name:path}")
    def result(name: str) -> Response:
        """A file of the last report."""
        file: Path | None = desk.result(name)
        if file is None:
            return JSONResponse({"error": f"There is no {name} in the last report."}, 404)
        return FileResponse(file, headers=REPORT if file.suffix == ".html" else FRESH)
