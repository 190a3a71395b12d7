"""Receive a clip as the body of a request, within limits on size and time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import BinaryIO

from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request

from deepfake_seq import console
from deepfake_seq.config import ServeConfig
from deepfake_seq.serve.spool import Spool

_MAX_NAME = 200
_BUFFER_BYTES = 1 << 20
_DRAINED_BYTES = 1 << 24
_DRAIN_SECONDS = 5.0


class UploadError(Exception):
    """An upload was refused, or did not arrive completely.

    Attributes:
        status: Status code of the response.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def display_name(name: str) -> str:
    """Return the name of a clip without folders and control characters, at most 200 characters."""
    last = name.replace("\\", "/").rstrip("/").rpartition("/")[2]
    return console.plain(last)[:_MAX_NAME] or "clip"


async def receive(request: Request, spool: Spool, config: ServeConfig) -> tuple[str, int]:
    """Write the body of a request to a new clip; return its id and its size in bytes.

    Raises:
        UploadError: The clip is empty or too large, took too long, or could not be written.
    """
    length = request.headers.get("content-length", "")
    if length.isdigit() and int(length) > config.upload_bytes:
        raise _too_large(config)
    try:
        name, file = spool.create()
    except OSError as error:
        raise not_written(error) from error
    try:
        with file:
            size = await _write(request, file, config)
        if not size:
            raise UploadError(400, "the clip is empty: send the file as the body of the request")
    except BaseException:  # also if the request is cancelled because the server stops
        spool.remove_clip(name)
        raise
    return name, size


async def drain(request: Request) -> None:
    """Read a little more of a body that is refused, so that the client sees the response.

    A client that is still sending when the connection is closed may only see the closing.
    """
    read = 0
    with suppress(TimeoutError, ClientDisconnect, RuntimeError):
        async with asyncio.timeout(_DRAIN_SECONDS):
            async for chunk in request.stream():
                read += len(chunk)
                if read > _DRAINED_BYTES:
                    return


async def _write(request: Request, file: BinaryIO, config: ServeConfig) -> int:
    size, buffer = 0, bytearray()
    try:
        async with asyncio.timeout(config.upload_seconds):
            async for chunk in _chunks(request, config.idle_seconds):
                size += len(chunk)
                if size > config.upload_bytes:
                    raise _too_large(config)
                buffer += chunk
                if len(buffer) >= _BUFFER_BYTES:
                    await run_in_threadpool(file.write, bytes(buffer))
                    buffer.clear()
        await run_in_threadpool(file.write, bytes(buffer))
    except TimeoutError as error:
        raise UploadError(
            408,
            f"the upload took longer than {config.upload_seconds:g} s, or no data arrived for "
            f"{config.idle_seconds:g} s",
        ) from error
    except ClientDisconnect as error:
        raise UploadError(400, "the client ended the upload") from error
    except OSError as error:
        raise not_written(error) from error
    return size


async def _chunks(request: Request, idle_seconds: float) -> AsyncIterator[bytes]:
    stream = aiter(request.stream())
    while True:
        try:
            yield await asyncio.wait_for(anext(stream), idle_seconds)
        except StopAsyncIteration:
            return


def _too_large(config: ServeConfig) -> UploadError:
    return UploadError(413, f"the clip is larger than {config.upload_bytes / 1e6:g} MB")


def not_written(error: OSError) -> UploadError:
    """Return the error of a clip that cannot be written, for example because the disk is full."""
    return UploadError(507, f"the clip cannot be saved: {error.strerror or error}")
