"""What a request to inspect photos says: its photos, its fields, and the form of the answer."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData, UploadFile
from starlette.requests import Request

from fissura.errors import InputError
from fissura.inspection.rules.limits import Limits, read_limits
from fissura.measurement.options import ResolutionOptions
from fissura.serve.errors import HttpError
from fissura.serve.inspecting import Asked
from fissura.serve.jobs import Job
from fissura.serve.options import Served
from fissura.serve.uploads import keep_upload, shown_name

MOST_PHOTOS = 64  # of a request
MOST_TEXT = 2**16  # bytes of a field that is no photo
RESOLUTION = ("mm_per_pixel", "distance_mm", "focal_length_mm", "sensor_width_mm", "marker_mm")
PHOTO, LIMITS = "photo", "limits"
FORMATS = {"json": "application/json", "mask": "image/png", "zip": "application/zip"}
YAML_ALIASES = "&*"

BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": [PHOTO],
                    "additionalProperties": False,
                    "properties": {
                        PHOTO: {
                            "type": "array",
                            "items": {"type": "string", "contentMediaType": "image/*"},
                            "minItems": 1,
                            "maxItems": MOST_PHOTOS,
                            "description": "one or several photos",
                        },
                        LIMITS: {
                            "type": "string",
                            "description": "rules such as `max_width_mm: 0.3`, as in limits.yaml",
                        },
                        **{name: {"type": "number", "exclusiveMinimum": 0} for name in RESOLUTION},
                    },
                }
            }
        },
    }
}


def wanted_format(request: Request, given: str | None) -> str:
    """Return the form of the answer: json, mask or zip.

    Args:
        request: Whose Accept header counts where nothing is given.
        given: The parameter `format`.

    Raises:
        HttpError: 406 for a form that there is not.
    """
    if given is not None:
        if given not in FORMATS:
            raise HttpError(406, f"There is no format {given[:50]!r}: choose json, mask or zip.")
        return given
    accepted = request.headers.get("accept", "*/*")
    kinds = [kind.partition(";")[0].strip().lower() for kind in accepted.split(",")]
    for kind in kinds:
        for name, known in FORMATS.items():
            if kind in (known, "*/*", known.partition("/")[0] + "/*"):
                return name
    raise HttpError(406, f"Answers are {', '.join(FORMATS.values())}; none of them is accepted.")


async def take_photos(request: Request, job: Job, served: Served, *, lines: bool, whole: bool):
    """Take a request's photos and fields into a job; a bad photo costs itself alone.

    Args:
        request: Whose body is a multipart form.
        job: Has its folders, and is given its uploads and what is asked.
        served: What the app is made of.
        lines: Whether centerlines are asked for.
        whole: Whether all results are kept.

    Raises:
        HttpError: The form is none, or its fields are not as they should be.
    """
    if not request.headers.get("content-type", "").lower().startswith("multipart/form-data"):
        raise HttpError(
            415,
            "Send photos as multipart/form-data, in fields named `photo` (curl -F photo=@FILE).",
        )
    form = request.form(max_files=MOST_PHOTOS, max_fields=32, max_part_size=MOST_TEXT)
    async with form as fields:
        await run_in_threadpool(_take, fields, job, served, lines=lines, whole=whole)


def _take(fields: FormData, job: Job, served: Served, *, lines: bool, whole: bool) -> None:
    """Take a form's photos and fields."""
    texts: dict[str, str] = {}
    photos: list[UploadFile] = []
    for name, value in fields.multi_items():
        if isinstance(value, UploadFile):
            if name != PHOTO:
                raise HttpError(422, f"Photos are sent in fields named `photo`, not {name[:50]!r}.")
            photos.append(value)
        elif name == PHOTO:
            raise HttpError(422, "The field `photo` holds no file; with curl, -F photo=@FILE.")
        elif name in texts:
            raise HttpError(422, f"The field {name[:50]!r} is there twice.")
        else:
            texts[name] = value
    if not photos:
        raise HttpError(422, "There is no photo: send one or several in fields named `photo`.")
    job.asked = replace(
        _asked(texts, job, served), measuring=served.measuring, lines=lines, whole=whole
    )
    taken: set[str] = set()
    first: HttpError | None = None
    for photo in photos:
        try:
            job.uploads.append(
                keep_upload(
                    photo.file,
                    photo.filename,
                    job.photos,
                    taken,
                    served.options.max_megapixels,
                )
            )
        except HttpError as error:
            first = first or error
            name = shown_name(photo.filename)
            job.refused.append({"photo": name, "error": error.sentence})
    if not job.uploads and first is not None:
        raise first


def _asked(texts: dict[str, str], job: Job, served: Served) -> Asked:
    """Return what a form's fields ask."""
    unknown = sorted(set(texts) - {*RESOLUTION, LIMITS})
    if unknown:
        known = ", ".join((PHOTO, LIMITS, *RESOLUTION))
        raise HttpError(422, f"There is no field {unknown[0][:50]!r}; there are {known}.")
    resolution = served.resolution
    numbers = {name: _number(name, texts[name]) for name in RESOLUTION if name in texts}
    if numbers:
        try:
            resolution = ResolutionOptions(**numbers)
        except InputError as error:
            words = str(error)
            for name in RESOLUTION:
                words = words.replace(f"--{name.replace('_', '-')}", name)
            raise HttpError(422, words) from error
    if LIMITS in texts:
        return Asked(resolution=resolution, limits=_limits(texts[LIMITS], job.folder))
    limits = read_limits(served.limits) if served.limits is not None else None
    return Asked(resolution=resolution, limits=limits)


def _limits(text: str, folder: Path) -> Limits:
    """Read rules that a client has sent."""
    if any(letter in text for letter in YAML_ALIASES):  # that grow without end when written out
        raise HttpError(422, "limits: & and * are not taken here.")
    file = folder / "limits.yaml"
    file.write_text(text, encoding="utf-8")
    try:
        return read_limits(file)
    except (InputError, RecursionError) as error:
        words = str(error).replace(str(file), LIMITS)
        raise HttpError(422, words[:1000]) from error


def _number(name: str, text: str) -> float:
    """Return the number of a field."""
    try:
        return float(text)
    except ValueError:
        raise HttpError(422, f"{name} is {text[:50]!r}, which is no number.") from None
