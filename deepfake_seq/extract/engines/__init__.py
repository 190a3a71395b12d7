"""The engines that run extraction: on this machine or on a Ray cluster."""

from deepfake_seq.extract.engines.base import Engine, Job
from deepfake_seq.extract.engines.build import build_engine

__all__ = ["Engine", "Job", "build_engine"]
