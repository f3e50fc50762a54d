"""The HTTP API: inspect photos at once or as a job; health and metrics."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import FileResponse, JSONResponse

from fissura.errors import InputError
from fissura.serve.answers import Failed, Health, Inspected, JobTold
from fissura.serve.errors import HttpError
from fissura.serve.inspecting import write_zip
from fissura.serve.jobs import Job, Jobs
from fissura.serve.metrics import Metrics
from fissura.serve.options import Served
from fissura.serve.requests import BODY, FORMATS, take_photos, wanted_format
from fissura.version import __version__

LISTENING_SECONDS = 0.5  # between two looks whether the client is still there
Format = Annotated[
    Literal["json", "mask", "zip"] | None,
    Query(description="form of the answer; by default the one that the Accept header asks for"),
]
Lines = Annotated[bool, Query(description="tell the centerlines of the cracks, too")]
RESULT: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "figures as JSON, the mask of one photo as PNG (of a georeferenced image as "
        "GeoTIFF), or a zip of tables, vectors, masks and overlays",
        "model": Inspected,
        "content": {
            kind: {"schema": {"type": "string", "contentMediaType": kind}}
            for kind in (*list(FORMATS.values())[1:], "image/tiff")
        },
    }
}
SENTENCES = {
    400: "the request is malformed",
    401: "the token is missing or wrong",
    403: "another site's page, or the header X-Fissura-Desk is missing",
    404: "there is no such job",
    406: "an answer of a form that there is not",
    408: "too slow",
    409: "the job is not done",
    413: "too many bytes or pixels",
    415: "no photo",
    421: "the Host header names another server",
    422: "the photo or a field cannot be used",
    429: "as many inspections as possible are under way; see Retry-After",
}


def failures(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Describe the refusals of a route; those of the guards are of every route."""
    described = {400, 401, 403, 408, 421, *statuses}
    return {
        status: {"description": SENTENCES[status], "model": Failed} for status in sorted(described)
    }


def inspect_router(served: Served, jobs: Jobs, metrics: Metrics) -> APIRouter:
    """Return the routes of the HTTP API.

    Args:
        served: What the app is made of.
        jobs: Photos under way, and their results.
        metrics: What is counted.
    """
    router = APIRouter()
    _add_inspect(router, served, jobs)
    _add_jobs(router, served, jobs)
    _add_watching(router, jobs, metrics)
    return router


def _add_inspect(router: APIRouter, served: Served, jobs: Jobs) -> None:
    """Add the route that inspects photos while the client waits."""

    @router.post(
        "/v1/inspect",
        summary="Inspect photos, and wait for the answer",
        responses=RESULT | failures(406, 413, 415, 422, 429),
        openapi_extra=BODY,
        response_class=Response,
    )
    async def inspect(request: Request, format: Format = None, lines: Lines = False) -> Response:
        wanted = wanted_format(request, format)
        job = jobs.open()
        try:
            whole = wanted == "zip"
            await take_photos(request, job, served, lines=lines, whole=whole)
            jobs.start(job)
            await _ended(request, job, served.options.job_seconds)
            answer = await _result(job, jobs, wanted)
        except BaseException:
            jobs.drop(job)
            raise
        answer.background = _Dropping(lambda: jobs.drop(job))  # pyright: ignore[reportAttributeAccessIssue]
        return answer


def _add_jobs(router: APIRouter, served: Served, jobs: Jobs) -> None:
    """Add the routes of jobs, which go on while nobody waits."""

    @router.post(
        "/v1/jobs",
        status_code=202,
        summary="Have photos inspected later",
        responses={202: {"description": "the job is queued", "model": JobTold}}
        | failures(413, 415, 422, 429),
        openapi_extra=BODY,
        response_class=Response,
    )
    async def submit(request: Request, lines: Lines = False) -> Response:
        job = jobs.open()
        try:
            await take_photos(request, job, served, lines=lines, whole=True)
            jobs.start(job)
        except BaseException:
            jobs.drop(job)
            raise
        return JSONResponse(_told(job), 202, {"Location": f"/v1/jobs/{job.id}"})

    @router.get("/v1/jobs/{job_id}", summary="How far a job is", responses=failures(404))
    async def poll(job_id: str) -> JobTold:
        return JobTold.model_validate(_told(jobs.get(job_id)))

    @router.get(
        "/v1/jobs/{job_id}/result",
        summary="The results of a job that is done",
        responses=RESULT | failures(404, 406, 409, 422),
        response_class=Response,
    )
    async def fetch(request: Request, job_id: str, format: Format = None) -> Response:
        wanted = wanted_format(request, format)
        job = jobs.get(job_id)
        if job.ended is None:
            raise HttpError(409, "The job is not done yet.", {"Retry-After": "1"})
        return await _result(job, jobs, wanted)

    @router.delete(
        "/v1/jobs/{job_id}",
        status_code=204,
        summary="Cancel a job, or delete its results",
        responses=failures(404),
    )
    async def delete(job_id: str) -> None:
        jobs.drop(jobs.get(job_id))


def _add_watching(router: APIRouter, jobs: Jobs, metrics: Metrics) -> None:
    """Add health and metrics."""

    @router.get("/healthz", summary="Whether the server is well")
    async def health(response: Response) -> Health:
        well = jobs.worker.alive
        response.status_code = 200 if well else 503
        return Health(
            status="ok" if well else "the computing thread has ended",
            version=__version__,
            model=jobs.worker.name,
            jobs_open=jobs.open_jobs(),
        )

    @router.get(
        "/metrics",
        summary="Counters in the text format of Prometheus",
        responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
        response_class=Response,
    )
    async def measured() -> Response:
        return Response(metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")


class _Dropping:
    """What is done once an answer has been sent."""

    def __init__(self, function: Callable[[], None]) -> None:
        self.function = function

    async def __call__(self) -> None:
        """Do it."""
        self.function()


async def _ended(request: Request, job: Job, seconds: float) -> None:
    """Wait until a job has ended; cancel it where the client is gone or it takes too long."""
    loop = asyncio.get_running_loop()
    until = loop.time() + seconds
    waiting = {asyncio.wrap_future(future) for future in job.futures}
    while waiting:
        done, waiting = await asyncio.wait(waiting, timeout=LISTENING_SECONDS)
        for future in done:
            if not future.cancelled():
                future.exception()  # the job tells it; here it only counts as looked at
        if waiting and await request.is_disconnected():
            raise ConnectionError("The client is gone.")
        if waiting and loop.time() > until:
            begun = job.state == "running"
            raise HttpError(
                422 if begun else 429,
                f"The inspection took longer than {seconds:g} seconds"
                + (". Send smaller photos, or a job." if begun else " to begin; try again later."),
                None if begun else {"Retry-After": "60"},
            )
    while job.ended is None:  # the last future is done, its outcome is just being taken down
        await asyncio.sleep(0.001)


async def _result(job: Job, jobs: Jobs, wanted: str) -> Response:
    """Return the results of a job that has ended, in the form that is wanted."""
    if not job.done:
        late = all("waited too long" in one["error"] for one in job.refused)
        sentence = " ".join(one["error"] for one in job.refused)
        raise HttpError(429 if late else 422, sentence, {"Retry-After": "60"} if late else None)
    if wanted == "json":
        return JSONResponse(job.answer(jobs.worker))
    if wanted == "mask":
        if len(job.done) + len(job.refused) > 1:
            raise HttpError(406, "There are several photos: ask for a zip, which has their masks.")
        file = job.results / job.done[0].mask
        kind = "image/tiff" if file.suffix == ".tif" else "image/png"
        return FileResponse(file, media_type=kind)
    if job.packed is None:
        try:
            job.packed = await asyncio.wrap_future(
                jobs.worker.call(
                    lambda: write_zip(job.results, job.done, job.answer(jobs.worker), job.asked),
                    desk=False,
                )
            )
        except InputError as error:
            raise HttpError(422, str(error)) from error
    assert job.packed is not None
    return FileResponse(job.packed, media_type="application/zip", filename="fissura.zip")


def _told(job: Job) -> dict[str, Any]:
    """Return what is told of a job."""
    done, at = job.ended is not None and bool(job.done), f"/v1/jobs/{job.id}/result?format="
    kinds = ("json", "zip") + (("mask",) if len(job.uploads) == 1 else ())
    return {
        "id": job.id,
        "state": job.state,
        "photos": len(job.uploads),
        "inspected": sum(future.done() for future in job.futures),
        "seconds": round((job.ended or time.monotonic()) - job.began, 3),
        "errors": job.refused,
        "links": {kind: at + kind for kind in kinds} if done else {},
    }
