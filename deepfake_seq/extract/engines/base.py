"""The interface of an engine."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from deepfake_seq.config import ExecutionConfig
from deepfake_seq.extract.profiling import Profile
from deepfake_seq.extract.resolve import ResolvedConfig
from deepfake_seq.extract.resume import Outcome, PendingVideo


@dataclass(frozen=True)
class Job:
    """The settings of one run, the same for every engine.

    Attributes:
        resolved: The settings of extraction.
        execution: How to use the machines.
        retry_failed: Whether to extract videos again that failed because of their content.
        videos: Maximum number of videos.
    """

    resolved: ResolvedConfig
    execution: ExecutionConfig
    retry_failed: bool
    videos: int


class Engine(AbstractContextManager["Engine"], Protocol):
    """Extracts videos; a context manager.

    Attributes:
        profile: Time spent in each stage.
    """

    profile: Profile

    def run(self, pending: Sequence[PendingVideo]) -> Iterator[Outcome]:
        """Claim, extract and commit videos; yield the outcome of each once it is on disk.

        Raises:
            DeepseqError: The run cannot continue. Committed records are kept.
        """
        ...
