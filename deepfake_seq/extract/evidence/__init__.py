"""Evidence blocks: what is computed from a face crop beside the CNN's pooled features."""

from deepfake_seq.extract.evidence.evidence import Evidence, FaceCrop

__all__ = ["Evidence", "FaceCrop"]
