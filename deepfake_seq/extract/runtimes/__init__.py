"""What runs the frozen CNN. One protocol; the same numbers within a stated tolerance."""

from deepfake_seq.extract.backbones.runtime import CnnRuntime, build_runtime

__all__ = ["CnnRuntime", "build_runtime"]
