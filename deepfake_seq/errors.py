"""The errors that deepseq expects, each with the exit code that the command line gives it.

Every message is one line that says what went wrong, where, and what to do next. Whatever is not
one of these is a bug, and shows its traceback.
"""


class DeepseqError(Exception):
    """The base of all expected errors; the command failed (exit code 1)."""

    exit_code = 1


class UsageError(DeepseqError):
    """The command was called with something it cannot take (exit code 2)."""

    exit_code = 2


class DatasetError(DeepseqError):
    """The videos, labels or groups given do not make a usable data set."""


class StoreError(DeepseqError):
    """A feature store or one of its shards cannot be read or written."""


class FingerprintMismatchError(StoreError):
    """A store holds features that were made with other settings."""


class WeightsError(DeepseqError):
    """A weights file is missing, damaged, or not what its name says."""


class EngineError(DeepseqError):
    """A library, backend or device that was asked for cannot be used on this machine."""


class RunError(DeepseqError):
    """A run directory cannot be read, or does not fit the work it is given."""


class TrainingError(DeepseqError):
    """A model could not be trained."""


class VideoError(DeepseqError):
    """One video could not be used; never leaves the extraction of that video.

    Attributes:
        status: The status of the record that the failure becomes, from `store.record.STATUSES`.
        transient: Whether it says nothing about the video itself, so that the next run tries again.
            Running out of time always is.
    """

    def __init__(self, status: str, reason: str, *, transient: bool = False) -> None:
        super().__init__(reason)
        self.status = status
        self.transient = transient or status == "timeout"
