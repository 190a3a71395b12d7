"""Write files atomically: they appear complete or not at all."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

TEMPORARY_PREFIX = ".tmp-"


@contextmanager
def replacing(path: Path, scratch: Path | None = None) -> Iterator[IO[bytes]]:
    """Open a temporary binary file that replaces `path` when the block ends without an error.

    The data is on the disk before the name refers to it: write, flush, fsync, rename, fsync of the
    directory. If the block raises, `path` does not change and the temporary file is removed.

    Args:
        path: Path of the file to create or replace.
        scratch: Folder for the temporary file, on the same disk; by default the folder of `path`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = (scratch or path.parent) / f"{TEMPORARY_PREFIX}{secrets.token_hex(8)}"
    try:
        with temporary.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    fsync_directory(path.parent)


def write_bytes(path: Path, data: bytes, scratch: Path | None = None) -> None:
    """Write `data` to `path` atomically; see `replacing`."""
    with replacing(path, scratch) as file:
        file.write(data)


def write_json(path: Path, value: Any) -> None:
    """Write `value` to `path` as indented JSON, atomically; see `replacing`."""
    text = json.dumps(value, indent=2, ensure_ascii=True, allow_nan=False)
    write_bytes(path, f"{text}\n".encode())


def make_directory(path: Path) -> None:
    """Create a directory and its missing parents, and fsync the directories that list them."""
    missing = [folder for folder in (path, *path.parents) if not folder.exists()]
    path.mkdir(parents=True, exist_ok=True)
    for folder in missing:
        fsync_directory(folder.parent)


def fsync_directory(path: Path) -> None:
    """Flush the entries of a directory to the disk, after a rename or removal in it."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
