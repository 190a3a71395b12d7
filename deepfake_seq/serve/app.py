"""The routes of the server: the page, and the API for clips."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import quote

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from deepfake_seq import __version__
from deepfake_seq.config import ServeConfig
from deepfake_seq.serve.access import SANDBOX, AccessControl, refuse
from deepfake_seq.serve.dispatcher import Dispatcher
from deepfake_seq.serve.jobs import QUEUED, ClipJob, JobTable, QueueFullError
from deepfake_seq.serve.openapi import document
from deepfake_seq.serve.runs import OfferedRuns
from deepfake_seq.serve.spool import Spool
from deepfake_seq.serve.uploads import UploadError, display_name, drain, not_written, receive
from deepfake_seq.verdict_text import CAUSES_IN_WORDS

_RETRY_SECONDS = 5

NO_RUN = (
    "there is no run to classify clips with. Train one with `deepseq extract` and `deepseq fit`, "
    "or give its folder with --run"
)


@dataclass(frozen=True)
class Service:
    """What the routes work with."""

    config: ServeConfig
    spool: Spool
    jobs: JobTable
    runs: OfferedRuns
    dispatcher: Dispatcher


def build_app(service: Service) -> Starlette:
    """Return the ASGI application; its lifespan starts and stops the dispatcher."""
    api = _Api(service)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        service.dispatcher.start()
        try:
            yield
        finally:
            await run_in_threadpool(service.dispatcher.stop, service.config.stop_seconds)

    routes = [
        Route("/", _static("page.html", "text/html")),
        Route("/static/page.css", _static("page.css", "text/css")),
        Route("/static/page.js", _static("page.js", "text/javascript")),
        Route("/healthz", api.health),
        Route("/openapi.json", _constant(document(service.config))),
        Route("/v1/about", api.about),
        Route("/v1/clips", api.add, methods=["POST"]),
        Route("/v1/clips/{id}", api.show),
        Route("/v1/clips/{id}", api.remove, methods=["DELETE"]),
        Route("/v1/clips/{id}/report", api.report),
        Route("/v1/clips/{id}/report.json", api.report_document),
    ]
    return Starlette(
        routes=routes,
        middleware=[Middleware(AccessControl, config=service.config)],
        exception_handlers={HTTPException: _http_error},
        lifespan=lifespan,
    )


class _Api:
    """The routes that need the service; `serve.openapi` describes them."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def health(self, _: Request) -> Response:
        if self._service.dispatcher.has_failed:
            return JSONResponse({"status": "failed"}, 503)
        return JSONResponse({"status": "ok"})

    async def about(self, _: Request) -> Response:
        service = self._service
        return JSONResponse(
            {
                "version": __version__,
                "runs": await run_in_threadpool(service.runs.newest_first),
                "limits": {
                    "bytes": service.config.upload_bytes,
                    "seconds": service.config.clip_seconds,
                    "keep_minutes": service.config.keep_minutes,
                },
                "causes": CAUSES_IN_WORDS,
            }
        )

    async def add(self, request: Request) -> Response:
        jobs = self._service.jobs
        try:
            jobs.start_upload()
        except QueueFullError:
            await drain(request)
            retry = {"Retry-After": str(_RETRY_SECONDS)}
            return refuse(429, "the queue is full; send the clip again later", retry)
        try:
            return await self._receive(request)
        except UploadError as error:
            await drain(request)
            return refuse(error.status, str(error))
        finally:
            jobs.end_upload()

    async def _receive(self, request: Request) -> Response:
        service, query = self._service, request.query_params
        runs = [values["run"] for values in await run_in_threadpool(service.runs.newest_first)]
        run = query.get("run", runs[0] if runs else "")
        if run not in runs:
            unknown = f"there is no run {display_name(run)!r}; /v1/about lists the runs"
            raise UploadError(404 if runs else 503, unknown if runs else NO_RUN)
        name, size = await receive(request, service.spool, service.config)
        job = ClipJob(name, display_name(query.get("name", "")), run, time.time(), size)
        try:
            await run_in_threadpool(service.jobs.add, job)
        except OSError as error:
            service.spool.remove(name)
            raise not_written(error) from error
        return JSONResponse(self._describe(job), 202, {"Location": f"/v1/clips/{job.id}"})

    async def show(self, request: Request) -> Response:
        job = self._service.jobs.get(request.path_params["id"])
        return _no_clip() if job is None else JSONResponse(self._describe(job))

    async def remove(self, request: Request) -> Response:
        removed = await run_in_threadpool(self._service.jobs.remove, request.path_params["id"])
        return Response(status_code=204) if removed else _no_clip()

    async def report(self, request: Request) -> Response:
        return await self._saved(request, self._service.spool.page, "html", "text/html")

    async def report_document(self, request: Request) -> Response:
        return await self._saved(request, self._service.spool.document, "json", "application/json")

    async def _saved(
        self, request: Request, path_of: Callable[[str], Path], suffix: str, media_type: str
    ) -> Response:
        """Return a file of a report, to be saved rather than shown."""
        job = self._service.jobs.get(request.path_params["id"])
        if job is None:
            return _no_clip()
        try:
            content = await run_in_threadpool(path_of(job.id).read_bytes)
        except FileNotFoundError:
            return refuse(404, "there is no report on this clip, or not yet")
        name = quote(f"{job.name}.{suffix}", errors="replace")
        headers = {
            "Content-Disposition": f'attachment; filename="report.{suffix}"; '
            f"filename*=UTF-8''{name}",
            "Content-Security-Policy": SANDBOX,
        }
        return Response(content, media_type=media_type, headers=headers)

    def _describe(self, job: ClipJob) -> dict[str, Any]:
        shown: dict[str, Any] = {
            "id": job.id,
            "name": job.name,
            "run": job.run,
            "size_bytes": job.size_bytes,
            "created": job.created,
            "finished": job.finished,
            "state": job.state,
            "stage": job.stage,
            "result": job.result,
            "headline": job.headline,
            "explanation": job.explanation,
            "report": f"/v1/clips/{job.id}/report" if job.report_bytes else None,
            "error": job.error,
        }
        if job.state == QUEUED:
            shown["position"] = self._service.jobs.position(job)
        return shown


def _no_clip() -> Response:
    return refuse(404, "there is no clip with this id, or its result was deleted")


def _constant(values: Any) -> Callable[[Request], Any]:
    async def respond(_: Request) -> Response:
        return JSONResponse(values)

    return respond


def _static(name: str, media_type: str) -> Callable[[Request], Any]:
    content = files("deepfake_seq.serve").joinpath("static", name).read_bytes()

    async def respond(_: Request) -> Response:
        return Response(content, media_type=media_type)

    return respond


async def _http_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return JSONResponse({"error": error.detail.lower()}, error.status_code, error.headers)
