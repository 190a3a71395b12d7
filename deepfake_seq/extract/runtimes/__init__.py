"""What runs the frozen CNN. One protocol; the same numbers within a stated tolerance."""

from deepfake_seq.extract.runtimes.base import CnnRuntime, build_runtime

__all__ = ["CnnRuntime", "build_runtime"]
