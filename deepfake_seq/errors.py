"""Expected errors, each with its exit code.

Every message says what is wrong, where, and what to do next, and ends with the received value if
there is one. It is one line unless `is_multiline` is true. Any other exception is a bug and shows
its traceback.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class DeepseqError(Exception):
    """Base class of all expected errors; the command failed (exit code 1).

    Attributes:
        exit_code: Exit code of the command.
        is_multiline: Whether the line breaks of the message are printed.
    """

    exit_code = 1
    is_multiline = False


class UsageError(DeepseqError):
    """The command was called with an invalid value or combination of options (exit code 2)."""

    exit_code = 2


class DatasetError(DeepseqError):
    """The given videos, labels or groups are not a usable data set."""


class StoreError(DeepseqError):
    """A feature store or one of its shards cannot be read or written."""


class FingerprintMismatchError(StoreError):
    """A store contains features that were extracted with other settings."""


class WeightsError(DeepseqError):
    """A weights file is missing, damaged, or does not match its name."""


class EngineError(DeepseqError):
    """A requested library, backend or device cannot be used on this machine."""


class RunError(DeepseqError):
    """A run directory cannot be read, or does not fit the requested work."""


class TrainingError(DeepseqError):
    """A model could not be trained."""


class VideoError(DeepseqError):
    """One video could not be used; never leaves the extraction of that video.

    Attributes:
        status: Status of the failed video's record, from `store.records.record.STATUSES`.
        transient: Whether the failure may not recur, so that the next extraction tries again. A
            timeout is always transient; it is tried again with a higher limit.
        facts: Facts of the failed video's record.
    """

    def __init__(
        self,
        status: str,
        reason: str,
        *,
        transient: bool = False,
        facts: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(reason)
        self.status = status
        self.transient = transient or status == "timeout"
        self.facts = dict(facts or {})
