"""Files that appear whole or not at all."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

TEMPORARY_PREFIX = ".tmp-"


@contextmanager
def replacing(path: Path, scratch: Path | None = None) -> Iterator[IO[bytes]]:
    """A binary file to write to, which takes `path`'s place once the block ends well.

    The bytes are on the disk before the name points at them: write, flush, fsync, rename, fsync of
    the directory. If the block raises, `path` stays as it was and the temporary file is removed.

    Args:
        path: The file to make or to replace.
        scratch: Where the temporary file lies, on the same disk; beside `path` by default.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(prefix=TEMPORARY_PREFIX, dir=scratch or path.parent)
    os.close(descriptor)
    temporary = Path(name)
    try:
        with temporary.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    fsync_directory(path.parent)


def write_bytes(path: Path, data: bytes, scratch: Path | None = None) -> None:
    """Write `data` to `path`, whole or not at all; see `replacing`."""
    with replacing(path, scratch) as file:
        file.write(data)


def write_json(path: Path, value: Any) -> None:
    """Write `value` to `path` as indented JSON, whole or not at all."""
    text = json.dumps(value, indent=2, ensure_ascii=True, allow_nan=False)
    write_bytes(path, f"{text}\n".encode())


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def make_directory(path: Path) -> None:
    """Make a directory and those above it, and bring their names to the disk."""
    missing = [folder for folder in (path, *path.parents) if not folder.exists()]
    path.mkdir(parents=True, exist_ok=True)
    for folder in missing:
        fsync_directory(folder.parent)


def fsync_directory(path: Path) -> None:
    """Bring what was renamed or removed in a directory to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
