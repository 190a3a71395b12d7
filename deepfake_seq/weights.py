"""Weights files: which there are, where they lie, how they get there, and that they are whole.

A digest is pinned where the publisher gives one. Where none is published, the SHA-256 is recorded
when the file is first used, and every later use is checked against it.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import logging
import os
import shutil
import time
import urllib.error
import urllib.request
from pathlib import Path

from deepfake_seq import atomic
from deepfake_seq.errors import UsageError, WeightsError
from deepfake_seq.published import WEIGHTS, WeightsFile

_log = logging.getLogger(__name__)

_MAGIC = {"hdf5": b"\x89HDF\r\n\x1a\n", "onnx": b"\x08"}
_TIMEOUT_SECONDS = 20.0
_SETTLED_NS = 2_000_000_000
"""A file that changed less than this ago may change again without looking different."""
_LEDGER = "sha256.json"
_GIVEN = "given.json"


def home() -> Path:
    """Where deepseq keeps what it downloads and compiles: `DEEPSEQ_HOME`, or the user's cache."""
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(os.environ.get("DEEPSEQ_HOME") or Path(cache, "deepseq")).expanduser()


def lookup(name: str) -> WeightsFile:
    """The published file called `name`.

    Raises:
        UsageError: There is none of that name.
    """
    if name not in WEIGHTS:
        raise UsageError(f"no weights called {name}. Known are: {', '.join(WEIGHTS)}")
    return WEIGHTS[name]


def places(name: str) -> list[Path]:
    """Where the file is looked for, in this order; the first is where `fetch` puts it."""
    file = lookup(name)
    found = [home() / "weights" / file.filename]
    if file.elsewhere:
        deepface_home = os.environ.get("DEEPFACE_HOME") or "~"
        folder = file.elsewhere.replace("${DEEPFACE_HOME}", deepface_home)
        found.append(Path(folder, file.filename).expanduser())
    return found


def find(name: str) -> Path | None:
    """Where the file lies, or None. Nothing is checked yet."""
    return next((path for path in places(name) if path.is_file()), None)


def require(names: list[str]) -> list[Path]:
    """The files called `names`, downloaded where they are missing and checked.

    Raises:
        WeightsError: Some are missing and cannot be downloaded (one message names them all), or one
            is not what it should be.
    """
    paths: list[Path] = []
    problems = []
    for name in names:
        path = find(name)
        try:
            paths.append(check(name, path) if path else fetch(name))
        except DownloadError as error:
            problems.append((lookup(name), error))
    if problems:
        raise WeightsError(_missing(problems))
    return paths


class DownloadError(WeightsError):
    """A file could not be downloaded."""


def fetch(name: str) -> Path:
    """Download the file called `name`, whole and checked, or not at all.

    Raises:
        DownloadError: There is no way to it.
        WeightsError: What came is not the file.
    """
    file = lookup(name)
    target = places(name)[0]
    _log.info("downloading %s from %s", file.filename, file.url)
    try:
        with (
            urllib.request.urlopen(file.url, timeout=_TIMEOUT_SECONDS) as response,
            atomic.replacing(target) as out,
        ):
            shutil.copyfileobj(response, out, 1 << 20)
            out.flush()
            promised = response.headers.get("Content-Length")
            if promised is not None and out.tell() != int(promised):
                raise DownloadError(
                    f"{file.url} broke off after {out.tell()} of {promised} bytes. Try again."
                )
            _remember(target, _verify(file, Path(out.name), f"what {file.url} sent"))
    except http.client.HTTPException as error:
        raise DownloadError(f"{file.url} broke off: {error!r}. Try again.") from error
    except urllib.error.URLError as error:
        raise DownloadError(f"{file.url} cannot be reached: {error.reason}") from error
    except OSError as error:
        raise DownloadError(f"{file.url} could not be saved to {target}: {error}") from error
    return target


def import_file(name: str, source: Path) -> Path:
    """Copy a file that was fetched elsewhere to where it is looked for.

    Raises:
        UsageError: `source` is not a file, or `name` is unknown.
        WeightsError: It is not the published file.
    """
    file = lookup(name)
    if not source.is_file():
        raise UsageError(f"no such file: {source}")
    sha256 = _verify(file, source, str(source))
    target = places(name)[0]
    try:
        with source.open("rb") as stream, atomic.replacing(target) as out:
            shutil.copyfileobj(stream, out, 1 << 20)
    except OSError as error:
        raise WeightsError(
            f"cannot copy {source} to {target}: {error.strerror}. Set DEEPSEQ_HOME to a folder "
            "that can be written."
        ) from error
    _remember(target, sha256, replace=True)
    return target


def check(name: str, path: Path) -> Path:
    """Say whether `path` still is the file called `name`; returns it.

    Raises:
        WeightsError: The content is not what was published, or has changed since its first use.
    """
    _remember(path, _verify(lookup(name), path, str(path)))
    return path


def remember_given(path: Path, sha256: str) -> None:
    """Note where a weights file that the user named lies, so that `find_given` finds it again."""
    path = path.absolute()
    known = _given()
    if known.get(sha256) != str(path):
        try:
            atomic.write_json(home() / "weights" / _GIVEN, {**known, sha256: str(path)})
        except OSError as error:  # it only has to be named again
            _log.warning("cannot note where %s is: %s", path, error)


def find_given(sha256: str) -> Path | None:
    """Where this user last named a weights file with that digest, if it still lies there.

    Runs and stores tell digests only: a path in a file from somebody else is never opened.
    """
    place = _given().get(sha256)
    return Path(place) if place is not None and Path(place).is_file() else None


def _given() -> dict[str, str]:
    try:
        known = json.loads((home() / "weights" / _GIVEN).read_text())
    except (OSError, ValueError):
        return {}
    return dict(known) if isinstance(known, dict) else {}


def digest_of(path: Path, algorithm: str = "sha256") -> str:
    """Return the hex digest of a file's content; it is read once while the file looks the same."""
    return _digests_of(path, {algorithm})[algorithm]


_digests: dict[tuple[int, ...], dict[str, str]] = {}
"""Digests by algorithm, of files by how they look."""


def _digests_of(path: Path, algorithms: set[str]) -> dict[str, str]:
    """Return several hex digests of a file's content from one reading of it."""
    with path.open("rb") as stream:
        status = os.fstat(stream.fileno())
        looks = (
            *(status.st_dev, status.st_ino, status.st_size),
            *(status.st_mtime_ns, status.st_ctime_ns),
        )
        known = _digests.get(looks, {})
        if algorithms <= set(known):
            return known
        hashes = [hashlib.new(algorithm) for algorithm in sorted(algorithms - set(known))]
        while chunk := stream.read(1 << 20):
            for own in hashes:
                own.update(chunk)
    known = known | {own.name: own.hexdigest() for own in hashes}
    if time.time_ns() - status.st_ctime_ns >= _SETTLED_NS:
        _digests[looks] = known
    return known


def _verify(file: WeightsFile, path: Path, what: str) -> str:
    """Return the SHA-256 of a published file, after checking that it is that file.

    Raises:
        WeightsError: It is another file.
    """
    with path.open("rb") as stream:
        magic = _MAGIC[file.container]
        if stream.read(len(magic)) != magic:
            raise WeightsError(
                f"{what} is not {file.filename}: it is no {file.container.upper()} file. "
                f"The right one is at {file.url}"
            )
    algorithm, _, expected = file.digest.partition(":")
    found = _digests_of(path, {algorithm or "sha256", "sha256"})
    if expected and found[algorithm] != expected:
        raise WeightsError(
            f"{what} is not {file.filename}: its {algorithm} should be {expected}. "
            "To use a file of your own, give its path to the command instead. "
            f"Received: {found[algorithm]}"
        )
    return found["sha256"]


def _remember(path: Path, found: str, *, replace: bool = False) -> None:
    """Record the file's SHA-256 at its first use, and hold it to that ever after.

    Args:
        path: Where the file lies, or will lie.
        found: Its SHA-256 in hex.
        replace: Record it anew, whatever was there.
    """
    ledger_path = home() / "weights" / _LEDGER
    ledger: dict[str, str] = {}
    if ledger_path.is_file():
        try:
            ledger = dict(json.loads(ledger_path.read_text()))
        except (ValueError, TypeError) as error:
            raise WeightsError(
                f"{ledger_path} is damaged: {error}. Remove it to record the digests anew."
            ) from error
    key = str(path.absolute())
    if not replace and ledger.get(key, found) != found:
        raise WeightsError(
            f"{path} has changed since it was first used. Put the right file back with "
            f"`deepseq weights import`, or remove it. Received: sha256 {found}"
        )
    if ledger.get(key) != found:
        try:
            atomic.write_json(ledger_path, {**ledger, key: found})
        except OSError as error:
            raise WeightsError(
                f"cannot write {ledger_path}: {error.strerror}. Set DEEPSEQ_HOME to a folder that "
                "can be written."
            ) from error


def _missing(problems: list[tuple[WeightsFile, DownloadError]]) -> str:
    what = "; ".join(
        f"{file.name} ({file.filename}, looked for in "
        f"{' and '.join(str(path.parent) for path in places(file.name))})"
        for file, _ in problems
    )
    imports = " and ".join(f"`deepseq weights import {file.name} FILE`" for file, _ in problems)
    options = " ".join(dict.fromkeys(file.instead for file, _ in problems))
    return (
        f"missing weights: {what}; no download: {problems[0][1]}. "
        f"Either bring the files and run {imports}, or go without: {options}"
    )
