"""What every engine takes and gives."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from deepfake_seq.config import ExecutionConfig
from deepfake_seq.extract.cache import Cache
from deepfake_seq.extract.profiling import Profile
from deepfake_seq.extract.resolve import ResolvedConfig
from deepfake_seq.extract.resume import Outcome, Todo


@dataclass(frozen=True)
class Job:
    """What there is to do, whoever does it.

    Attributes:
        resolved: The settings, with their weights found.
        execution: How to use the machines.
        retry_failed: Whether to take up failures that lie in the video, too.
        videos: How many videos there are at most.
    """

    resolved: ResolvedConfig
    execution: ExecutionConfig
    retry_failed: bool
    videos: int


class Engine(AbstractContextManager["Engine"], Protocol):
    """Extracts videos; a context manager.

    Attributes:
        profile: Where the time goes.
    """

    profile: Profile

    def run(self, todos: Sequence[Todo]) -> Iterator[Outcome]:
        """Claim, extract and commit videos; give what became of each as soon as it is committed.

        Raises:
            DeepseqError: The run cannot go on. What was committed stays.
        """
        ...


def build_engine(job: Job, cache: Cache) -> Engine:
    """The engine that `job.execution.engine` names; imports only what it needs.

    Args:
        job: What there is to do.
        cache: Where the records go.

    Raises:
        WeightsError: A weights file cannot be read.
        EngineError: A library that is needed cannot be used.
    """
    if job.execution.engine == "ray":
        from deepfake_seq.extract.engines.ray import RayEngine

        return RayEngine(job, cache)
    from deepfake_seq.extract.engines.local import LocalEngine

    return LocalEngine(job, cache)
