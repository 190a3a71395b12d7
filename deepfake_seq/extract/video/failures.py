"""What an error that decoding met says: of the file, or of the machine."""

from __future__ import annotations

import errno

import av

_LONGEST = 500
_MACHINE_ERRORS = {errno.EACCES, errno.EMFILE, errno.ENFILE, errno.ENOENT, errno.ENOMEM}


def is_transient(error: Exception) -> bool:
    """Whether the machine failed, not the file: the next run may succeed."""
    if isinstance(error, av.FFmpegError):  # it says "I/O error" of broken files, too
        return error.errno in _MACHINE_ERRORS
    return isinstance(error, OSError | MemoryError)


def reason_of(error: Exception) -> str:
    """One line for people."""
    if isinstance(error, MemoryError):
        return "out of memory"
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return " ".join(text.split())[:_LONGEST]
