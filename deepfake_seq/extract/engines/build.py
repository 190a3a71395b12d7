"""Build an engine by name."""

from __future__ import annotations

from deepfake_seq.extract.engines.base import Engine, Job
from deepfake_seq.extract.resume import ResumableWriter


def build_engine(job: Job, writer: ResumableWriter) -> Engine:
    """Build the engine named by `job.execution.engine`; import only what it needs.

    Args:
        job: The settings of the run.
        writer: Claims videos and commits their records.

    Raises:
        WeightsError: A weights file cannot be read.
        EngineError: A required library cannot be used, or the Ray cluster cannot be reached.
        UsageError: The address of the Ray cluster is malformed.
    """
    if job.execution.engine == "ray":
        from deepfake_seq.extract.engines.ray import RayEngine

        return RayEngine(job, writer)
    from deepfake_seq.extract.engines.local import LocalEngine

    return LocalEngine(job, writer)
