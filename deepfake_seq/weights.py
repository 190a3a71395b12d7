"""Weights files: which there are, where they lie, how they get there, and that they are whole.

A digest is pinned where the publisher gives one. Where none is published, the SHA-256 is recorded
when the file is first used, and every later use is checked against it.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from deepfake_seq import atomic
from deepfake_seq.errors import UsageError, WeightsError

_log = logging.getLogger(__name__)

_KERAS = "https://storage.googleapis.com/tensorflow/keras-applications"
_MAGIC = {"hdf5": b"\x89HDF\r\n\x1a\n", "onnx": b"\x08"}
_TIMEOUT_SECONDS = 20.0
_LEDGER = "sha256.json"


@dataclass(frozen=True)
class WeightsFile:
    """A published weights file.

    Attributes:
        name: What the command line calls it.
        filename: What the publisher calls it.
        url: Where it is published.
        digest: `algorithm:hex` as published, or "" where nothing is published.
        container: `hdf5` or `onnx`, told by the first bytes.
        elsewhere: Where the library that it belongs to keeps its own download.
        instead: What a user without it can do.
    """

    name: str
    filename: str
    url: str
    digest: str
    container: str
    elsewhere: str
    instead: str


_UNTRAINED = "--weights untrained"
_OTHER_DETECTOR = "--detector mtcnn"

_FILES = (
    WeightsFile(
        "inception_v3",
        "inception_v3_weights_tf_dim_ordering_tf_kernels_notop.h5",
        f"{_KERAS}/inception_v3/inception_v3_weights_tf_dim_ordering_tf_kernels_notop.h5",
        "md5:bcbd6486424b2319ff4ef7d526e38f63",
        "hdf5",
        "~/.keras/models",
        _UNTRAINED,
    ),
    WeightsFile(
        "vgg16",
        "vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5",
        f"{_KERAS}/vgg16/vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5",
        "md5:6d6bbae143d832006294945121d1f1fc",
        "hdf5",
        "~/.keras/models",
        _UNTRAINED,
    ),
    WeightsFile(
        "resnet50",
        "resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5",
        f"{_KERAS}/resnet/resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5",
        "md5:4d473c1dd8becc155b73f8504c6f6626",
        "hdf5",
        "~/.keras/models",
        _UNTRAINED,
    ),
    WeightsFile(
        "efficientnet_b1",
        "efficientnetb1_notop.h5",
        "https://storage.googleapis.com/keras-applications/efficientnetb1_notop.h5",
        "md5:74c4e6b3e1f6a1eea24c589628592432",
        "hdf5",
        "~/.keras/models",
        _UNTRAINED,
    ),
    WeightsFile(
        "retinaface",
        "retinaface.onnx",
        "https://github.com/serengil/deepface_models/releases/download/v1.0/retinaface.onnx",
        "",
        "onnx",
        "${DEEPFACE_HOME}/.deepface/weights",
        _OTHER_DETECTOR,
    ),
    WeightsFile(
        "yunet",
        "face_detection_yunet_2026may.onnx",
        "https://github.com/opencv/opencv_zoo/raw/main/models/face_detection_yunet/"
        "face_detection_yunet_2026may.onnx",
        "sha1:ef67e5024c8b12fc1b4837796dd86b4727adec67",
        "onnx",
        "",
        _OTHER_DETECTOR,
    ),
)

WEIGHTS = {file.name: file for file in _FILES}


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
            _verify(file, Path(out.name), f"what {file.url} sent")
    except urllib.error.URLError as error:
        raise DownloadError(f"{file.url} cannot be reached: {error.reason}") from error
    except OSError as error:
        raise DownloadError(f"{file.url} could not be saved to {target}: {error}") from error
    _remember(target)
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
    _verify(file, source, str(source))
    target = places(name)[0]
    with source.open("rb") as stream, atomic.replacing(target) as out:
        shutil.copyfileobj(stream, out, 1 << 20)
    _remember(target, replace=True)
    return target


def check(name: str, path: Path) -> Path:
    """Say whether `path` still is the file called `name`; returns it.

    Raises:
        WeightsError: The content is not what was published, or has changed since its first use.
    """
    file = lookup(name)
    if file.digest:
        _verify(file, path, str(path))
    _remember(path)
    return path


def digest_of(path: Path, algorithm: str = "sha256") -> str:
    """The hex digest of a file's content."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, algorithm).hexdigest()


def _verify(file: WeightsFile, path: Path, what: str) -> None:
    with path.open("rb") as stream:
        magic = _MAGIC[file.container]
        if stream.read(len(magic)) != magic:
            raise WeightsError(
                f"{what} is not {file.filename}: it is no {file.container.upper()} file. "
                f"The right one is at {file.url}"
            )
    algorithm, _, expected = file.digest.partition(":")
    if expected and (found := digest_of(path, algorithm)) != expected:
        raise WeightsError(
            f"{what} is not {file.filename}: its {algorithm} should be {expected}. "
            f"To use a file of your own, give its path to the command instead. Received: {found}"
        )


def _remember(path: Path, *, replace: bool = False) -> None:
    """Record the file's SHA-256 at its first use, and hold it to that ever after."""
    ledger_path = home() / "weights" / _LEDGER
    ledger: dict[str, str] = {}
    if ledger_path.is_file():
        ledger = json.loads(ledger_path.read_text())
    key, found = str(path.absolute()), digest_of(path)
    if not replace and ledger.get(key, found) != found:
        raise WeightsError(
            f"{path} has changed since it was first used. Put the right file back with "
            f"`deepseq weights import`, or remove it. Received: sha256 {found}"
        )
    if ledger.get(key) != found:
        atomic.write_json(ledger_path, {**ledger, key: found})


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
