"""Where extraction runs: on this machine, or on many."""

from deepfake_seq.extract.engines.base import Engine, Job, build_engine

__all__ = ["Engine", "Job", "build_engine"]
