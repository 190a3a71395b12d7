"""Observe and interrupt everything that is written to the disk.

Inside `watching`, a callback is called before each step that changes the disk: `write` (once for
each half of a file's content), `fsync`, `replace`, `rename`, `unlink`, `mkdir` and `rmdir`.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

STEPS = ("fsync", "replace", "rename", "unlink", "mkdir", "rmdir")
Before = Callable[..., None]


class _TornFile:
    """A file that writes in two halves, so that a crash can happen between them."""

    def __init__(self, file: Any, before: Before) -> None:
        self._file = file
        self._before = before

    def __enter__(self) -> _TornFile:
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()

    def write(self, data: bytes) -> None:
        half = len(data) // 2
        for content in (data[:half], data[half:]):
            self._before("write", self._file.fileno(), content)
            self._file.write(content)
            self._file.flush()

    def flush(self) -> None:
        self._file.flush()

    def fileno(self) -> int:
        return int(self._file.fileno())


@contextmanager
def watching(before: Before) -> Iterator[None]:
    """Call `before` with the name and the arguments of each step before it is executed.

    Steps relative to an open directory are not reported: only the removal of leftover folders uses
    them.
    """
    real = {name: getattr(os, name) for name in STEPS}
    real_open = io.open
    busy = False

    def announce(*arguments: Any) -> None:
        nonlocal busy
        if not busy:  # ignore steps of `before` itself
            busy = True
            try:
                before(*arguments)
            finally:
                busy = False

    def watched(name: str) -> Callable[..., Any]:
        def step(*arguments: Any, **options: Any) -> Any:
            if not options.get("dir_fd"):
                announce(name, *arguments)
            return real[name](*arguments, **options)

        return step

    def open_torn(path: Any, mode: str = "r", *arguments: Any, **options: Any) -> Any:
        file = real_open(path, mode, *arguments, **options)
        return _TornFile(file, announce) if mode in ("wb", "xb") else file

    steps = {name: watched(name) for name in STEPS}
    with mock.patch.multiple(os, **steps), mock.patch.object(io, "open", open_torn):
        yield


def failing_at(step: int, number: int) -> Any:
    """Make the given disk operation and all later ones fail."""
    left = step

    def before(name: str, *arguments: Any) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise OSError(number, os.strerror(number))

    return watching(before)
