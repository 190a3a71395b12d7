"""The folder of uploaded clips and their results.

For each clip, it has `ID.clip` until the clip is done, `ID.json` with what is known of it, and its
report as `ID.html` and `ID.report`, a JSON document.

Ids are drawn at random here; no name from a client becomes part of a path.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, Self, TypeVar

from filelock import FileLock, Timeout

from deepfake_seq import atomic
from deepfake_seq.errors import DeepseqError, RunError, UsageError
from deepfake_seq.untrusted import decode

_MAX_JOB_BYTES = 1 << 24
_CLIP, _PAGE, _DOCUMENT = ".clip", ".html", ".report"
_T = TypeVar("_T")


class Spool:
    """A folder that one server uses at a time; a context manager.

    Args:
        folder: Path of the folder; created if it does not exist, readable by its owner only.

    Raises:
        UsageError: Another server uses the folder.
        DeepseqError: The folder cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = FileLock(folder / "lock")
            self._lock.acquire(blocking=False)
        except Timeout as error:
            raise UsageError(
                f"another server uses {folder}. Stop it, or give another folder with --spool. "
                f"Received: --spool {folder}"
            ) from error
        except OSError as error:
            raise DeepseqError(
                f"cannot write {folder}: {error.strerror or error}. Give another folder with "
                "--spool."
            ) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._lock.release()

    def create(self) -> tuple[str, BinaryIO]:
        """Create the empty file of a new clip; return its id, and the file open for writing."""
        name = secrets.token_hex(16)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
        return name, os.fdopen(os.open(self.clip(name), flags, 0o600), "wb")

    def clip(self, name: str) -> Path:
        """Return the path of a clip."""
        return self.folder / f"{name}{_CLIP}"

    def page(self, name: str) -> Path:
        """Return the path of the HTML file of a report."""
        return self.folder / f"{name}{_PAGE}"

    def document(self, name: str) -> Path:
        """Return the path of the JSON document of a report."""
        return self.folder / f"{name}{_DOCUMENT}"

    def save(self, name: str, values: dict[str, Any]) -> None:
        """Write what is known of a clip."""
        atomic.write_json(self._about(name), values)

    def save_report(self, name: str, page: bytes, document: bytes) -> None:
        """Write a report."""
        atomic.write_bytes(self.page(name), page)
        atomic.write_bytes(self.document(name), document)

    def load(self, kind: type[_T]) -> Iterator[tuple[str, _T]]:
        """Yield id and what is known of each clip; delete unfinished uploads and damaged files.

        Args:
            kind: Type of the saved values.
        """
        for path in self.folder.iterdir():
            is_part = path.suffix in (_CLIP, _PAGE, _DOCUMENT)
            is_unknown = is_part and not self._about(path.stem).exists()
            if is_unknown or path.name.startswith(atomic.TEMPORARY_PREFIX):
                path.unlink(missing_ok=True)
        for path in self.folder.glob("*.json"):
            try:
                yield path.stem, decode(path, kind, _MAX_JOB_BYTES)
            except RunError:
                self.remove(path.stem)

    def remove_clip(self, name: str) -> None:
        """Delete the file of a clip, if it exists."""
        self.clip(name).unlink(missing_ok=True)

    def remove_report(self, name: str) -> None:
        """Delete a report, if it exists."""
        self.page(name).unlink(missing_ok=True)
        self.document(name).unlink(missing_ok=True)

    def remove(self, name: str) -> None:
        """Delete a clip and what is known of it."""
        self.remove_clip(name)
        self.remove_report(name)
        self._about(name).unlink(missing_ok=True)

    def _about(self, name: str) -> Path:
        return self.folder / f"{name}.json"
