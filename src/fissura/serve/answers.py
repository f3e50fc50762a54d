"""The shapes of the HTTP API's answers, by which OpenAPI describes them."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, create_model

from fissura.inspection.exporters.tables import CRACK_COLUMNS, PHOTO_COLUMNS
from fissura.serve.inspecting import LEFT_OUT

WORDS = {
    "photo": "name of the photo, as it was uploaded",
    "verdict": "pass, fail, or not judged",
    "resolution_source": "where mm_per_pixel comes from",
    "element": "part of the structure",
    "note": "a note",
    "taken": "date and time of the photo",
    "camera": "maker and model",
    "type": "how it runs: longitudinal, transverse, diagonal, map",
    "severity": "class of its width, where classes are asked for",
    "status": "found, always: nobody has corrected anything yet",
}
COUNTS = ("crack", "branches", "height_px", "width_px", "widest_crack")
BOXES = ("box_top", "box_left", "box_bottom", "box_right")


class _Exact(BaseModel):
    """Nothing but the fields."""

    model_config = ConfigDict(extra="forbid")


class Failed(_Exact):
    """Why a request was not met."""

    error: str = Field(description="what is wrong and what to do, in a sentence")


class PhotoError(_Exact):
    """A photo that was left out."""

    photo: str = Field(description="its name, as it was uploaded")
    error: str = Field(description="why, in a sentence")


def _fields(columns: list[str]) -> dict[str, Any]:
    """Return the fields of a table's columns."""
    fields: dict[str, Any] = {}
    for column in columns:
        if column in WORDS:
            kind: Any = str | None if column not in ("photo", "verdict", "status") else str
            fields[column] = (kind, Field(description=WORDS[column]))
        elif column in (*COUNTS, *BOXES):
            fields[column] = (int | None if column == "widest_crack" else int, ...)
        else:
            fields[column] = (float | None, ...)
    return fields


Crack = create_model(
    "Crack",
    __base__=_Exact,
    __doc__="A crack: the columns of cracks.csv (docs/inspection.md).",
    **_fields([column for column in CRACK_COLUMNS if column != "photo"]),
    lines=(
        list[list[tuple[float, float]]] | None,
        Field(None, description="centerline: of each branch its points (x, y) in pixels"),
    ),
)
Photo = create_model(
    "Photo",
    __base__=_Exact,
    __doc__="A photo: the columns of photos.csv (docs/inspection.md), and its cracks.",
    **_fields([column for column in PHOTO_COLUMNS if column not in LEFT_OUT]),
    results=(str, Field(description="name of its mask and overlay in the zip, without suffix")),
    reasons=(list[str], Field(description="why it exceeds the limits")),
    crack_count=(int, ...),
    cracks=(list[Crack], ...),  # pyright: ignore[reportInvalidTypeForm]
)


class Inspected(_Exact):
    """Photos that were inspected, and those that could not be."""

    model: str = Field(description="name of the model that found the cracks")
    terms: str | None = Field(description="terms of its use")
    photos: list[Photo]  # pyright: ignore[reportInvalidTypeForm]
    errors: list[PhotoError]


class JobTold(_Exact):
    """How far a job is."""

    id: str
    state: str = Field(description="queued, running, done, or failed where no photo was inspected")
    photos: int = Field(description="number of photos that were taken")
    inspected: int
    seconds: float = Field(description="since it was sent, or until its end")
    errors: list[PhotoError]
    links: dict[str, str] = Field(description="where its results are, once it is done")


class Health(_Exact):
    """That the server is well."""

    status: str
    version: str
    model: str
    jobs_open: int
