"""Audit logs: one JSON object per result is appended, each with the hash of the one before.

The chain shows that no entry was changed, removed from the middle or inserted. It does not show
that the end is missing, and anyone with write access to the file can compute a new chain: note the
hash of the last entry in another place, or keep the file where it can only be appended to.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

from deepfake_seq import __version__
from deepfake_seq.errors import DeepseqError

FORMAT = "deepseq-audit"
FIRST = "0" * 64
"""The `previous` of the first entry."""

_MAX_LINE = 1 << 20
"""Maximum size of an entry in bytes."""


@dataclass(frozen=True)
class AuditReport:
    """The result of checking an audit log.

    Attributes:
        path: Path of the file.
        entries: Number of entries up to the first broken link.
        last_hash: Hash of the last of these entries; "" if there is none.
        broken_line: Number of the line with the first broken link, from 1; None if there is none.
        reason: What is wrong there; "" otherwise.
    """

    path: Path
    entries: int
    last_hash: str
    broken_line: int | None = None
    reason: str = ""

    @property
    def is_whole(self) -> bool:
        """Whether every entry fits to the one before."""
        return self.broken_line is None


def append(path: Path, content: Mapping[str, Any]) -> str:
    """Append an entry to a log, which is created if it does not exist.

    Several processes may append to one log at the same time. The entry is on the disk when this
    returns.

    Args:
        path: Path of the log.
        content: Plain JSON values; the keys `format`, `number`, `time`, `version`, `previous` and
            `hash` are added.

    Returns:
        The hash of the entry.

    Raises:
        DeepseqError: The file cannot be written, is no audit log, or its last entry is incomplete.
    """
    with _writing(path), _locked(path) as file:
        number, previous = _last(file, path)
        entry = {
            **content,
            "format": FORMAT,
            "number": number + 1,
            "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "version": __version__,
            "previous": previous,
        }
        entry["hash"] = _hash(entry)
        line = _canonical(entry) + b"\n"
        if len(line) > _MAX_LINE:
            raise DeepseqError(
                f"an entry of {path} may have {_MAX_LINE} bytes. Received: {len(line)} bytes"
            )
        file.seek(0, os.SEEK_END)
        file.write(line)
        file.flush()
        os.fsync(file.fileno())
    return str(entry["hash"])


def require_appendable(path: Path) -> None:
    """Check that entries can be appended to a log; an empty one is created if it does not exist.

    Raises:
        DeepseqError: See `append`.
    """
    with _writing(path), _locked(path) as file:
        _last(file, path)


def verify(path: Path) -> AuditReport:
    """Check every entry of a log against the one before, up to the first broken link.

    Raises:
        DeepseqError: The file cannot be read.
    """
    entries, previous = 0, FIRST
    try:
        with path.open("rb") as file:
            for number, line in enumerate(iter(lambda: file.readline(_MAX_LINE), b""), start=1):
                try:
                    previous = _checked(line, number, previous)
                except ValueError as error:
                    last = previous if entries else ""
                    return AuditReport(path, entries, last, number, str(error))
                entries += 1
    except OSError as error:
        raise DeepseqError(f"{path} cannot be read: {error.strerror}") from error
    if not entries:
        return AuditReport(path, 0, "", 1, "the file is empty")
    return AuditReport(path, entries, previous)


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    """Turn an operating system error into a message: the log is not writable."""
    try:
        yield
    except OSError as error:
        raise DeepseqError(
            f"cannot write {path}: {error.strerror}. Give another path with --audit."
        ) from error


@contextmanager
def _locked(path: Path) -> Iterator[BinaryIO]:
    """Open a log for reading and appending; other writers wait."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o666)
    with os.fdopen(descriptor, "r+b") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise DeepseqError(f"{path} is not a regular file. Give another path with --audit.")
        fcntl.flock(descriptor, fcntl.LOCK_EX)  # released when the file is closed
        yield file


def _last(file: BinaryIO, path: Path) -> tuple[int, str]:
    """Return number and hash of the last entry; 0 and `FIRST` if the file is empty."""
    size = file.seek(0, os.SEEK_END)
    if not size:
        return 0, FIRST
    file.seek(max(size - _MAX_LINE - 1, 0))
    tail = file.read()
    line = tail.rstrip(b"\n").rpartition(b"\n")[2] + b"\n"
    try:
        if not tail.endswith(b"\n"):
            raise ValueError("it is incomplete")
        entry = _decoded(line)
        return int(entry["number"]), str(entry["hash"])
    except ValueError as error:
        raise DeepseqError(
            f"the last line of {path} is no complete entry of an audit log ({error}), so nothing "
            "can be appended. `deepseq verify` checks the file; give a new one with --audit."
        ) from error


def _checked(line: bytes, number: int, previous: str) -> str:
    """Return the hash of an entry.

    Raises:
        ValueError: The entry does not fit to the one before.
    """
    entry = _decoded(line)
    if entry["previous"] != previous:
        if number == 1:
            raise ValueError("its `previous` is not 64 zeros: entries before it were removed")
        raise ValueError(
            f"its `previous` is not the hash of line {number - 1}: a line between them was "
            "removed, inserted or moved, or one of the two was replaced"
        )
    if entry["number"] != number:
        raise ValueError(f"its number is not {number}. Received: {str(entry['number'])[:40]}")
    return str(entry["hash"])


def _decoded(line: bytes) -> dict[str, Any]:
    """Decode an entry, and check its own hash.

    Raises:
        ValueError: It is no entry, or was changed.
    """
    if not line.endswith(b"\n"):
        raise ValueError("it is incomplete")
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ValueError("it is not JSON") from error
    if not isinstance(entry, dict) or entry.get("format") != FORMAT:
        raise ValueError(f"it is no entry of a {FORMAT} file")
    if not isinstance(entry.get("number"), int) or "previous" not in entry:
        raise ValueError("it lacks `number` or `previous`")
    found = entry.get("hash")
    if found != _hash({name: value for name, value in entry.items() if name != "hash"}):
        raise ValueError("its content does not match its hash: it was changed")
    return entry


def _hash(entry: Mapping[str, Any]) -> str:
    """Return the SHA-256 of an entry without its hash, as canonical JSON, in hexadecimal."""
    return hashlib.sha256(_canonical(entry)).hexdigest()


def _canonical(entry: Mapping[str, Any]) -> bytes:
    text = json.dumps(entry, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return text.encode()
