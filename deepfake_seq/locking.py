"""A lock file that lets one process at a time write a folder."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from deepfake_seq.errors import RunError, UsageError


@contextmanager
def locked(path: Path, refusal: str) -> Iterator[None]:
    """Hold a lock file; the system releases it when the process ends for any reason.

    Args:
        path: Path of the file. Its folder is created if it does not exist; the file remains.
        refusal: Message of the error if another process holds it.

    Raises:
        UsageError: Another process holds it.
        RunError: The folder cannot be written.
    """
    from filelock import FileLock, Timeout

    lock = FileLock(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire(blocking=False)
    except Timeout as error:
        raise UsageError(refusal) from error
    except OSError as error:
        raise RunError(f"cannot write {path.parent}: {error.strerror or error}") from error
    try:
        yield
    finally:
        lock.release()
