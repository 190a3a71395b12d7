"""Classification and wording of errors met while decoding."""

from __future__ import annotations

import errno

import av

_LONGEST = 500
_MACHINE_ERRORS = {errno.EACCES, errno.EMFILE, errno.ENFILE, errno.ENOENT, errno.ENOMEM}


def is_transient(error: Exception) -> bool:
    """Return whether the machine failed instead of the file, so that the next run may succeed."""
    if isinstance(error, av.FFmpegError):  # FFmpeg reports broken files as "I/O error", too
        return error.errno in _MACHINE_ERRORS
    return isinstance(error, OSError | MemoryError)


def is_out_of_memory(error: Exception) -> bool:
    """Return whether memory could not be allocated."""
    return isinstance(error, MemoryError) or getattr(error, "errno", None) == errno.ENOMEM


def reason_of(error: Exception) -> str:
    """Return a one-line description of an error."""
    if isinstance(error, MemoryError):
        return "out of memory"
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return " ".join(text.split())[:_LONGEST]
